"""Optimal brain surgeon for one kernel: removes weights, and changes the others so that the outputs change least.

A kernel is G independent products of inputs (n, k) and weights (k, o). With the second moments H = XᵀX / n of the
inputs, removing a set R of the weights w of one output costs w_Rᵀ ([H⁻¹]_RR)⁻¹ w_R if the remaining weights are solved
for again (Optimal Brain Compression, arXiv 2208.11580). The cheapest units are removed in a few rounds. In kernels too
large for this, the weights are corrected row by row, with one inverse for all outputs (SparseGPT, arXiv 2301.00774).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DAMPING = 0.01
"""Added to the diagonal of the moments, relative to its mean: few rows do not determine all weights."""
MIN_POWER = 1e-6
"""Least mean diagonal of a product's moments, relative to the largest among the products of its kernel."""
ROUNDING = 1e-12
"""Added to variances, relative to the squared means: more than the square of what 32-bit floats round."""
MAX_ROUNDS = 8
"""Number of times that a share of the units is removed and the others are solved for."""
MAX_OPERATIONS = 2e10
"""Floating-point operations of these rounds together, about a second; larger kernels have fewer rounds."""
MAX_EXACT_OPERATIONS = 1e11
"""Floating-point operations of the exact solution for all outputs; larger kernels are corrected row by row."""


@dataclass(frozen=True)
class Units:
    """The weights that are removed together, and the number of them to remove.

    numbers: (G, k, o), the unit of each weight.
    share: 0–1, the share of all weights to remove, whole units only.
    groups: (G, k, o), the group of each weight; then each group keeps `per_group` weights, whatever `share` is.
    """

    numbers: np.ndarray
    share: float
    groups: np.ndarray | None = None
    per_group: int = 2

    def keep(self, losses: np.ndarray, kept: np.ndarray, progress: float) -> np.ndarray:
        """The weights to keep, (G, k, o), after this part of the work, 0–1; losses: one per unit."""
        if self.groups is not None:
            return self._keep_in_groups(losses, kept, progress)
        sizes = np.bincount(self.numbers.ravel())
        gone = np.ones(len(sizes), bool)
        gone[self.numbers[kept]] = False
        order = np.argsort(np.where(gone, -np.inf, losses / np.maximum(sizes, 1)), kind="stable")
        limit = round(self.share * progress * self.numbers.size)
        gone[order[: int(np.searchsorted(np.cumsum(sizes[order]), limit, side="right"))]] = True
        return kept & ~gone[self.numbers]

    def _keep_in_groups(self, losses: np.ndarray, kept: np.ndarray, progress: float) -> np.ndarray:
        assert self.groups is not None
        groups, scores = self.groups.ravel(), losses[self.numbers].ravel()
        largest = int(np.bincount(groups).max())
        limit = max(self.per_group, largest - round((largest - self.per_group) * progress))
        scores = np.where(kept.ravel(), scores, -np.inf)
        order = np.lexsort((-scores, groups))
        starts = np.searchsorted(groups[order], groups[order])
        stays = np.zeros(len(groups), bool)
        stays[order] = np.arange(len(groups)) - starts < limit
        return kept & stays.reshape(kept.shape)


def prune(
    weights: np.ndarray, moments: np.ndarray, units: Units, *, max_operations: float = MAX_OPERATIONS
) -> np.ndarray:
    """Weights of the same shape with zeros, whose outputs differ least from those of `weights`.

    weights: (G, k, o). moments: (G, k, k), XᵀX / n of each product's inputs. max_operations: see `MAX_OPERATIONS`.
    The squared error on the rows behind `moments` is never larger than that of removing the smallest weights.
    """
    weights = weights.astype(np.float64)
    moments = moments.astype(np.float64)
    surgeon = _solved(weights, moments, units, max_operations)
    smallest = np.where(_smallest(weights, units), weights, 0.0)
    errors = [squared_error(weights - values, moments) for values in (surgeon, smallest)]
    return surgeon if errors[0] <= errors[1] else smallest


def squared_error(difference: np.ndarray, moments: np.ndarray) -> float:
    """Mean squared change of the outputs, summed over them, for a change (G, k, o) of the weights."""
    return float(np.sum(difference * (moments @ difference)))


def above_rounding(covariance: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Covariances (G, k, k) of inputs with the means (G, k), positive definite where inputs hardly vary, too."""
    level = ROUNDING * np.square(means).mean(axis=1) + np.finfo(np.float64).tiny
    return np.asarray(covariance + level[:, None, None] * np.eye(means.shape[1]))


def damped(moments: np.ndarray) -> np.ndarray:
    """Moments (G, k, k) with `DAMPING` on their diagonals, so that they can be inverted."""
    size = moments.shape[-1]
    level = np.trace(moments, axis1=1, axis2=2) / size
    level = DAMPING * np.maximum(level, MIN_POWER * level.max())
    return np.asarray(moments + np.where(level > 0, level, 1.0)[:, None, None] * np.eye(size))


def without_inputs(weights: np.ndarray, moments: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Weights (G, k, o) that are zero for all inputs but the `kept`, (k,) bool, and replace the others best."""
    matrix = damped(moments.astype(np.float64))
    rows = np.flatnonzero(kept)
    solved = np.zeros(weights.shape)
    solved[:, rows] = np.linalg.solve(matrix[:, rows[:, None], rows], (matrix @ weights)[:, rows])
    return solved


def _smallest(weights: np.ndarray, units: Units) -> np.ndarray:
    magnitudes = np.bincount(units.numbers.ravel(), np.abs(weights).ravel())
    return units.keep(magnitudes, np.ones(weights.shape, bool), 1.0)


def _solved(weights: np.ndarray, moments: np.ndarray, units: Units, max_operations: float) -> np.ndarray:
    count, inputs, outputs = weights.shape
    matrices = damped(moments)
    inverses, targets = np.linalg.inv(matrices), matrices @ weights
    operations = 2.0 * count * outputs * inputs**3
    rounds = int(np.clip(1 + max_operations / operations, 1, MAX_ROUNDS))
    if units.groups is not None:
        rounds = min(rounds, 2)
    kept = np.ones(weights.shape, bool)
    for number in range(rounds):
        losses = np.zeros(int(units.numbers.max()) + 1)
        for g, j in np.ndindex(count, outputs):
            rows = np.flatnonzero(kept[g, :, j])
            is_whole = len(rows) == inputs
            inverse = inverses[g] if is_whole else np.linalg.inv(matrices[g][np.ix_(rows, rows)])
            values = inverse @ targets[g, rows, j]
            _add_losses(losses, units.numbers[g, rows, j], values, inverse)
        kept = units.keep(losses, kept, (number + 1) / rounds)
    if operations * kept.mean() ** 3 / 6 > MAX_EXACT_OPERATIONS:
        return np.stack([_corrected(w, k, h) for w, k, h in zip(weights, kept, inverses, strict=True)])
    solved = np.zeros_like(weights)
    for g, j in np.ndindex(count, outputs):
        rows = np.flatnonzero(kept[g, :, j])
        solved[g, rows, j] = np.linalg.solve(matrices[g][np.ix_(rows, rows)], targets[g, rows, j])
    return solved


def _add_losses(losses: np.ndarray, numbers: np.ndarray, values: np.ndarray, inverse: np.ndarray) -> None:
    """Add to each unit's loss what removing its weights of one output costs.

    numbers, values: (rows,), the unit and the weight of each kept input; inverse: (rows, rows).
    """
    order = np.argsort(numbers, kind="stable")
    found, starts, sizes = np.unique(numbers[order], return_index=True, return_counts=True)
    for size in np.unique(sizes):
        of_size = sizes == size
        places = order[starts[of_size][:, None] + np.arange(size)]
        parts = inverse[places[:, :, None], places[:, None, :]]
        removed = values[places][:, :, None]
        costs = np.sum(removed * np.linalg.solve(parts, removed), axis=(1, 2))
        np.add.at(losses, found[of_size], costs)


def _corrected(weights: np.ndarray, kept: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """SparseGPT's update: row by row, the later rows absorb what the removed weights contributed."""
    upper = np.linalg.cholesky(inverse).T
    values = weights.copy()
    for row in range(len(values)):
        errors = np.where(kept[row], 0.0, values[row]) / upper[row, row]
        values[row:] -= np.outer(upper[row, row:], errors)
    return np.where(kept, values, 0.0)
