"""The early end of a hopeless run: a training step has lost more accuracy than the later steps can recover.

The margins are wider than every recovery of a recipe within its limit in recorded runs, see docs/search.md.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from lwdash.measure.accuracy import agreement, judge, looks_like_logits
from lwdash.recipe import Step

MIN_RECOVERY = 0.03
"""Accuracy (0–1) that later steps may recover after any loss."""
RECOVERED_SHARE = 0.4
"""Share of the loss that later steps may recover."""
ROW_MARGIN = 0.45
"""Divided by the square root of the rows: two standard deviations of a change of accuracy in which every twentieth row
changes."""


class Hopeless(Exception):
    """A run that cannot meet the limit of its search. drop: the accuracy that it has lost, 0–1."""

    def __init__(self, step: Step, drop: float, limit: float, rows: int):
        self.drop = drop
        super().__init__(
            f"stopped after {step}: the accuracy on {rows:,} evaluation rows is {100 * drop:.1f} points below the "
            f"original's, and the limit is {100 * limit:g}. Later steps do not recover so much"
        )


def accuracy_drop(
    task: str,
    reference: np.ndarray,
    outputs: np.ndarray,
    labels: np.ndarray | None,
    *,
    is_logit: bool | None,
) -> float | None:
    """The loss of accuracy against the outputs of the original, 0–1; without labels the share of other classes.

    None for tasks without classes. is_logit: as for `measure`.
    """
    if task not in ("classification", "binary", "multi-label"):
        return None
    is_logit = looks_like_logits(task, reference) if is_logit is None else is_logit
    nothing: Mapping[str, Any] = {}
    before, after = (judge(task, each, labels, nothing, is_logit=is_logit) for each in (reference, outputs))
    if before.accuracy is not None and after.accuracy is not None:
        return before.accuracy - after.accuracy
    assert before.predicted is not None
    assert after.predicted is not None
    return 1 - agreement(after.predicted, before.predicted)


def is_hopeless(drop: float, limit: float, rows: int) -> bool:
    """True if a loss of accuracy on so many rows is above the limit even after the largest expected recovery."""
    recovery = max(MIN_RECOVERY, RECOVERED_SHARE * drop, ROW_MARGIN / math.sqrt(rows))
    return drop - recovery > limit
