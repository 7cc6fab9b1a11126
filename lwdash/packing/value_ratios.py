"""The shared real values behind clustered int8 channels.

A kernel that was clustered as a whole has a few real values. Quantized channel by channel, they become other integers in
each channel: 127 · value / (largest value that the channel has), rounded. The search goes back from the integers to
ratios between the real values, so that each weight is its place in one list.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lwdash.packing.decoder import ratio_value

MAX_ENTRIES = 64
MAX_CHANNEL_SETS = 600
TOLERANCE = 1.0
"""Integers so far from each other may stand for the same real value."""
MERGED = 0.9
LARGEST = 32767
ROUNDS, PASSES = 12, 2
MISSING_PENALTY, MIRROR_PENALTIES = 1000.0, (0.001, 1500.0)
"""A channel may have the signs of all values changed, by a negative factor. Where that is rare, it has to explain two more
values."""


@dataclass(frozen=True, eq=False)
class Ratios:
    """A look-up table of values relative to each channel's largest.

    entries: int16, rising, with a zero at `zero`. modes: per channel ± (place of its largest entry + 1), 0: none.
    """

    entries: tuple[int, ...]
    zero: int
    peak: int
    modes: np.ndarray

    def table(self, mode: int) -> np.ndarray:
        """The integer of each entry in channels of `mode`."""
        largest = self.entries[abs(mode) - 1]
        return np.array([ratio_value(entry, largest, self.peak, mode < 0) for entry in self.entries])

    def places(self, values: np.ndarray, channel: np.ndarray) -> np.ndarray:
        """The place of each value in the list, less `zero`; the value itself in channels of mode 0."""
        result = values.copy()
        mode_of_value = self.modes[channel]
        for mode in np.unique(self.modes[self.modes != 0]):
            place_of = np.zeros(256, np.int64)
            table = self.table(int(mode))
            fits = (table >= -128) & (table < 128)
            place_of[table[fits] & 0xFF] = np.flatnonzero(fits) - self.zero
            place_of[0] = 0
            chosen = mode_of_value == mode
            result[chosen] = place_of[values[chosen] & 0xFF]
        return result


def find_ratios(values: np.ndarray, channel: np.ndarray) -> Ratios | None:
    """The list behind int8 `values` (flat); None where most channels do not follow from one."""
    channels = int(channel.max()) + 1
    present = np.zeros((channels, 256), bool)
    present[channel, values + 128] = True
    present[:, 128] = False
    rows, which = np.unique(present, axis=0, return_inverse=True)
    peak = int(np.abs(values).max(initial=0))
    sizes = rows.sum(axis=1)
    if not 1 < len(rows) <= MAX_CHANNEL_SETS or sizes.max() > MAX_ENTRIES or peak < 2:
        return None
    sets = [np.flatnonzero(row) - 128.0 for row in rows]
    share = np.bincount(which.reshape(-1), minlength=len(sets))
    order = sorted((i for i in range(len(sets)) if sizes[i]), key=lambda i: (-sizes[i], -share[i]))
    sets = [sets[i] for i in order]
    number_of_set = np.full(len(rows), -1)
    number_of_set[order] = np.arange(len(order))
    best: tuple[float, Ratios] | None = None
    for mirror_penalty in MIRROR_PENALTIES:
        for reals in _fits(sets, peak, mirror_penalty):
            ratios = _ratios(reals, sets, peak, number_of_set[which.reshape(-1)])
            if np.count_nonzero(ratios.modes) * 2 >= channels:
                places, modes = ratios.places(values, channel), ratios.modes[channel]
                bits = sum(_entropy_bits(places[modes == mode]) for mode in np.unique(modes))
                bits += 16 * len(ratios.entries)
                if best is None or bits < best[0]:
                    best = (bits, ratios)
    return best[1] if best else None


def _entropy_bits(places: np.ndarray) -> float:
    counts = np.unique(places, return_counts=True)[1]
    return float((counts * np.log2(counts.sum() / counts)).sum())


def _ratios(reals: np.ndarray, sets: list[np.ndarray], peak: int, set_of_channel: np.ndarray) -> Ratios:
    """The list of `reals` as integers, with the channels that follow from it exactly."""
    scaled = np.round(reals / np.abs(reals).max() * LARGEST).astype(np.int64)
    entries = tuple(int(n) for n in np.unique(np.append(scaled, 0)))
    empty = Ratios(entries, entries.index(0), peak, np.zeros(len(set_of_channel), np.int64))
    places = [place + 1 for place in range(len(entries)) if entries[place]]
    tables = {mode: set(empty.table(mode).tolist()) for place in places for mode in (place, -place)}
    modes = np.zeros(len(sets) + 1, np.int64)  # the last is that of channels of zeros
    for i, values in enumerate(sets):
        fits = [mode for mode, table in tables.items() if table.issuperset(values.tolist())]
        modes[i] = max(fits, key=lambda mode: (mode > 0, -abs(mode)), default=0)
    return Ratios(entries, empty.zero, peak, modes[set_of_channel])


def _fits(sets: list[np.ndarray], peak: int, mirror_penalty: float) -> Iterator[np.ndarray]:
    """Real values of which the sets are rounded multiples, better ones last; none if they would be too many."""
    reals = sets[0] / peak
    scales = [1.0]
    for values in sets[1:]:
        scales.append(_best_scale(values, reals, peak, mirror_penalty))
        distance = np.abs(values[:, None] * scales[-1] / peak - reals).min(axis=1)
        far = distance > TOLERANCE * abs(scales[-1]) / peak
        reals = np.append(reals, values[far] * scales[-1] / peak)
        if len(reals) > MAX_ENTRIES:
            return
    for _ in range(PASSES):
        reals = _refined(sets, scales, reals, peak)
        yield reals
        reals = _merged(sets, scales, reals, peak)
        scales = [_best_scale(values, reals, peak, mirror_penalty) for values in sets]
    yield _refined(sets, scales, reals, peak)


def _best_scale(values: np.ndarray, reals: np.ndarray, peak: int, mirror_penalty: float) -> float:
    """The factor that brings `values / peak` to as many of `reals` as possible, as closely as possible."""
    tries = (reals[:, None] * peak / values).ravel()
    tries = tries[tries != 0]
    near = np.abs(values[None, :, None] - reals * peak / tries[:, None, None]).min(axis=2)
    is_missing = near > TOLERANCE
    error = is_missing.sum(axis=1) * MISSING_PENALTY + np.where(is_missing, 0, near).sum(axis=1)
    return float(tries[int((error + (tries < 0) * mirror_penalty).argmin())])


def _refined(sets: list[np.ndarray], scales: list[float], reals: np.ndarray, peak: int) -> np.ndarray:
    """Moves each real value to the middle of what the rounded integers leave to it, or to their mean."""
    for _ in range(ROUNDS):
        low, high = np.full(len(reals), -np.inf), np.full(len(reals), np.inf)
        total, weights = np.zeros(len(reals)), np.zeros(len(reals))
        for values, scale in zip(sets, scales, strict=True):
            scaled, half = values * scale / peak, 0.5 * abs(scale) / peak
            distance = np.abs(scaled[:, None] - reals)
            at = distance.argmin(axis=1)
            if distance.min(axis=1).max() > 2 * half * TOLERANCE:
                continue
            np.maximum.at(low, at, scaled - half)
            np.minimum.at(high, at, scaled + half)
            np.add.at(total, at, scaled / half**2)
            np.add.at(weights, at, 1 / half**2)
        known = weights > 0
        means = np.divide(total, weights, where=known, out=reals.copy())
        with np.errstate(invalid="ignore"):
            reals = np.where(known & (low <= high), (low + high) / 2, means)
        for i, values in enumerate(sets):
            largest = values[np.abs(values).argmax()]
            if abs(largest) == peak:
                scales[i] = reals[np.abs(largest * scales[i] / peak - reals).argmin()] * peak / largest
    return reals[known]


def _merged(sets: list[np.ndarray], scales: list[float], reals: np.ndarray, peak: int) -> np.ndarray:
    """One instead of two real values that are close to each other and never in one set."""
    reals = np.sort(reals)
    used = np.zeros((len(sets), len(reals)), bool)
    for i, (values, scale) in enumerate(zip(sets, scales, strict=True)):
        used[i, np.abs(values[:, None] * scale / peak - reals).argmin(axis=1)] = True
    kept = [0]
    for i in range(1, len(reals)):
        before = kept[-1]
        is_close = reals[i] - reals[before] < MERGED / peak * np.abs(reals).max()
        if is_close and not (used[:, i] & used[:, before]).any():
            if used[:, i].sum() > used[:, before].sum():
                kept[-1] = i
            used[:, kept[-1]] |= used[:, i] | used[:, before]
        else:
            kept.append(i)
    return reals[kept]
