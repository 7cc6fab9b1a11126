"""A check of the values' scale against the model's own first layers: scaled twice, never, or in other units."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lwdash.datasets.linter.findings import ERROR, WARNING, Finding
from lwdash.datasets.linter.input_view import InputView
from lwdash.datasets.preprocessing.language import Divide, Scale

TOO_NARROW = 0.05
"""Of a range of 1 or 2 that Rescaling should give: less than this is left when the values were scaled before."""
NARROW = 0.3
"""The same for fractions within −1 … 1, which are the result of a scaling."""
TOO_WIDE = 4.0
FAR_MEAN, SMALL_DEVIATION, LARGE_DEVIATION = 4.0, 0.1, 10.0
"""In deviations of the rows that a Normalization was adapted to."""


@dataclass(frozen=True)
class Expected:
    """What the model's first layers make of a value: scale·x + offset, one pair or one a channel (last axis).

    layers: their names; none where the first layer with weights takes the values as they are.
    is_learnt: the pair comes from the rows the model was trained on, which became mean 0 and deviation 1.
    """

    layers: Sequence[str]
    scale: Sequence[float]
    offset: Sequence[float]
    is_learnt: bool


def scaling_findings(view: InputView, expected: Expected | None) -> list[Finding]:
    """At most one finding; none where the model's file does not tell, or the input takes whole numbers."""
    if expected is None or view.is_whole_input or not view.values.size:
        return []
    if not expected.layers:
        return _raw_pixels(view)
    if expected.is_learnt:
        return _against_learnt(view, expected)
    return _against_rescaling(view, expected)


def _against_rescaling(view: InputView, expected: Expected) -> list[Finding]:
    scale, offset = np.asarray(expected.scale, np.float64), np.asarray(expected.offset, np.float64)
    low, high = float(view.values.min()), float(view.values.max())
    width = float(np.abs(scale).max())
    if not width or high == low:
        return []
    first, last = _range_taken(float(scale.flat[0]), float(offset.flat[0]))
    layer = expected.layers[-1] if len(expected.layers) == 1 else " → ".join(expected.layers)
    takes = f"'{layer}' in the model turns {first:g} … {last:g} into {_made(offset)}"
    where = f"input '{view.name}', values {low:.4g} … {high:.4g}"
    left, is_whole = (high - low) * width, _is_whole(view.values)
    is_unit = max(abs(low), abs(high)) <= 1.01
    if (left < TOO_NARROW and (is_unit or not is_whole)) or (left < NARROW and is_unit and not is_whole):
        undo = Scale("range", "all", first, last, -1.0 if low < 0 else 0.0, 1.0)
        fix = view.without_scaling() or (view.with_added(undo) if max(abs(low), high) <= 1.01 else None)
        return [
            Finding(
                "scaled-twice",
                ERROR,
                f"The values lie in {low:.4g} … {high:.4g}, and {takes}: they are scaled a second time.",
                where,
                f"The network sees {1 / left:,.0f} times less contrast than it was trained on, so "
                "the accuracy drops already in float, and int8 has almost no levels left for it.",
                "Give the values as they were before scaling"
                + (f": {_fix_words(view, fix)}." if fix else ": take the scaling out of the file."),
                fix,
            )
        ]
    made = np.abs(scale).max() * np.array([low, high]) + float(offset.flat[0])
    if np.abs(made).max() > TOO_WIDE:
        source = Scale("range", "all", first, last, min(0.0, low), high)
        fix = view.with_added(source)
        return [
            Finding(
                "beyond-range",
                WARNING,
                f"The values reach {max(abs(low), abs(high)):,.6g}, but {takes}.",
                where,
                "What reaches the first layer is far larger than in training: activations saturate, and the int8 "
                "ranges are set by values the model does not know.",
                f"Bring the values to {first:g} … {last:g}: {_fix_words(view, fix)}.",
                fix,
            )
        ]
    return []


def _range_taken(scale: float, offset: float) -> tuple[float, float]:
    """The inputs that become 0 … 1, or −1 … 1 where the offset says so."""
    lowest = 0.0 if abs(offset) < 0.25 else -1.0
    ends = sorted(((lowest - offset) / scale, (1.0 - offset) / scale))
    return round(ends[0], 6) + 0.0, round(ends[1], 6) + 0.0


def _made(offset: np.ndarray) -> str:
    return "0 … 1" if abs(float(offset.flat[0])) < 0.25 else "−1 … 1"


def _against_learnt(view: InputView, expected: Expected) -> list[Finding]:
    values = view.values.reshape(-1, view.values.shape[-1])
    scale, offset = np.asarray(expected.scale, np.float64), np.asarray(expected.offset, np.float64)
    if len(scale) not in (1, values.shape[1]):
        return []
    told = np.broadcast_to(scale != 0, values.shape[1])
    if not told.any():
        return []
    made = (values * scale + offset)[:, told]
    mean, deviation = made.mean(axis=0), made.std(axis=0)
    centre, spread = float(np.median(np.abs(mean))), float(np.median(deviation))
    if centre <= FAR_MEAN and SMALL_DEVIATION <= spread <= LARGE_DEVIATION:
        return []
    layer = expected.layers[-1]
    raw = values[:, told]
    trained_mean = float(np.median((-offset / np.where(scale == 0, 1, scale))[scale != 0]))
    trained_deviation = float(np.median(1 / np.abs(scale[scale != 0])))
    is_standard = (
        abs(float(np.median(raw.mean(axis=0)))) < 0.5 and 0.3 < float(np.median(raw.std(axis=0))) < 3
    )
    looks = f"mean {raw.mean():.3g}, deviation {raw.std():.3g}"
    fix = view.without_scaling()
    took = f"'{layer}' was adapted to values around {trained_mean:.4g} with a deviation of {trained_deviation:.3g}"
    where = f"input '{view.name}', {looks}"
    if is_standard or (fix is not None and spread < SMALL_DEVIATION):
        return [
            Finding(
                "scaled-twice",
                ERROR,
                f"The values are already normalised ({looks}), and {took}: they are normalised twice.",
                where,
                "All rows look almost alike to the network, so every figure is worthless, in float as in int8.",
                f"Give the values as measured{': ' + _fix_words(view, fix) if fix else ''}.",
                fix,
            )
        ]
    return [
        Finding(
            "other-units",
            ERROR,
            f"The values have {looks}, but {took}.",
            where,
            f"After '{layer}' they lie {centre:.1f} deviations off with a spread of {spread:.3g} instead of 1: the "
            "network is asked about values it has never seen.",
            "Is this the right file, in the right units and the right order of columns? Convert the values, for "
            "example with divide(1000) for millivolts given as microvolts.",
        )
    ]


def _raw_pixels(view: InputView) -> list[Finding]:
    """Whole numbers 0 … 255 for a model without a Rescaling: it was most likely trained on pixels / 255."""
    low, high = float(view.values.min()), float(view.values.max())
    is_pixels = view.is_image and low >= 0 and 100 < high <= 255 and _is_whole(view.values)
    if not is_pixels:
        return []
    fix = view.with_added(Divide(255.0))
    return [
        Finding(
            "not-scaled",
            WARNING,
            f"The values are whole numbers {low:g} … {high:g}, and the model has no Rescaling or Normalization of its "
            "own.",
            f"input '{view.name}'",
            "If it was trained on pixels divided by 255, as is usual, it now sees values 255 times too large: the "
            "accuracy of the original is wrong already, and the int8 ranges with it.",
            f"Scale as in training: {_fix_words(view, fix)}. Leave it if the model was trained on 0 … 255.",
            fix,
        )
    ]


def _is_whole(values: np.ndarray) -> bool:
    return bool((values == np.rint(values)).all())


def _fix_words(view: InputView, fix: dict[str, str] | None) -> str:
    if fix is None:
        return ""
    text = fix["preprocess"]
    return f"pre-processing {text}" if text else "no pre-processing"
