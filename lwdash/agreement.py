"""Every produced .tflite against what it was made from, on real rows: a wrong file is a failure, never a green run."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lwdash.errors import ResultRejected
from lwdash.measure.accuracy import sqnr_db
from lwdash.measure.runner import Runner

FLOAT_TOLERANCE = 2e-3
"""Largest difference between Keras and float .tflite, relative to the largest output, that rounding explains."""
WORST_SQNR_DB = 0.0
"""Below this a quantized file's error is larger than its signal."""

Rows = Mapping[str, np.ndarray]


def predict(model: Any, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """A live model's outputs, one array an output, in the model's order."""
    outputs = model.predict(list(inputs) if len(inputs) > 1 else inputs[0], verbose=0, batch_size=32)
    return [np.asarray(v) for v in outputs] if isinstance(outputs, (list, tuple)) else [np.asarray(outputs)]


def check_export(expected: Sequence[np.ndarray], data: bytes, rows: Rows) -> tuple[bytes, dict[str, Any]]:
    """A float .tflite with its outputs in the order of `expected`, what the Keras model answers on `rows`.

    Raises ResultRejected where the two disagree.
    """
    from lwdash.techniques.float32 import with_output_order

    order, difference = match_outputs(expected, list(Runner(data).run(rows).values()))
    scale = max(float(np.abs(e).max(initial=0)) for e in expected)
    if not difference <= FLOAT_TOLERANCE * max(scale, 1e-2):
        raise ResultRejected(
            f"the float .tflite disagrees with the Keras model: its outputs differ by up to {difference:.3g} "
            f"where the model's reach {scale:.3g} ({_count(rows)} calibration rows)"
        )
    return with_output_order(data, order), {"largest_difference": difference, "largest_output": scale}


def check_packed(source: bytes, packed: bytes, rows: Rows) -> float | None:
    """SQNR in dB of the packed file against its source. Raises ResultRejected when it is no longer the model."""
    expected = np.concatenate([v.ravel() for v in Runner(source).run(rows).values()])
    got = np.concatenate([v.ravel() for v in Runner(packed).run(rows).values()])
    sqnr = sqnr_db(expected, got)
    if sqnr is not None and sqnr < WORST_SQNR_DB:
        raise ResultRejected(
            f"the quantized file no longer computes the model: its error is larger than its signal "
            f"(SQNR {sqnr:.1f} dB on {_count(rows)} calibration rows). Check that the calibration "
            "rows are scaled as in training, or keep more of the model in float"
        )
    return sqnr


def match_outputs(expected: Sequence[np.ndarray], got: Sequence[np.ndarray]) -> tuple[list[int], float]:
    """For each expected output the index of the one that is it, and the largest difference then."""
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
