"""Rows whose class changed against the baseline, with what a page needs to show them: answers, confidence, inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lwdash.measure.accuracy import Quality, probabilities

MOST_FLIPS = 200
MOST_TURNED = 20_000
MOST_DRAWN = 24
MOST_SAMPLES = 400
"""Longest curve that is kept: about as many as a small picture has pixels across."""
MOST_PIXELS = 64
"""Longest side of an image that is kept."""
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
    """At most 200 flips: those lost first, then gained, then from one wrong class to another; by row within these.

    run, baseline: the figures and the outputs, (rows, classes). A flip has `row`, `kind`, `label`, and for "baseline"
    and "run" the class and `…_confidence`, its probability; the first 24 have `input`, see `shrunk`.
    Tasks with one class a row only; empty for all others.
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
    for number, i in enumerate(order[:MOST_FLIPS]):
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
        if number < MOST_DRAWN:
            flip["input"] = shrunk(given[row])
        found.append(flip)
    return tuple(found)


def turned_rows(run: Quality, baseline: Quality) -> dict[str, list[int]] | None:
    """All rows that the run got wrong and the baseline right ("lost"), and the reverse ("gained"), by number from 0.

    None where a row is not simply right or wrong, and where more than 20,000 turned.
    """
    ours, theirs = run.row_scores, baseline.row_scores
    if ours is None or theirs is None or run.accuracy is None:
        return None
    if not (np.isin(ours, (0, 1)).all() and np.isin(theirs, (0, 1)).all()):
        return None
    if np.count_nonzero(ours != theirs) > MOST_TURNED:
        return None
    return {
        LOST: np.flatnonzero(ours < theirs).tolist(),
        GAINED: np.flatnonzero(ours > theirs).tolist(),
    }


def shrunk(values: np.ndarray) -> dict[str, Any]:
    """One row small enough to keep: {"shape": its own, "values": nested lists, "steps": every how-manieth was kept}.

    A curve (samples,) or (samples, channels) keeps at most 400 samples, an image (height, width[, channels]) at most
    64 a side, others at most 400 values of the flattened row.
    """
    values = np.asarray(values, np.float64)
    shape = values.shape
    if values.ndim == 3 or (values.ndim == 2 and min(shape) > 12):
        steps = tuple(-(-n // MOST_PIXELS) for n in shape[:2])
        kept = values[:: steps[0], :: steps[1]]
    elif values.ndim in (1, 2):
        steps = (-(-shape[0] // MOST_SAMPLES),)
        kept = values[:: steps[0]]
    else:
        flat = values.reshape(-1)
        steps = (max(1, -(-flat.size // MOST_SAMPLES)),)
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
    """The probability that the model gave its class, 0–1."""
    shares = probabilities(task, outputs[None], is_logit=is_logit)[0]
    return float(shares.reshape(-1)[chosen])
