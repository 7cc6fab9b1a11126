"""Integers and scales for the weights of one kernel, chosen for a small error instead of by the largest weight.

A kernel is G independent products of weights (o, k) with k inputs. Each output has its own scale, or all share one.
Every result uses the whole range: the largest integer of each scale is ±`limit`. A quantizer that takes the scale from
the largest weight therefore finds the same integers again. Zeros stay zeros, so that pruning is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lwdash.training.layerwise.brain_surgeon import damped

SHARES = np.concatenate([[1.0], np.linspace(0.98, 0.30, 35)])
"""Shares of the min-max scale that are tried; the first is min-max itself."""
MAX_SWEEPS = 6
MAX_OPERATIONS = 2e10
"""Floating-point operations of the sweeps over one kernel, a few seconds; larger kernels have fewer sweeps."""
BLOCK = 32
"""Inputs that are rounded before their errors are passed on to the inputs after them, all at once."""
MAX_REPEATS = 3


@dataclass(frozen=True)
class Rounded:
    """Weights of a kernel as integers and scales.

    integers: (G, o, k), whole numbers as floats. scales: (G, o, 1), all equal where the kernel has one scale.
    """

    integers: np.ndarray
    scales: np.ndarray

    @property
    def values(self) -> np.ndarray:
        """The weights that are stored, (G, o, k)."""
        return self.integers * self.scales


def least_squares(
    weights: np.ndarray, limit: int, *, is_shared: bool, importance: np.ndarray | None = None
) -> Rounded:
    """The scales with the least squared error of the weights; the error is never larger than that of min-max.

    weights: (G, o, k). limit: the largest integer. is_shared: one scale for all outputs.
    importance: (G, 1, k), factor of each squared error; None for equal factors.
    """
    weights = weights.astype(np.float64)
    importance = np.ones((1, 1, 1)) if importance is None else importance
    full = _largest(weights, is_shared) / limit
    best, least = full, np.full_like(full, np.inf)
    for share in SHARES:
        scales = full * share
        errors = importance * (weights - scales * _nearest(weights, scales, limit)) ** 2
        error = _summed(errors, is_shared)
        best, least = np.where(error < least, scales, best), np.minimum(error, least)
    integers = _nearest(weights, best, limit)
    weighted = importance * integers
    return Rounded(integers, _fitted(integers, weights * importance, weighted, best, is_shared))


def compensated(weights: np.ndarray, moments: np.ndarray, limit: int, *, is_shared: bool) -> Rounded:
    """Integers and scales with a small squared error of the outputs, never larger than that of `least_squares`.

    moments: (G, k, k), second moments of the inputs. The inputs after a weight first compensate its rounding error
    (GPTQ, arXiv 2210.17323). Then each integer in turn, and the scales, take the value with the least error
    (coordinate descent, as in QuantEase, arXiv 2309.01885).
    """
    weights = weights.astype(np.float64)
    matrices = damped(moments.astype(np.float64))
    best = least_squares(weights, limit, is_shared=is_shared)
    diagonal = np.diagonal(matrices, axis1=1, axis2=2)[:, None, :]
    first = least_squares(weights, limit, is_shared=is_shared, importance=diagonal)
    begun = Rounded(_rounded_in_order(weights, matrices, first.scales, limit), first.scales)
    found = _descended(weights, matrices, begun, limit, is_shared)
    found = _over_whole_range(weights, matrices, found, limit, is_shared)
    errors = [_error(weights - one.values, matrices, is_shared) for one in (best, found)]
    better = errors[1] < errors[0]
    return Rounded(
        np.where(better, found.integers, best.integers), np.where(better, found.scales, best.scales)
    )


def _rounded_in_order(
    weights: np.ndarray, matrices: np.ndarray, scales: np.ndarray, limit: int
) -> np.ndarray:
    """Integers, input by input from the largest moment to the smallest; later inputs take over the errors."""
    integers = np.empty_like(weights)
    for g, moments in enumerate(matrices):
        order = np.argsort(-np.diagonal(moments), kind="stable")
        upper = np.linalg.cholesky(np.linalg.inv(moments[np.ix_(order, order)])).T
        left, scale = weights[g][:, order], scales[g][:, 0]
        free = left != 0
        found = np.zeros_like(left)
        for start in range(0, left.shape[1], BLOCK):
            stop = min(start + BLOCK, left.shape[1])
            errors = np.zeros((len(left), stop - start))
            for i in range(start, stop):
                found[:, i] = np.where(free[:, i], _nearest(left[:, i], scale, limit), 0.0)
                errors[:, i - start] = (left[:, i] - found[:, i] * scale) / upper[i, i]
                left[:, i + 1 : stop] -= np.outer(errors[:, i - start], upper[i, i + 1 : stop])
            left[:, stop:] -= errors @ upper[start:stop, stop:]
        integers[g][:, order] = found
    return integers


def _descended(
    weights: np.ndarray, matrices: np.ndarray, begun: Rounded, limit: int, is_shared: bool
) -> Rounded:
    """Coordinate descent on the integers, in turn with the scales, until nothing changes."""
    integers, scales = begun.integers.copy(), begun.scales
    groups, outputs, inputs = weights.shape
    sweeps = int(np.clip(MAX_OPERATIONS / (2.0 * groups * outputs * inputs**2), 1, MAX_SWEEPS))
    diagonal, free = np.diagonal(matrices, axis1=1, axis2=2)[:, None, :], weights != 0
    for _ in range(sweeps):
        pull = (weights - integers * scales) @ matrices
        steps = np.where(free, 1.0 / (np.where(scales > 0, scales, 1.0) * diagonal), 0.0)
        is_changed = False
        for start in range(0, inputs, BLOCK):
            block = slice(start, start + BLOCK)
            moved = _block_descended(
                integers[:, :, block],
                pull[:, :, block],
                steps[:, :, block],
                scales,
                matrices[:, block, block],
                limit,
            )
            if moved.any():
                is_changed = True
                integers[:, :, block] += moved
                pull -= (moved * scales) @ matrices[:, block, :]
        scales = _fitted(integers, weights @ matrices, integers @ matrices, scales, is_shared)
        if not is_changed:
            break
    return Rounded(integers, scales)


def _block_descended(
    integers: np.ndarray,
    pull: np.ndarray,
    steps: np.ndarray,
    scales: np.ndarray,
    matrices: np.ndarray,
    limit: int,
) -> np.ndarray:
    """Changes of the integers of some inputs, (G, o, inputs), each made with the changes before it.

    pull: half of the error's negative gradient by the stored weights. steps: its conversion to integers.
    """
    pull, moved = pull.copy(), np.zeros_like(integers)
    for i in range(integers.shape[2]):
        wanted = np.clip(np.rint(integers[:, :, i] + pull[:, :, i] * steps[:, :, i]), -limit, limit)
        moved[:, :, i] = wanted - integers[:, :, i]
        pull -= (moved[:, :, i] * scales[:, :, 0])[:, :, None] * matrices[:, i][:, None, :]
    return moved


def _over_whole_range(
    weights: np.ndarray, matrices: np.ndarray, found: Rounded, limit: int, is_shared: bool
) -> Rounded:
    """The same with finer scales where no integer reaches `limit`; if that does not help, the largest becomes `limit`."""
    for _ in range(MAX_REPEATS):
        reached = _largest(found.integers, is_shared)
        is_short = (reached < limit) & (reached > 0)
        if not is_short.any():
            return found
        finer = np.where(is_short, found.scales * reached / limit, found.scales)
        begun = Rounded(_nearest(weights, finer, limit), finer)
        anew = _descended(weights, matrices, begun, limit, is_shared)
        found = Rounded(
            np.where(is_short, anew.integers, found.integers), np.where(is_short, anew.scales, found.scales)
        )
    reached = _largest(found.integers, is_shared)
    is_largest = (np.abs(found.integers) == reached) & (reached < limit) & (reached > 0)
    return Rounded(np.where(is_largest, np.sign(found.integers) * limit, found.integers), found.scales)


def _fitted(
    integers: np.ndarray, targets: np.ndarray, weighted: np.ndarray, scales: np.ndarray, is_shared: bool
) -> np.ndarray:
    """The scales with the least error for fixed integers, Σ q·target / Σ q·weighted; `scales` where that is not above 0."""
    above, below = _summed(integers * targets, is_shared), _summed(integers * weighted, is_shared)
    found = np.divide(above, below, out=np.zeros_like(above), where=below > 0)
    return np.where(found > 0, found, scales)


def _nearest(weights: np.ndarray, scales: np.ndarray, limit: int) -> np.ndarray:
    return np.clip(np.rint(weights / np.where(scales > 0, scales, 1.0)), -limit, limit)


def _error(difference: np.ndarray, matrices: np.ndarray, is_shared: bool) -> np.ndarray:
    return _summed(difference * (difference @ matrices), is_shared)


def _largest(values: np.ndarray, is_shared: bool) -> np.ndarray:
    return _per_scale(np.abs(values).max(axis=(0, 1, 2) if is_shared else 2, keepdims=True), values)


def _summed(values: np.ndarray, is_shared: bool) -> np.ndarray:
    return _per_scale(values.sum(axis=(0, 1, 2) if is_shared else 2, keepdims=True), values)


def _per_scale(found: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(G, o, 1): one number per output, the same for all where there is one scale."""
    return np.broadcast_to(found, (*values.shape[:2], 1)).copy()
