"""Rows whose class changed compared with the baseline, with data for a page: predictions, confidence, inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lwdash.measure.accuracy import Quality, probabilities

MAX_FLIPS = 200
MAX_CHANGED_ROWS = 20_000
MAX_ROWS_WITH_INPUT = 24
MAX_CURVE_SAMPLES = 400
"""Longest curve that is stored: about as many samples as a small image has pixels across."""
MAX_IMAGE_PIXELS = 64
"""Longest side of an image that is stored."""
LOST, GAINED, CHANGED = "lost", "gained", "changed"


def find_flips(
    task: str,
    run: tuple[Quality, np.ndarray],
    baseline: tuple[Quality, np.ndarray],
    labels: np.ndarray | None,
    inputs: Mapping[str, np.ndarray],
    *,
    is_logit: bool,
) -> tuple[dict[str, Any], ...]:
    """At most 200 flips: first lost rows, then gained, then changes between wrong classes; by row number
    within these.

    run, baseline: quality and outputs (rows, classes). A flip has `row`, `kind`, `label`. "baseline" and
    "run" hold the class; `…_confidence` is its probability. The first 24 have `input`, see `shrunk`.
    Only for tasks with one class per row; empty for all others.
    """
    ours, theirs = run[0].predicted, baseline[0].predicted
    if ours is None or theirs is None or ours.ndim != 1:
        return ()
    known = None if labels is None else np.asarray(labels).reshape(len(ours), -1)[:, 0].astype(np.int64)
    rows = np.flatnonzero(ours != theirs)
    kinds = [
        _kind(int(ours[row]), int(theirs[row]), None if known is None else int(known[row])) for row in rows
    ]
    order = sorted(range(len(rows)), key=lambda i: ((LOST, GAINED, CHANGED).index(kinds[i]), rows[i]))
    given = next(iter(inputs.values()))
    found = []
    for number, i in enumerate(order[:MAX_FLIPS]):
        row = int(rows[i])
        flip: dict[str, Any] = {
            "row": row,
            "kind": kinds[i],
            "label": None if known is None else int(known[row]),
            "baseline": int(theirs[row]),
            "run": int(ours[row]),
            "baseline_confidence": _confidence(task, baseline[1][row], int(theirs[row]), is_logit=is_logit),
            "run_confidence": _confidence(task, run[1][row], int(ours[row]), is_logit=is_logit),
        }
        if number < MAX_ROWS_WITH_INPUT:
            flip["input"] = shrunk(given[row])
        found.append(flip)
    return tuple(found)


def changed_rows(run: Quality, baseline: Quality) -> dict[str, list[int]] | None:
    """All rows that only the run got wrong ("lost") and all that only the baseline got wrong ("gained"),
    numbered from 0.

    None where a row is not simply right or wrong, and where more than 20,000 rows changed.
    """
    ours, theirs = run.row_scores, baseline.row_scores
    if ours is None or theirs is None or run.accuracy is None:
        return None
    if not (np.isin(ours, (0, 1)).all() and np.isin(theirs, (0, 1)).all()):
        return None
    if np.count_nonzero(ours != theirs) > MAX_CHANGED_ROWS:
        return None
    return {
        LOST: np.flatnonzero(ours < theirs).tolist(),
        GAINED: np.flatnonzero(ours > theirs).tolist(),
    }


def shrunk(values: np.ndarray) -> dict[str, Any]:
    """One row, reduced for storage: {"shape": original shape, "values": nested lists, "steps": stride of each
    axis}.

    A curve (samples,) or (samples, channels) keeps at most 400 samples; an image (height, width[, channels])
    at most 64 per side; others at most 400 values of the flattened row.
    """
    values = np.asarray(values, np.float64)
    shape = values.shape
    if values.ndim == 3 or (values.ndim == 2 and min(shape) > 12):
        steps = tuple(-(-n // MAX_IMAGE_PIXELS) for n in shape[:2])
        kept = values[:: steps[0], :: steps[1]]
    elif values.ndim in (1, 2):
        steps = (-(-shape[0] // MAX_CURVE_SAMPLES),)
        kept = values[:: steps[0]]
    else:
        flat = values.reshape(-1)
        steps = (max(1, -(-flat.size // MAX_CURVE_SAMPLES)),)
        kept = flat[:: steps[0]]
    digits = [float(f"{v:.5g}") if np.isfinite(v) else None for v in kept.reshape(-1)]
    return {
        "shape": list(shape),
        "steps": list(steps),
        "values": np.array(digits, object).reshape(kept.shape).tolist(),
    }


def _kind(ours: int, theirs: int, label: int | None) -> str:
    if label is None:
        return CHANGED
    return LOST if theirs == label else GAINED if ours == label else CHANGED


def _confidence(task: str, outputs: np.ndarray, chosen: int, *, is_logit: bool) -> float:
    """The probability of the predicted class, 0–1."""
    shares = probabilities(task, outputs[None], is_logit=is_logit)[0]
    return float(shares.reshape(-1)[chosen])
