"""Vectorised encoder of the segments of a coded file; it makes the same decisions as `decoder.Decoder`."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np

from lwdash.packing import decoder
from lwdash.packing.decoder import CHUNK, CLIP, COUNT_LIMIT, MAX_COUNT, Segment

ESTIMATES = np.array([decoder.estimate(n) for n in range(MAX_COUNT + 1)], np.int64)
_TOTALS = np.arange(-CLIP, CLIP + 1)
PROBABILITIES = np.array([decoder.probability(int(t)) for t in _TOTALS], np.int64)
PREFIXES = 8
INPUTS = decoder.VALUE_INPUTS


def hashed(*numbers: np.ndarray | int) -> np.ndarray:
    """`decoder.hashed` on arrays of one shape, uint32."""
    value = np.zeros(np.broadcast_shapes((1,), *(np.shape(n) for n in numbers)), np.uint32)
    for number in numbers:
        value = (value ^ np.asarray(number).astype(np.uint32)) * np.uint32(0x9E3779B1)
        value ^= value >> np.uint32(15)
    return value


def slots(values: np.ndarray, nodes: np.ndarray, bits: int) -> np.ndarray:
    """`decoder.slot` on arrays, uint16."""
    value = (values + nodes.astype(np.uint32) * np.uint32(0x85EBCA6B)) * np.uint32(0x9E3779B1)
    value = (value ^ value >> np.uint32(16)) * np.uint32(0x7FEB352D)
    return (value >> np.uint32(32 - bits)).astype(np.uint16)


def magnitude_classes(numbers: np.ndarray) -> np.ndarray:
    """`decoder.magnitude_class` on an array of non-negative numbers."""
    bits = bit_lengths(numbers)
    second = numbers >> np.maximum(bits - 2, 0) & 1
    return np.where(bits > 1, 2 * bits + second, bits)


def bit_lengths(numbers: np.ndarray) -> np.ndarray:
    """Bits of non-negative numbers below 2^62, int64."""
    bits = np.frexp(numbers.astype(np.float64))[1].astype(np.int64)
    return bits - ((bits > 0) & (numbers < np.int64(1) << np.maximum(bits - 1, 0)))


@dataclass(frozen=True)
class Decisions:
    """The decisions of some numbers in the order of coding. number: index of the number that each belongs to."""

    number: np.ndarray
    prefix: np.ndarray
    node: np.ndarray
    kind: np.ndarray
    bit: np.ndarray


def decisions_of(values: np.ndarray, class_bits: int) -> Decisions:
    """The decisions that `decoder.Decoder.number` takes for each of `values` (int64)."""
    size, sign = np.abs(values), (values < 0).astype(np.int64)
    rows: list[tuple[np.ndarray, int, np.ndarray, np.ndarray, int, np.ndarray]] = []
    everywhere = np.arange(len(values))
    nothing = np.zeros(len(values), np.int64)
    rows.append((everywhere, 0, nothing, nothing, 0, (values != 0).astype(np.int64)))
    some = np.flatnonzero(values)
    size, sign = size[some], sign[some]
    one = np.ones(len(some), np.int64)
    rows.append((some, 1, one, one, 1, sign))
    bits = bit_lengths(size) - 1
    before = one
    for place in range(class_bits):
        bit = bits >> (class_bits - 1 - place) & 1
        rows.append((some, 2 + place, 2 + before + 128 * sign, 2 + before, 2, bit))
        before = before * 2 + bit
    for place in range(int(bits.max(initial=0))):
        has = np.flatnonzero(bits > place)
        count = bits[has]
        node = 256 + count * 64 + place
        known = size[has] >> (count - place)
        prefix = (count + 64) * 512 + known * 2 + sign[has] if place < PREFIXES else node
        rows.append(
            (some[has], 10 + place, prefix, node, 3 + min(place, 4), size[has] >> (count - 1 - place) & 1)
        )
    number = np.concatenate([row[0] for row in rows])
    turn = np.concatenate([np.full(len(row[0]), row[1]) for row in rows])
    order = np.argsort(number * 128 + turn, kind="stable")
    return Decisions(
        number[order],
        np.concatenate([row[2] for row in rows])[order],
        np.concatenate([row[3] for row in rows])[order],
        np.concatenate([np.full(len(row[0]), row[4]) for row in rows])[order],
        np.concatenate([row[5] for row in rows])[order],
    )


@dataclass(frozen=True)
class Contexts:
    """The hashes of the three contexts of each number."""

    exact: np.ndarray
    mean: np.ndarray
    near: np.ndarray

    def part(self, start: int, end: int) -> Contexts:
        return Contexts(self.exact[start:end], self.mean[start:end], self.near[start:end])


def segment_contexts(segment: Segment, modes: np.ndarray, values: np.ndarray) -> Contexts:
    """The contexts of all values of a segment. modes: the list of each channel; values: int64."""
    places = np.arange(len(values))
    channel = places // segment.channel_values % segment.channels
    mode = channel if segment.by_channel else modes[channel] & 0xFFFF
    sizes = np.minimum(np.abs(values), 0xFFFF)
    near = np.zeros(len(values), np.int64)

    def add(distance: int, weight: int, least: int) -> None:
        if distance > 0 and least < len(values):
            near[least:] += weight * sizes[least - distance : len(values) - distance]

    add(1, 2, 1)
    add(2, 1, 3)
    add(3, 1, 3)
    if segment.above:
        add(segment.above, 2, segment.above)
        add(2 * segment.above, 1, 3 * segment.above)
        add(3 * segment.above, 1, 3 * segment.above)
    add(segment.before, 2, segment.before)
    order = np.argsort(channel, kind="stable")
    ordered, starts = sizes[order], np.flatnonzero(np.diff(channel[order], prepend=-1))
    lengths = np.diff(np.append(starts, len(values)))
    before = np.cumsum(ordered) - ordered
    mean = np.empty(len(values), np.int64)
    mean[order] = ((before - np.repeat(before[starts], lengths)) * 16 + 16) // (
        places - np.repeat(starts, lengths) + 1
    )
    return Contexts(
        hashed(1, segment.salt, mode),
        hashed(hashed(2, segment.salt), magnitude_classes(mean)),
        hashed(hashed(3, segment.salt), magnitude_classes(near + (mean >> 4))),
    )


class ValueCoder:
    """The counters and weights after what was coded so far, and the coded decisions: `bits` with `chances`."""

    def __init__(self, table_bits: int):
        self.table_bits = min(table_bits, decoder.VALUE_TABLE_BITS)
        self.counts = np.zeros((2, 1 << self.table_bits), np.int64)
        self.weights = np.full(8 * INPUTS * 16, decoder.VALUE_WEIGHT, np.int64)
        self.rate, self.block, self.step = decoder.VALUE_RATE, decoder.BLOCK, decoder.VALUE_RATE_STEP
        self.decisions = 0

    def copy(self) -> ValueCoder:
        other = copy.copy(self)
        other.counts, other.weights = self.counts.copy(), self.weights.copy()
        return other

    def code(self, values: np.ndarray, contexts: Contexts, class_bits: int) -> tuple[np.ndarray, np.ndarray]:
        """(bits, uint8; probabilities of a one in 65536ths, uint16) of all decisions, and learns from them."""
        found: list[tuple[np.ndarray, np.ndarray]] = []
        for start in range(0, len(values), CHUNK):
            end = start + CHUNK
            found.append(self._chunk(values[start:end], contexts.part(start, end), class_bits))
            self._halve()
        if not found or len(values) % CHUNK == 0:
            self._halve()
        bits = np.concatenate([f[0] for f in found]) if found else np.zeros(0, np.uint8)
        chances = np.concatenate([f[1] for f in found]) if found else np.zeros(0, np.uint16)
        return bits, chances

    def _halve(self) -> None:
        high = (self.counts > COUNT_LIMIT).any(axis=0)
        self.counts[:, high] = (self.counts[:, high] + 1) >> 1

    def _chunk(
        self, values: np.ndarray, contexts: Contexts, class_bits: int
    ) -> tuple[np.ndarray, np.ndarray]:
        made = decisions_of(values, class_bits)
        places = np.empty((len(made.bit), INPUTS), np.uint16)
        places[:, 0] = slots(contexts.exact[made.number], made.prefix, self.table_bits)
        places[:, 1] = slots(contexts.mean[made.number], made.node, self.table_bits)
        places[:, 2] = slots(contexts.near[made.number], made.node, self.table_bits)
        zeros, ones = self._counts_before(places, made.bit)
        stretch = np.clip(ESTIMATES[ones] - ESTIMATES[zeros], -CLIP, CLIP)
        seen = np.minimum(bit_lengths(zeros + ones), 7) + 8 * ((zeros == 0) | (ones == 0))
        chosen = (made.kind[:, None] * INPUTS + np.arange(INPUTS)) * 16 + seen
        chances = np.empty(len(made.bit), np.int64)
        wanted = made.bit << 16
        start = 0
        while start < len(wanted):
            part = slice(start, start + self.block)
            mine, of = stretch[part], chosen[part]
            total = (self.weights.take(of) * mine).sum(axis=1) >> 16
            chances[part] = p = PROBABILITIES.take(total + CLIP, mode="clip")
            mine *= (wanted[part] - p)[:, None]
            gradient = np.bincount(of.reshape(-1), mine.reshape(-1), len(self.weights)).astype(np.int64)
            self.weights += gradient * self.rate >> 24
            start += len(p)
            self.decisions += len(p)
            while self.decisions >= self.step:
                self.rate, self.block, self.step = decoder.slower(self.rate, self.block, self.step)
        return made.bit.astype(np.uint8), chances.astype(np.uint16)

    def _counts_before(self, places: np.ndarray, bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(zeros, ones) that each input of each decision finds, of the shape of `places`; then counts the decisions."""
        flat = places.reshape(-1)
        order = np.argsort(flat, kind="stable")
        place, decision = flat[order], order // INPUTS
        one = bits[decision]
        is_first = np.diff(place.astype(np.int64), prepend=-1) != 0
        # A slot that two inputs of one decision share is read before either counts.
        is_new = is_first | (np.diff(decision, prepend=-1) != 0)
        at = np.arange(len(flat))
        reads = np.maximum.accumulate(np.where(is_new, at, 0))
        starts = np.maximum.accumulate(np.where(is_first, at, 0))
        ones_before = np.cumsum(one) - one
        new_ones = (ones_before[reads] - ones_before[starts]).astype(np.int64)
        new_zeros = reads - starts - new_ones
        found = np.empty((2, len(flat)), np.int64)
        found[0, order] = np.minimum(self.counts[0, place] + new_zeros, MAX_COUNT)
        found[1, order] = np.minimum(self.counts[1, place] + new_ones, MAX_COUNT)
        size = 1 << self.table_bits
        all_counts, all_ones = (
            np.bincount(place, minlength=size),
            np.bincount(place, one, size).astype(np.int64),
        )
        self.counts = np.minimum(self.counts + np.stack([all_counts - all_ones, all_ones]), MAX_COUNT)
        return found[0].reshape(places.shape), found[1].reshape(places.shape)


def information_bits(bits: np.ndarray, chances: np.ndarray) -> float:
    """Bits that the decisions take in a range coder."""
    likelihoods = np.where(bits == 1, chances, 65536 - chances.astype(np.int64))
    return float(16 * len(bits) - np.log2(likelihoods).sum())
