"""A check of the values' scale against the model's own first layers: scaled twice, never, or in other units."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lwdash.datasets.linter.findings import ERROR, WARNING, Finding
from lwdash.datasets.linter.input_view import InputView
from lwdash.datasets.preprocessing.language import Divide, Scale

TOO_NARROW = 0.05
"""Share of the range of 1 or 2 that Rescaling should give: less than this is left if the values were scaled before."""
NARROW = 0.3
"""The same for fractions within −1 … 1, which are the result of a scaling."""
TOO_WIDE = 4.0
FAR_MEAN, SMALL_DEVIATION, LARGE_DEVIATION = 4.0, 0.1, 10.0
"""In deviations of the rows that a Normalization was adapted to."""


@dataclass(frozen=True)
class Expected:
    """The scaling by the model's first layers: scale·x + offset, one pair or one per channel (last axis).

    layers: their names; empty where the first layer with weights takes the values unchanged.
    is_learnt: the pair comes from the training rows, which became mean 0 and deviation 1.
    """

    layers: Sequence[str]
    scale: Sequence[float]
    offset: Sequence[float]
    is_learnt: bool


def scaling_findings(view: InputView, expected: Expected | None) -> list[Finding]:
    """At most one finding; none where the model's file does not state its scaling, or the input takes whole numbers."""
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
    first, last = input_range(float(scale.flat[0]), float(offset.flat[0]))
    layer = expected.layers[-1] if len(expected.layers) == 1 else " → ".join(expected.layers)
    takes = f"'{layer}' in the model converts {first:g} … {last:g} to {_output_range_text(offset)}"
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
                f"The values are in {low:.4g} … {high:.4g}, but {takes}: they are scaled twice.",
                where,
                f"The network gets {1 / left:,.0f} times less contrast than in training. So the accuracy "
                "drops already in float, and int8 has almost no levels left.",
                "Give the values without scaling"
                + (f": {_fix_text(view, fix)}." if fix else ": remove the scaling from the file."),
                fix,
            )
        ]
    scaled = np.abs(scale).max() * np.array([low, high]) + float(offset.flat[0])
    if np.abs(scaled).max() > TOO_WIDE:
        source = Scale("range", "all", first, last, min(0.0, low), high)
        fix = view.with_added(source)
        return [
            Finding(
                "beyond-range",
                WARNING,
                f"The values reach {max(abs(low), abs(high)):,.6g}, but {takes}.",
                where,
                "The first layer gets far larger values than in training: activations saturate, and the "
                "int8 ranges are set by values that the model does not know.",
                f"Scale the values to {first:g} … {last:g}: {_fix_text(view, fix)}.",
                fix,
            )
        ]
    return []


def input_range(scale: float, offset: float) -> tuple[float, float]:
    """The input range that becomes 0 … 1, or −1 … 1 if the offset says so."""
    lowest = 0.0 if abs(offset) < 0.25 else -1.0
    ends = sorted(((lowest - offset) / scale, (1.0 - offset) / scale))
    return round(ends[0], 6) + 0.0, round(ends[1], 6) + 0.0


def _output_range_text(offset: np.ndarray) -> str:
    return "0 … 1" if abs(float(offset.flat[0])) < 0.25 else "−1 … 1"


def _against_learnt(view: InputView, expected: Expected) -> list[Finding]:
    values = view.values.reshape(-1, view.values.shape[-1])
    scale, offset = np.asarray(expected.scale, np.float64), np.asarray(expected.offset, np.float64)
    if len(scale) not in (1, values.shape[1]):
        return []
    is_known = np.broadcast_to(scale != 0, values.shape[1])
    if not is_known.any():
        return []
    scaled = (values * scale + offset)[:, is_known]
    mean, deviation = scaled.mean(axis=0), scaled.std(axis=0)
    centre, spread = float(np.median(np.abs(mean))), float(np.median(deviation))
    if centre <= FAR_MEAN and SMALL_DEVIATION <= spread <= LARGE_DEVIATION:
        return []
    layer = expected.layers[-1]
    raw = values[:, is_known]
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
                (
                    "All rows look almost equal to the network, so every metric is meaningless, in float "
                    "as in int8."
                ),
                f"Give the values as measured{': ' + _fix_text(view, fix) if fix else ''}.",
                fix,
            )
        ]
    return [
        Finding(
            "other-units",
            ERROR,
            f"The values have {looks}, but {took}.",
            where,
            f"After '{layer}' their mean is {centre:.1f} deviations off, with a spread of {spread:.3g} "
            "instead of 1: the network gets values outside its training range.",
            "Check the file, the units and the order of columns. Convert the values if needed, for "
            "example with divide(1000) for millivolts given as microvolts.",
        )
    ]


def _raw_pixels(view: InputView) -> list[Finding]:
    """Whole numbers 0 … 255 for a model without a Rescaling: it was probably trained on pixels / 255."""
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
            "If it was trained on pixels divided by 255, as usual, it now gets values 255 times too "
            "large: the accuracy of the original and the int8 ranges are wrong.",
            f"Scale as in training: {_fix_text(view, fix)}. Leave it if the model was trained on 0 … 255.",
            fix,
        )
    ]


def _is_whole(values: np.ndarray) -> bool:
    return bool((values == np.rint(values)).all())


def _fix_text(view: InputView, fix: dict[str, str] | None) -> str:
    if fix is None:
        return ""
    text = fix["preprocess"]
    return f"pre-processing {text}" if text else "no pre-processing"
