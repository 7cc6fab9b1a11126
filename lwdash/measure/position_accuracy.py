"""Accuracy with a class per position of a row (time step, pixel): share of right positions, IoU, verdict by
row.

Positions of one row are not independent samples: intervals and verdicts resample rows, never positions.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lwdash.measure.accuracy import Quality
from lwdash.measure.verdict import (
    BETTER,
    CANNOT_TELL,
    EQUIVALENT,
    MARGIN,
    WORSE,
    Verdict,
    share_mean_interval,
)

MIN_ROWS = 5
"""With fewer rows there is no interval."""


def by_position(quality: Quality) -> Quality:
    """`quality` with the values for classes per position: positions per row, IoU, and an interval over rows.

    iou: for each class intersection / union of its positions over all rows (Jaccard), None for a class in
    neither; mean_iou: mean of the defined values. Unchanged where a row has one class, or without labels.
    """
    predicted, confusion = quality.predicted, quality.confusion
    if predicted is None or confusion is None or quality.row_scores is None or predicted[:1].size <= 1:
        return quality
    counts = np.array(confusion)
    both = counts.diagonal()
    either = counts.sum(axis=0) + counts.sum(axis=1) - both
    iou = tuple(int(b) / int(e) if e else None for b, e in zip(both, either, strict=True))
    known = [share for share in iou if share is not None]
    return replace(
        quality,
        positions=int(np.prod(predicted.shape[1:])),
        iou=iou,
        mean_iou=float(np.mean(known)) if known else None,
        accuracy_ci=share_interval(quality.row_scores),
    )


def share_interval(right: np.ndarray) -> tuple[float, float]:
    """95 % interval of the mean of `right` (rows,), each a share 0-1; it has a width even if all rows are equal."""
    if len(right) < MIN_ROWS:
        return 0.0, 1.0
    low, high = share_mean_interval(right, usual=1.0)
    return max(0.0, low), min(1.0, high)


def compare_positions(
    right: np.ndarray,
    baseline_right: np.ndarray,
    positions: int,
    *,
    of: str = "positions",
    margin: float = MARGIN,
) -> Verdict:
    """Verdict on the share of right positions, or of right labels where a row has several.

    right, baseline_right: (rows,) share of each row's positions, 0–1. of: their name in the text.
    """
    return _compared(right - baseline_right, positions, of, margin=margin)


def compare_positions_without_labels(same: np.ndarray, positions: int, *, margin: float = MARGIN) -> Verdict:
    """Verdict without labels, from the original's classes. same: (rows,) share of positions with its class,
    0–1.
    """
    low, high = share_interval(same)
    text = (
        f"{_percent(float(same.mean()))} of the positions have the original's class (95 % interval "
        f"{_percent(low)} to {_percent(high)}, {len(same):,} rows of {positions:,} positions)"
    )
    if 1 - low <= margin:
        return Verdict(
            EQUIVALENT,
            (
                f"Equivalent: {text}, so the share of right positions changed by at most {100 * margin:g} "
                "points."
            ),
            margin=margin,
        )
    return Verdict(CANNOT_TELL, f"Not significant without labels: {text}.", margin=margin)


def _compared(differences: np.ndarray, positions: int, of: str, *, margin: float) -> Verdict:
    rows, difference = len(differences), float(differences.mean())
    metric = f"the share of right {of}"
    if rows < MIN_ROWS:
        text = (
            f"Not significant: {rows} rows are too few to compare {metric}; at least {MIN_ROWS} are needed."
        )
        return Verdict(CANNOT_TELL, text, difference, margin=margin)
    low, high = share_mean_interval(differences, usual=0.0)
    inside = (
        f"95 % interval {_points(low)} to {_points(high)} points over {rows:,} rows of {positions:,} {of}"
    )
    change = f"{metric} changed by {_points(difference)} points ({inside})"
    if -margin < low and high < margin:
        verdict, text = EQUIVALENT, f"Equivalent: {change}, inside the margin of ±{100 * margin:g}."
    elif low > 0 or high < 0:
        verdict = BETTER if low > 0 else WORSE
        text = f"{verdict.capitalize()}: {change}."
    else:
        verdict = CANNOT_TELL
        text = (
            f"Not significant: {change}. A change of {100 * (high - low) / 2:.2g} points would have been "
            "detected."
        )
    return Verdict(verdict, text, difference, (low, high), None, margin, (high - low) / 2)


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def _points(share: float) -> str:
    rounded = round(100 * share, 2)
    return f"{rounded:+.2f}".replace("-", "−") if rounded else "0.00"
