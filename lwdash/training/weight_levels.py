"""Few levels for the weights of a kernel, below 8 bits: even steps, powers of two, or sums of scaled signs.

Weights are given as (channels, weights of a channel). Each channel has its own scale, the one with the least squared
error, found by alternating between the scale and the choice of levels: ternary weights (arXiv 1605.04711), binary weights
with a scale (XNOR-Net's, arXiv 1603.05279), learned bases of signs (LQ-Nets, arXiv 1807.10029; alternating multi-bit,
arXiv 1802.00150), powers of two (INQ, arXiv 1702.03044).
"""

from collections.abc import Callable

import numpy as np

SHARES = np.linspace(0.3, 1.0, 8)
"""First scales, as shares of the largest weight."""
FIRST_ALTERNATIONS = 3
TINY = 1e-30

Rounded = tuple[np.ndarray, np.ndarray]
"""The weights with few levels, and the scales of each channel, for the next call."""
Rounding = Callable[[np.ndarray, np.ndarray | None], Rounded]
"""(weights, the scales of the call before or None) → the weights with few levels and their scales."""


def make_rounding(bits: int, spacing: str) -> Rounding:
    """The rounding to at most 2 ** bits values in each channel.

    spacing: "even" is −n … n steps of equal size, with n = 2 ** (bits − 1) − 1; "powers" is zero and n powers of two of
    each sign; "sums" is a sum of `bits` scales, each with a sign. One bit is a sign and a scale in all cases.
    """
    if spacing == "sums" or bits == 1:
        return lambda weights, scales: _signed_sums(weights, bits, scales)
    count = 2 ** (bits - 1) - 1
    steps = np.arange(1, count + 1) / count if spacing == "even" else 2.0 ** -np.arange(count - 1, -1, -1)
    levels = np.concatenate([[0.0], steps])
    return lambda weights, scales: _scaled_levels(weights, levels, scales)


def make_grid(bits: int, *, scales: int | None = None) -> Rounding:
    """The rounding to the integers −n … n times a scale, n = 2 ** (bits − 1) − 1, as an integer file stores weights.

    8 bits take the scale from the largest weight. Fewer bits begin with the scale of the least squared error and keep it:
    if it followed the weights, it would move all of a channel's levels in each step.
    scales: number of scales, each for as many of the channels; None for one a channel.
    """
    largest = 2 ** (bits - 1) - 1

    def begin(weights: np.ndarray) -> Rounded:
        if bits < 8:
            return _scaled_levels(weights, np.arange(largest + 1) / largest, None)
        return weights, np.maximum(np.abs(weights).max(axis=1, keepdims=True), TINY)

    def rounding(weights: np.ndarray, known: np.ndarray | None) -> Rounded:
        grouped = weights if scales is None else weights.reshape(scales, -1)
        if known is None or bits >= 8:
            known = begin(grouped)[1]
        step = known / largest
        values = np.clip(np.rint(grouped / step), -largest, largest) * step
        return values.astype(weights.dtype).reshape(weights.shape), known

    return rounding


def _scaled_levels(weights: np.ndarray, levels: np.ndarray, scales: np.ndarray | None) -> Rounded:
    """The nearest multiples of fixed levels, with a scale for each channel.

    levels: 0 … 1, ascending, of both signs.

    The largest weight of a channel takes the largest level, so that an integer file has the same few integers in every
    channel.
    """
    size = np.abs(weights.astype(np.float64))
    largest = np.maximum(size.max(axis=1, keepdims=True), TINY)
    middles = (levels[1:] + levels[:-1]) / 2

    def alternate(scale: np.ndarray, times: int) -> tuple[np.ndarray, np.ndarray]:
        for _ in range(times):
            chosen = levels[np.searchsorted(middles, size / scale)]
            fitted = (size * chosen).sum(axis=1, keepdims=True) / np.maximum(
                (chosen**2).sum(axis=1, keepdims=True), TINY
            )
            scale = np.clip(fitted, TINY, largest / middles[-1])
        return scale, scale * levels[np.searchsorted(middles, size / scale)]

    if scales is not None:
        best, values = alternate(np.minimum(scales, largest / middles[-1]), 1)
    else:
        best, values = alternate(SHARES[0] * largest, FIRST_ALTERNATIONS)
        for share in SHARES[1:]:
            scale, tried = alternate(share * largest, FIRST_ALTERNATIONS)
            is_better = ((size - tried) ** 2).sum(axis=1) < ((size - values) ** 2).sum(axis=1)
            best[is_better], values[is_better] = scale[is_better], tried[is_better]
    return (np.sign(weights) * values).astype(weights.dtype), best


def _signed_sums(weights: np.ndarray, bits: int, scales: np.ndarray | None) -> Rounded:
    """The nearest sums of scales with signs, one scale for each bit and channel.

    scales: (channels, bits); first greedily, from the signs of what is left.
    """
    target = weights.astype(np.float64)
    signs = 1.0 - 2.0 * ((np.arange(2**bits)[:, None] >> np.arange(bits)) & 1)
    times = 1
    if scales is None:
        rest, found, times = target, [], FIRST_ALTERNATIONS
        for _ in range(bits):
            found.append(np.abs(rest).mean(axis=1))
            rest = rest - np.where(rest < 0, -1.0, 1.0) * found[-1][:, None]
        scales = np.stack(found, axis=1)
    for _ in range(times):
        codes = signs[_nearest(target, scales @ signs.T)]
        gram = np.einsum("cnb,cnd->cbd", codes, codes) + 1e-9 * target.shape[1] * np.eye(bits)
        scales = np.linalg.solve(gram, np.einsum("cnb,cn->cb", codes, target)[..., None])[..., 0]
    values = scales @ signs.T
    return np.take_along_axis(values, _nearest(target, values), axis=1).astype(weights.dtype), scales


def _nearest(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The number of the nearest of each channel's values, (channels, weights). values: (channels, levels)."""
    order = np.argsort(values, axis=1)
    ascending = np.take_along_axis(values, order, axis=1)
    middles = (ascending[:, 1:] + ascending[:, :-1]) / 2
    places = np.zeros(weights.shape, np.int64)
    for number in range(middles.shape[1]):
        places += weights > middles[:, number : number + 1]
    return np.take_along_axis(order, places, axis=1)
