"""Mixtures of rows for a fine-tuning that follows the original's outputs (mixup, Zhang et al., arXiv 1710.09412).

The original model computes the targets of the mixtures, so they need no labels. They cover the space between few rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lwdash.contract import Training

MAX_MIXTURES = 4096
MAX_BYTES = 1 << 28
"""Limits of the mixtures that are computed once and then drawn from: their number, and their memory."""


def can_mix(training: Training) -> bool:
    """True if the original's outputs for new rows can be computed, and all inputs are real numbers."""
    return training.outputs_of is not None and all(
        np.issubdtype(values.dtype, np.floating) for values in training.inputs
    )


def mixtures(inputs: Sequence[np.ndarray], wanted: int, seed: int) -> list[np.ndarray]:
    """Weighted means of random pairs of rows, λ·a + (1 − λ)·b with λ uniform in 0.5 … 1.

    inputs: one array per model input, (rows, *shape); a pair and its λ are the same in all of them.
    Returns at most `wanted` mixtures, fewer where they would take much memory.
    """
    rows = len(inputs[0])
    row_bytes = sum(values[:1].nbytes for values in inputs)
    count = max(1, min(wanted, MAX_MIXTURES, MAX_BYTES // max(1, row_bytes)))
    chance = np.random.default_rng(seed)
    first, second = chance.integers(0, rows, (2, count))
    weights = chance.uniform(0.5, 1.0, count)
    mixed = []
    for values in inputs:
        weight = weights.astype(values.dtype).reshape(-1, *[1] * (values.ndim - 1))
        mixed.append(weight * values[first] + (1 - weight) * values[second])
    return mixed
