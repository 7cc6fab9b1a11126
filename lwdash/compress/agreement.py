"""Checks every produced .tflite against its source, on real rows: a wrong file makes the run fail."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lwdash.contract import Rows
from lwdash.errors import ResultRejected
from lwdash.keras_models.ports import fixed_rows
from lwdash.measure.accuracy import sqnr_db
from lwdash.measure.fidelity import output_fidelity, task_of_output
from lwdash.measure.runner import Runner

FLOAT_TOLERANCE = 2e-3
"""Largest difference between Keras and float .tflite, relative to the largest output, that rounding explains."""
SMALLEST_SCALE = 1e-2
"""Outputs with a smaller reach may be differences of larger numbers."""
ROUNDING = 2.0**-22
"""Two roundings of a float32."""
MIN_SQNR_DB = 3.0
"""Below this an output is lost: its error has more than half the power of its signal. A file that lost all of
its outputs is rejected. One that lost some is measured, and its verdict and findings name them.
"""


def predict(model: Any, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """A live model's outputs, one array per output, in the model's order; also of a model for a fixed number of rows."""
    count = len(inputs[0])
    size = fixed_rows(model) or 32
    missing = -count % size if fixed_rows(model) else 0
    filled = [np.concatenate([values, np.repeat(values[-1:], missing, axis=0)]) for values in inputs]
    outputs = model.predict(filled if len(filled) > 1 else filled[0], verbose=0, batch_size=size)
    listed = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    return [np.asarray(values)[:count] for values in listed]


def check_export(expected: Sequence[np.ndarray], data: bytes, rows: Rows) -> tuple[bytes, dict[str, Any]]:
    """A float .tflite with its outputs in the order of `expected`, the Keras model's outputs on `rows`.

    Raises ResultRejected where the two disagree.
    """
    from lwdash.export.float_file import with_output_order

    got = list(Runner(data).run(rows).values())
    order, difference = match_outputs(expected, got)
    for number, values in enumerate(expected):
        ours = got[order[number]]
        reach = float(np.abs(values).max(initial=0))
        apart = float(np.abs(values.reshape(ours.shape) - ours).max(initial=0))
        if apart <= FLOAT_TOLERANCE * reach or _is_rounding(apart, reach, data, rows, order[number]):
            continue
        which = (
            f"output {number + 1} of {len(expected)} differs" if len(expected) > 1 else "its outputs differ"
        )
        raise ResultRejected(
            f"the float .tflite disagrees with the Keras model: {which} by up to "
            f"{apart:.3g} where the model's reach {reach:.3g} ({_count(rows)} calibration rows)"
        )
    scale = max(float(np.abs(e).max(initial=0)) for e in expected)
    return with_output_order(data, order), {"largest_difference": difference, "largest_output": scale}


def check_packed(source: bytes, packed: bytes, rows: Rows) -> float | None:
    """SQNR in dB of the packed file's worst output compared with its source; None where nothing differs.

    Raises ResultRejected when the file no longer matches the model: each of its outputs is lost
    (MIN_SQNR_DB), or is constant where the source varies.
    """
    expected, got = (list(Runner(data).run(rows).values()) for data in (source, packed))
    found = [sqnr_db(theirs, ours) for theirs, ours in zip(expected, got, strict=True)]
    known = [sqnr for sqnr in found if sqnr is not None]
    lost = [_loss(theirs, ours, sqnr) for theirs, ours, sqnr in zip(expected, got, found, strict=True)]
    if lost and all(lost):
        raise ResultRejected(
            f"the quantized file no longer matches the model on {_count(rows)} calibration rows: "
            f"{'; '.join(text for text in dict.fromkeys(lost) if text)}. Use `auto`, which measures how many "
            "bits each layer needs, or `dynamic`, whose activations are floats. If these fail too, check that the "
            "calibration rows are scaled as in training"
        )
    return min(known, default=None)


def _loss(theirs: np.ndarray, ours: np.ndarray, sqnr: float | None) -> str:
    """The loss of an output, as a clause; empty without a loss."""
    reach = f"{float(theirs.min()):.3g} … {float(theirs.max()):.3g}"
    fidelity = output_fidelity(task_of_output(theirs), "", ours, theirs)
    if fidelity.is_constant and not fidelity.targets:
        return f"its output is {float(ours.flat[0]):.3g} in every row, but the source's are {reach}"
    if fidelity.targets and all(target.is_constant for target in fidelity.targets):
        return f"its outputs are the same in every row, but the source's are {reach}"
    if sqnr is not None and sqnr < MIN_SQNR_DB:
        return (
            f"its outputs are {float(ours.min()):.3g} … {float(ours.max()):.3g}, but the source's are "
            f"{reach}, an SQNR of {sqnr:.1f} dB (the minimum is {MIN_SQNR_DB:g} dB)"
        )
    return ""


def _is_rounding(apart: float, reach: float, data: bytes, rows: Rows, output: int) -> bool:
    """True if rounding explains a difference in a small output: the sums before it may be much larger than it is."""
    if not any(np.issubdtype(values.dtype, np.floating) for values in rows.values()):
        return reach < SMALLEST_SCALE and apart <= FLOAT_TOLERANCE * SMALLEST_SCALE
    shifted = {
        name: values * np.float32(1 + ROUNDING) if np.issubdtype(values.dtype, np.floating) else values
        for name, values in rows.items()
    }
    before, after = (list(Runner(data).run(each).values())[output] for each in (rows, shifted))
    return apart <= 100 * float(np.abs(before - after).max(initial=0))


def match_outputs(expected: Sequence[np.ndarray], got: Sequence[np.ndarray]) -> tuple[list[int], float]:
    """For each expected output the index of its counterpart, and the largest difference in this assignment."""
    free = list(range(len(got)))
    order, largest = [], 0.0
    for values in expected:
        distances = {
            i: float(np.abs(values.reshape(got[i].shape) - got[i]).max(initial=0))
            for i in free
            if got[i].size == values.size
        }
        if not distances:
            raise ResultRejected(
                f"the .tflite has outputs of shapes {[g.shape for g in got]}, the model of {[e.shape for e in expected]}"
            )
        best = min(distances, key=lambda i: distances[i] if np.isfinite(distances[i]) else np.inf)
        free.remove(best)
        order.append(best)
        largest = max(largest, distances[best]) if np.isfinite(distances[best]) else float("nan")
    return order, largest


def _count(rows: Rows) -> int:
    return len(next(iter(rows.values())))
