"""Descriptions of a tensor's values for the coder: the candidates of each tensor, and the plan as bytes."""

from __future__ import annotations

import math
import struct
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lwdash.packing import decoder
from lwdash.packing.decoder import FLOAT, INT, LIST, RATIO, Segment
from lwdash.packing.value_ratios import Ratios, find_ratios
from lwdash.tflite.tensor import Tensor, bits_of, is_float

MAX_ENTRIES, MAX_CHANNEL_ENTRIES = 256, 4096
"""Longer lists do not pay: for all channels, and for values that differ from channel to channel."""
LISTED, SCALED, BY_CHANNEL = "list of values", "scaled list of values", " by channel"
MIN_CHANNEL_VALUES, MAX_CHANNEL_DISTINCT = 64, 100
"""Channels with so many values, but on average so few different ones, may have statistics of their own."""
FLOAT_BITS_CODED = {"float32": 16, "float16": 12, "bfloat16": 16}
"""Upper bits of a float that are coded; the others are almost always noise."""
MAX_CHANNELS, MAX_DISTANCE = 1 << 16, 1 << 18
"""The memory of `decoder.c` grows with both."""
OWN_SALT = 16
"""Segments of one mode and width may share their counters under a salt below; others are a segment's own."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """One way to code a segment. values: the whole numbers; modes: the list of each channel; low: the lowest bits."""

    label: str
    plan: bytes
    segment: Segment
    values: np.ndarray
    modes: np.ndarray
    low: np.ndarray | None


@dataclass(frozen=True)
class Layout:
    """Distances in values, as in `decoder.Segment`."""

    channel_values: int
    channels: int
    above: int
    before: int


def layout_of(tensor: Tensor, count: int) -> Layout:
    """Channels along the axis of the scales, or the first; neighbours above (next channel) and before (next column)."""
    shape = [n for n in tensor.shape if n > 0]
    if len(shape) < 2 or tensor.is_stored_sparse or math.prod(shape) < count:
        return Layout(count, 1, 0, 0)
    quantization = tensor.quantization
    axis = quantization.axis if quantization is not None and quantization.is_per_channel else 0
    if shape[0] == 1 and axis == 0:
        axis = len(shape) - 1
    row = math.prod(shape[axis + 1 :])
    above = row if axis == 0 else shape[-1]
    before = shape[-1] if axis == 0 and len(shape) > 2 else 0
    if shape[axis] > MAX_CHANNELS or above > MAX_DISTANCE or before > MAX_DISTANCE:
        return Layout(count, 1, 0, 0)
    return Layout(min(row, count), min(shape[axis], count), above % count, before % count)


def candidates(
    tensor: Tensor, data: bytes, gap: int, salt: int, shared: Collection[int]
) -> Iterator[Candidate]:
    """The ways to code `data`, the first bytes of a tensor (a multiple of four).

    gap: bytes of the structure before them. salt: for counters of their own. shared: salts of segments before.
    """
    bits = bits_of(tensor.dtype) or 8
    width = {4: 0, 8: 1, 16: 2, 32: 3, 64: 4}.get(bits, 1)
    if width == 4 and len(data) % 8:
        width = 3
    stored = stored_numbers(data, width)
    layout = layout_of(tensor, len(stored))
    plain = signed(stored, width)
    build = _Builder(data, gap, width, layout, salt, shared)
    if width < 4 or int(np.abs(plain).max()) < 1 << 62:
        for choice in build.salts(INT):
            yield build.make("integers", INT, plain, salt=choice)
        if width == 1 and layout.channel_values >= MIN_CHANNEL_VALUES and _has_few_values(plain, layout):
            yield build.make("integers" + BY_CHANNEL, INT, plain, by_channel=True)
    else:
        build = _Builder(data, gap, 3, Layout(len(stored) * 2, 1, 0, 0), salt, shared)
        yield build.make("integers", INT, signed(stored_numbers(data, 3), 3))
        return
    entries = np.unique(stored)
    longest = MAX_CHANNEL_ENTRIES if width > 1 else MAX_ENTRIES
    if width >= 1 and 1 < len(entries) <= min(longest, len(stored) // 2):
        yield from build.listed(tensor.dtype, stored, entries)
    if width == 1 and layout.channels > 1:
        ratios = find_ratios(plain, np.arange(len(plain)) // layout.channel_values % layout.channels)
        if ratios is not None:
            yield from build.by_ratios(plain, ratios)
    if is_float(tensor.dtype) and tensor.dtype in FLOAT_BITS_CODED:
        yield from build.floats(stored, bits, FLOAT_BITS_CODED[tensor.dtype])


def stored_numbers(data: bytes, width: int) -> np.ndarray:
    """The bytes as unsigned numbers, uint64; two a byte for width 0."""
    if width == 0:
        pairs = np.frombuffer(data, np.uint8)
        return np.stack([pairs & 15, pairs >> 4], axis=1).reshape(-1).astype(np.uint64)
    return np.frombuffer(data, f"<u{decoder.WIDTHS[width]}").astype(np.uint64)


def signed(stored: np.ndarray, width: int) -> np.ndarray:
    """The same bits as signed numbers, int64."""
    unused = 64 - (4 if width == 0 else 8 * decoder.WIDTHS[width])
    return (stored << np.uint64(unused)).view(np.int64) >> unused


def _has_few_values(plain: np.ndarray, layout: Layout) -> bool:
    if layout.channels == 1:
        return False
    present = np.zeros((layout.channels, 256), bool)
    present[np.arange(len(plain)) // layout.channel_values % layout.channels, plain + 128] = True
    return bool(present.sum() <= MAX_CHANNEL_DISTINCT * layout.channels)


@dataclass(frozen=True)
class _Builder:
    data: bytes
    gap: int
    width: int
    layout: Layout
    salt: int
    shared: Collection[int]

    def salts(self, mode: int) -> tuple[int, ...]:
        """The salts to try: the one for this mode and width, and, if segments before have it, one of its own."""
        common = mode * 4 + min(self.width, 3)
        return (common, self.salt) if common in self.shared else (common,)

    def listed(self, dtype: str, stored: np.ndarray, entries: np.ndarray) -> Iterator[Candidate]:
        numbers = _as_numbers(entries, dtype, self.width)
        order = np.argsort(numbers, kind="stable")
        ordered = entries[order]
        place = np.empty(len(entries), np.int64)
        place[order] = np.arange(len(entries))
        zero = int(np.argmin(np.abs(numbers[order])))
        values = place[np.searchsorted(entries, stored)] - zero
        size = decoder.WIDTHS[self.width]
        details = varint(len(entries)) + varint(zero)
        details += b"".join(int(entry).to_bytes(size, "little") for entry in ordered)
        if len(entries) <= MAX_ENTRIES:
            for salt in self.salts(LIST):
                yield self.make(LISTED, LIST, values, details=details, salt=salt)
        if self.width > 1 and self.layout.channels > 1:
            yield self.make(LISTED + BY_CHANNEL, LIST, values, details=details, by_channel=True)

    def by_ratios(self, plain: np.ndarray, ratios: Ratios) -> Iterator[Candidate]:
        details = varint(len(ratios.entries)) + varint(ratios.zero) + varint(ratios.peak)
        details += struct.pack(f"<{len(ratios.entries)}h", *ratios.entries)
        channel = np.arange(len(plain)) // self.layout.channel_values % self.layout.channels
        values = ratios.places(plain, channel)
        for salt in self.salts(RATIO):
            yield self.make(SCALED, RATIO, values, details=details, salt=salt, modes=ratios.modes)
        if self.layout.channel_values >= MIN_CHANNEL_VALUES:
            label = SCALED + BY_CHANNEL
            yield self.make(label, RATIO, values, details=details, modes=ratios.modes, by_channel=True)

    def floats(self, stored: np.ndarray, bits: int, coded: int) -> Iterator[Candidate]:
        sign = stored >> np.uint64(bits - 1)
        magnitude = (stored & np.uint64((1 << (bits - 1)) - 1)).astype(np.int64)
        low_bits = bits - coded
        upper = magnitude >> low_bits
        if ((upper == 0) & ((magnitude != 0) | (sign != 0))).any():
            return
        base = int(upper[upper > 0].min(initial=1 << 30)) if upper.any() else 1
        base = base >> 7 << 7 or 1
        values = np.where(upper > 0, upper - base + 1, 0) * np.where(sign > 0, -1, 1)
        details = bytes([low_bits]) + varint(base)
        low = magnitude & ((1 << low_bits) - 1)
        for salt in self.salts(FLOAT):
            yield self.make("floats", FLOAT, values, details=details, salt=salt, low=low)

    def make(
        self,
        label: str,
        mode: int,
        values: np.ndarray,
        *,
        by_channel: bool = False,
        details: bytes = b"",
        salt: int | None = None,
        modes: np.ndarray | None = None,
        low: np.ndarray | None = None,
    ) -> Candidate:
        layout = self.layout
        largest = int(np.abs(values).max(initial=1))
        class_bits = max(1, (max(largest, 1).bit_length() - 1).bit_length())
        plan = varint(self.gap // 4) + varint(len(self.data) // 4)
        plan += bytes([mode | self.width << 2 | by_channel << 5, class_bits])
        for number in (
            self.salt if salt is None else salt,
            layout.channel_values,
            layout.channels,
            layout.above,
            layout.before,
        ):
            plan += varint(number)
        plan += details
        segment = Segment(decoder.Numbers(plan), 0)
        if modes is None:
            modes = np.zeros(segment.channels, np.int64)
        return Candidate(label, plan, segment, values.astype(np.int64), modes, low)


def _as_numbers(entries: np.ndarray, dtype: str, width: int) -> np.ndarray:
    """Numbers that the stored bits stand for, to sort by; bits that are no finite number last."""
    if dtype in ("float32", "float16", "float64"):
        raw = entries.astype(f"<u{decoder.WIDTHS[width]}")
        return np.nan_to_num(raw.view(f"<f{decoder.WIDTHS[width]}").astype(np.float64), nan=np.inf)
    return signed(entries, width).astype(np.float64)


def varint(number: int) -> bytes:
    """A number of the plan: 7 bits a byte, low first."""
    written = bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    written.append(number)
    return bytes(written)


def plan_bytes(products: Sequence[bytes], segments: Sequence[bytes]) -> bytes:
    """The whole plan, filled up to a multiple of eight."""
    plan = varint(len(segments)) + b"".join(segments) + varint(len(products)) + b"".join(products)
    return plan + bytes(-len(plan) % 8)
