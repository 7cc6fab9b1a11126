"""Decoder of coded .tflite files (format LWC1): standard library only, usable without lwdash.

    python decoder.py model.tflite.coded model.tflite

The format, in the order of decoding. All numbers are little-endian.

Header, 19 bytes: "LWC1"; CRC-32 of all that follows byte 8; size of the .tflite; CRC-32 of the .tflite; KiB of memory
that `decoder.c` needs for plan and segments (two bytes); a byte T.
The rest is one stream of a binary range coder (32-bit range, 16-bit probabilities). Bytes missing at its end are
zeros. Every decision has a few contexts. A hash of a context selects one of 2^T pairs of counters. A pair (zeros, ones)
gives the estimate ln(ones + 0.4) - ln(zeros + 0.4). The estimates are added with weights that are learnt while
decoding; the logistic function of the sum is the probability of a one. All of it is integer arithmetic.

1. The plan: its length (four bytes), then its bytes, as `Plan` reads them. It lists the *segments*, which are the
   values of the larger tensors, and the *products*, which are vectors of scales that equal another vector of scales
   times (or divided by) a constant.
2. The structure: all bytes of the .tflite outside of segments, each with the bytes before it as contexts.
3. The segments: each value is a whole number, directly or as its place in a list of values. It is coded as: zero or
   not, sign, number of bits, the bits below the first. The contexts are these bits, the mean magnitude of the channel,
   and the magnitudes of values nearby. The lowest bits of floats follow as they are.
"""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Sequence

MAGIC = b"LWC1"
HEADER = struct.Struct("<4sIIIHB")
MAX_RATIO = 1000
"""A .tflite is at most so many times larger than its coded file, so that decoding takes a bounded time."""
MAX_SIZE_BYTES = (1 << 31) - 1
TABLE_BITS = range(10, 23)
VALUE_TABLE_BITS = 16
"""Segments use at most so many bits of the table of counters."""

CHUNK, COUNT_LIMIT, MAX_COUNT = 16384, 32767, 65535
"""After so many values of a segment, pairs of counters with one above COUNT_LIMIT are halved."""
BLOCK, MAX_BLOCK = 16, 512
"""After so many decisions in a segment the weights are learnt; in the structure after each."""
TEXT_INPUTS, VALUE_INPUTS = 6, 3
TEXT_WEIGHT, VALUE_WEIGHT = 19000, 24000
"""Weights at the start, in 65536ths."""
TEXT_RATE, VALUE_RATE = 1500, 2500
TEXT_RATE_STEP, VALUE_RATE_STEP = 32000, 2000
"""After so many decisions the rate of learning falls: by the root of two, and again after twice as many (structure); by
half, and again after four times as many (segments)."""
MATCH_BITS, MIN_MATCH, LONG_MATCH, MAX_MATCH = 13, 4, 16, 32
CLIP = 2815
MAX_SCALE = 3e38
"""Larger products, infinite ones and NaN are taken for 0."""

INT, FLOAT, LIST, RATIO = range(4)
WIDTHS = (1, 1, 2, 4, 8)
"""Bytes a value, by code. Code 0: two values of 4 bits in a byte, the first in the low bits."""


class Damaged(ValueError):
    """These bytes are not a coded .tflite, or they are damaged."""


def _logarithms() -> list[int]:
    """256 ln(n + 0.4) plus a constant, for n below 256: by squaring, so that every machine gets the same."""
    table = []
    for n in range(256):
        x, log2 = 5 * n + 2, 30 << 12
        while x < 1 << 30:
            x, log2 = x << 1, log2 - (1 << 12)
        for place in range(11, -1, -1):
            x = x * x >> 30
            if x >= 1 << 31:
                x, log2 = x >> 1, log2 | 1 << place
        table.append(log2 * 45426 >> 20)
    return table


LOGARITHMS = _logarithms()
LOG_OF_2 = 177


def _tails() -> list[int]:
    """65536 / (1 + exp(i / 8)) for i below 90."""
    table = []
    power = 1 << 32
    for _ in range(90):
        table.append((power << 16) // ((1 << 32) + power))
        power = power * 3790295335 >> 32
    return table


TAIL = _tails()


def estimate(count: int) -> int:
    """The scaled logarithm of a count of 0 to MAX_COUNT."""
    if count < 256:
        return LOGARITHMS[count]
    shift = count.bit_length() - 8
    return LOGARITHMS[count >> shift] + shift * LOG_OF_2


def probability(total: int) -> int:
    """65536 times the logistic function of total / 256, 1 to 65535."""
    total = min(max(total, -CLIP), CLIP)
    place, rest = abs(total) >> 5, abs(total) & 31
    tail = TAIL[place] * (32 - rest) + TAIL[place + 1] * rest >> 5
    return tail if total < 0 else min(65536 - tail, 65535)


def hashed(*numbers: int) -> int:
    """A 32-bit hash of up to four numbers below 2^32."""
    value = 0
    for number in numbers:
        value = (value ^ number) * 0x9E3779B1 & 0xFFFFFFFF
        value ^= value >> 15
    return value


def slot(value: int, node: int, bits: int) -> int:
    """The place of a pair of counters: `value` is the hash of a context, `node` the decision within it."""
    value = (value + node * 0x85EBCA6B) * 0x9E3779B1 & 0xFFFFFFFF
    value = (value ^ value >> 16) * 0x7FEB352D & 0xFFFFFFFF
    return value >> 32 - bits


def magnitude_class(number: int) -> int:
    """2 log2 of a number, rounded down; 0 for 0."""
    bits = number.bit_length()
    return 2 * bits + (number >> bits - 2 & 1) if bits > 1 else bits


class Numbers:
    """Reads the plan: numbers of 7 bits a byte, low first, 128 meaning that more follows."""

    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def number(self) -> int:
        value = 0
        for shift in range(0, 35, 7):
            byte = self.raw(1)[0]
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise Damaged("a number in the plan is too long")

    def raw(self, count: int) -> bytes:
        self.at += count
        if self.at > len(self.data):
            raise Damaged("the plan is too short")
        return self.data[self.at - count : self.at]


class Product:
    """`count` floats at byte `target` of the structure equal those at `source`, times or divided by `factor`."""

    def __init__(self, numbers: Numbers, before: int):
        self.target = before + 4 * numbers.number()
        self.count = numbers.number()
        self.source = self.target - 4 * numbers.number()
        self.divides = numbers.raw(1)[0]
        (self.factor,) = struct.unpack("<f", numbers.raw(4))
        if (
            self.source < 0
            or self.source + 4 * self.count > self.target
            or (self.divides and not self.factor)
        ):
            raise Damaged("a product has no source")

    @property
    def end(self) -> int:
        return self.target + 4 * self.count

    def expected(self, text: bytes | bytearray, index: int) -> int:
        """The byte expected at `index`; inside of the region only."""
        at = self.source + ((index - self.target) & ~3)
        (value,) = struct.unpack_from("<f", text, at)
        value = value / self.factor if self.divides else value * self.factor
        return struct.pack("<f", value if abs(value) < MAX_SCALE else 0.0)[index & 3]


class Segment:
    """A tensor's values: where they lie, how they are coded, and the distances of neighbours.

    The channel of value i is i // channel_values % channels. `above` and `before` are distances to neighbours, 0: none.
    """

    def __init__(self, numbers: Numbers, position: int):
        self.start = position + 4 * numbers.number()
        self.bytes = 4 * numbers.number()
        kind = numbers.raw(1)[0]
        self.mode, self.width, self.by_channel = kind & 3, kind >> 2 & 7, kind >> 5 & 1
        if self.width >= len(WIDTHS) or kind >> 6:
            raise Damaged("the kind of a segment is unknown")
        self.end = self.start + self.bytes
        self.count = self.bytes * 2 if self.width == 0 else self.bytes // WIDTHS[self.width]
        self.class_bits = numbers.raw(1)[0]
        self.salt = numbers.number()
        self.channel_values, self.channels = numbers.number(), numbers.number()
        self.above, self.before = numbers.number(), numbers.number()
        self.low_bits = self.base = self.zero = self.peak = 0
        self.list: list[int] = []
        if self.mode == FLOAT:
            self.low_bits, self.base = numbers.raw(1)[0], numbers.number()
        elif self.mode in (LIST, RATIO):
            entries, self.zero = numbers.number(), numbers.number()
            if self.mode == RATIO:
                self.peak = numbers.number()
            size = WIDTHS[self.width] if self.mode == LIST else 2
            raw = numbers.raw(entries * size)
            self.list = [
                int.from_bytes(raw[i : i + size], "little", signed=self.mode == RATIO)
                for i in range(0, len(raw), size)
            ]
        bits = 4 if self.width == 0 else 8 * WIDTHS[self.width]
        if (
            not 1 <= self.class_bits <= 6
            or self.low_bits > 16
            or (self.mode == FLOAT and (self.low_bits >= bits or bits > 32))
            or self.bytes % max(4, WIDTHS[self.width])
            or not 1 <= self.channels <= self.count
            or not 1 <= self.channel_values <= self.count
            or (self.mode == RATIO and self.width != 1)
        ):
            raise Damaged("a segment cannot be as it is described")


class Plan:
    """The products and the segments of a file of `size` bytes, in the order in which they lie in it."""

    def __init__(self, data: bytes, size: int):
        numbers = Numbers(data)
        self.products: list[Product] = []
        self.segments: list[Segment] = []
        position = coded = 0
        for _ in range(numbers.number()):
            segment = Segment(numbers, position)
            position = segment.end
            coded += segment.bytes
            self.segments.append(segment)
        place = 0
        for _ in range(numbers.number()):
            self.products.append(Product(numbers, place))
            place = self.products[-1].end
        self.structure_bytes = size - coded
        if position > size or place > self.structure_bytes:
            raise Damaged("the plan does not fit the size of the file")


class Decoder:
    """The stream of decisions."""

    def __init__(self, data: bytes, at: int, table_bits: int):
        self.data, self.at = data, at
        self.range, self.code = 1, 0
        self.bits = table_bits
        self.zeros, self.ones = [0] * (1 << table_bits), [0] * (1 << table_bits)
        self._refill()
        self.text_weights = [TEXT_WEIGHT] * (5 * TEXT_INPUTS * 16)
        self.text_rate, self.text_decisions, self.text_step = TEXT_RATE, 0, TEXT_RATE_STEP
        self.value_weights = [VALUE_WEIGHT] * (8 * VALUE_INPUTS * 16)
        self.gradients = [0] * len(self.value_weights)
        self.value_rate, self.value_decisions, self.value_step = VALUE_RATE, 0, VALUE_RATE_STEP
        self.block, self.in_block = BLOCK, 0

    def _refill(self) -> None:
        while self.range < 1 << 24:
            byte = self.data[self.at] if self.at < len(self.data) else 0
            self.range, self.code, self.at = self.range << 8, self.code << 8 | byte, self.at + 1

    def _decide(self, p: int) -> int:
        """One decision that is 1 with probability p / 65536."""
        bound = self.range * p >> 16
        if self.code < bound:
            self.range = bound
            bit = 1
        else:
            self.code -= bound
            self.range -= bound
            bit = 0
        self._refill()
        return bit

    def plain(self, bits: int) -> int:
        """A number of up to 16 bits of which nothing is known."""
        self.range >>= bits
        value = self.code // self.range
        if value >> bits:
            raise Damaged("the stream of decisions is damaged")
        self.code -= value * self.range
        self._refill()
        return value

    def text(self, count: int, products: Sequence[Product] = ()) -> bytes:
        """The next `count` bytes of a byte string: the plan, or the structure."""
        text = bytearray()
        last = [0] * (1 << MATCH_BITS)
        match = length = 0
        waiting = list(reversed(products))
        for index in range(count):
            while waiting and index >= waiting[-1].end:
                waiting.pop()
            product = waiting[-1] if waiting and index >= waiting[-1].target else None
            expected = product.expected(text, index) if product else text[match] if length else 0
            contexts = text_contexts(text, index, expected, length)
            byte = -1
            if product or length >= LONG_MATCH:
                contexts[5] = hashed(5, 999, 99 if product else length)
                if self._text_bit(contexts, 0, 4):
                    byte = expected
                contexts[5] = 5
                kind = 3
            else:
                kind = 0 if not length else 1 if length < 8 else 2
            if byte < 0:
                node = 1
                while node < 256:
                    node = node * 2 + self._text_bit(contexts, node, kind)
                byte = node - 256
            text.append(byte)
            match, length = next_match(text, last, match, length)
        return bytes(text)

    def _text_bit(self, contexts: Sequence[int], node: int, kind: int) -> int:
        zeros, ones, weights, bits = self.zeros, self.ones, self.text_weights, self.bits
        found = []
        total = 0
        for number, context in enumerate(contexts):
            place = slot(context, node, bits)
            n0, n1 = zeros[place], ones[place]
            stretch = LOGARITHMS[n1] - LOGARITHMS[n0]
            seen = min((n0 + n1).bit_length(), 7)
            weight = (kind * TEXT_INPUTS + number) * 16 + seen + (8 if not n0 or not n1 else 0)
            total += weights[weight] * stretch
            found.append((place, weight, stretch))
        p = probability(total >> 16)
        bit = self._decide(p)
        error = ((bit << 16) - p) * self.text_rate
        mine, others = (ones, zeros) if bit else (zeros, ones)
        for place, weight, stretch in found:
            weights[weight] += error * stretch >> 24
            if mine[place] < 255:
                mine[place] += 1
            if others[place] > 2:
                others[place] = (others[place] + 2) >> 1
        self.text_decisions += 1
        if self.text_decisions == self.text_step:
            self.text_rate, self.text_step = self.text_rate * 181 >> 8, self.text_step * 2
        return bit

    def forget_text(self) -> None:
        """Clears the counters between structure and segments."""
        self.zeros, self.ones = [0] * len(self.zeros), [0] * len(self.ones)
        self.bits = min(self.bits, VALUE_TABLE_BITS)

    def number(self, class_bits: int, exact: int, mean: int, near: int) -> int:
        """One whole number. exact, mean, near: hashes of its three contexts."""
        bit = self._value_bit
        if not bit(exact, 0, mean, near, 0, 0):
            return 0
        sign = bit(exact, 1, mean, near, 1, 1)
        bits = 1
        for _ in range(class_bits):
            node = 2 + bits
            bits = bits * 2 + bit(exact, node + 128 * sign, mean, near, node, 2)
        bits -= 1 << class_bits
        magnitude = 1
        for place in range(bits):
            node = 256 + bits * 64 + place
            prefix = (bits + 64) * 512 + magnitude * 2 + sign if place < 8 else node
            magnitude = magnitude * 2 + bit(exact, prefix, mean, near, node, 3 + min(place, 4))
        return -magnitude if sign else magnitude

    def _value_bit(self, exact: int, prefix: int, mean: int, near: int, node: int, kind: int) -> int:
        zeros, ones, bits = self.zeros, self.ones, self.bits
        total = 0
        weight = kind * VALUE_INPUTS * 16
        found = []
        for place in (slot(exact, prefix, bits), slot(mean, node, bits), slot(near, node, bits)):
            n0, n1 = zeros[place], ones[place]
            stretch = min(max(estimate(n1) - estimate(n0), -CLIP), CLIP)
            chosen = weight + min((n0 + n1).bit_length(), 7) + (8 if not n0 or not n1 else 0)
            total += self.value_weights[chosen] * stretch
            found.append((place, chosen, stretch))
            weight += 16
        p = probability(total >> 16)
        bit = self._decide(p)
        error = (bit << 16) - p
        counts = ones if bit else zeros
        for place, chosen, stretch in found:
            self.gradients[chosen] += error * stretch
            if counts[place] < MAX_COUNT:
                counts[place] += 1
        self.in_block += 1
        if self.in_block == self.block:
            self.learn()
        return bit

    def learn(self) -> None:
        """Ends a block of decisions."""
        rate = self.value_rate
        for i, gradient in enumerate(self.gradients):
            if gradient:
                self.value_weights[i] += gradient * rate >> 24
                self.gradients[i] = 0
        self.value_decisions += self.in_block
        self.in_block = 0
        while self.value_decisions >= self.value_step:
            self.value_rate, self.block, self.value_step = slower(
                self.value_rate, self.block, self.value_step
            )

    def halve(self) -> None:
        """Ends a chunk of values."""
        self.learn()
        zeros, ones = self.zeros, self.ones
        for i in range(1 << self.bits):
            if zeros[i] > COUNT_LIMIT or ones[i] > COUNT_LIMIT:
                zeros[i], ones[i] = (zeros[i] + 1) >> 1, (ones[i] + 1) >> 1

    def segment(self, segment: Segment) -> bytes:
        """The bytes of a segment."""
        modes = [0] * segment.channels
        if segment.mode == RATIO:
            for channel in range(segment.channels):
                before = modes[channel - 1] if channel else 0
                modes[channel] = self.number(4, hashed(90, segment.salt), hashed(91, before & 0xFF), 92)
                if abs(modes[channel]) > len(segment.list):
                    raise Damaged("a channel has an unknown list of values")
            self.halve()
        salt, above, before = segment.salt, segment.above, segment.before
        means, near_salt = hashed(2, salt), hashed(3, salt)
        sums, counts = [0] * segment.channels, [0] * segment.channels
        sizes: list[int] = []
        stored: list[int] = []
        for i in range(segment.count):
            channel = i // segment.channel_values % segment.channels
            mode = channel if segment.by_channel else modes[channel] & 0xFFFF
            near = 0
            if i:
                near += 2 * sizes[i - 1]
                if i > 2:
                    near += sizes[i - 2] + sizes[i - 3]
            if above and i >= above:
                near += 2 * sizes[i - above]
                if i >= 3 * above:
                    near += sizes[i - 2 * above] + sizes[i - 3 * above]
            if before and i >= before:
                near += 2 * sizes[i - before]
            mean = (sums[channel] * 16 + 16) // (counts[channel] + 1)
            value = self.number(
                segment.class_bits,
                hashed(1, salt, mode),
                hashed(means, magnitude_class(mean)),
                hashed(near_salt, magnitude_class(near + (mean >> 4))),
            )
            size = min(abs(value), 0xFFFF)
            sizes.append(size)
            sums[channel] += size
            counts[channel] += 1
            stored.append(bits_of_value(segment, modes[channel], value))
            if (i + 1) % CHUNK == 0:
                self.halve()
        self.halve()
        if segment.low_bits:
            stored = [number | self.plain(segment.low_bits) for number in stored]
        if segment.width == 0:
            return bytes(stored[i] | stored[i + 1] << 4 for i in range(0, len(stored), 2))
        size = WIDTHS[segment.width]
        return b"".join(value.to_bytes(size, "little") for value in stored)


def slower(rate: int, block: int, step: int) -> tuple[int, int, int]:
    """After `step` decisions about values: a lower rate, longer blocks, and when to do so again."""
    return rate >> 1, min(block * 2, MAX_BLOCK), step * 4


def text_contexts(text: bytearray, index: int, expected: int, length: int) -> list[int]:
    """Hashes of the contexts of the byte at `index`: position, bytes before, and the byte expected by a match."""
    one, two, four, eight = (text[index - i] if index >= i else 0 for i in (1, 2, 4, 8))
    lane = index & 3
    return [
        hashed(0, lane),
        hashed(1, one | lane << 8),
        hashed(2, one | two << 8),
        hashed(3, four | eight << 8 | lane << 16),
        hashed(4, four | one << 8 | lane << 16),
        hashed(5, expected | min(length, 15) << 8 | 1 << 16) if length else 5,
    ]


def next_match(text: bytearray, last: list[int], match: int, length: int) -> tuple[int, int]:
    """(place after the last occurrence of the latest bytes, how many of them are equal), after a byte was added."""
    at = len(text)
    if length and text[match] == text[at - 1]:
        match, length = match + 1, min(length + 1, MAX_MATCH)
    else:
        match = length = 0
    if at >= 5:
        place = hashed(
            text[at - 1] | text[at - 2] << 8 | text[at - 3] << 16, text[at - 4] | text[at - 5] << 8
        )
        place >>= 32 - MATCH_BITS
        if not length and last[place]:
            match = last[place]
            while length < MAX_MATCH and length < match and text[match - 1 - length] == text[at - 1 - length]:
                length += 1
            if length < MIN_MATCH:
                match = length = 0
        last[place] = at
    return match, length


def bits_of_value(segment: Segment, mode: int, value: int) -> int:
    """A decoded number as it is stored in the .tflite, as an unsigned number of the width."""
    bits = 4 if segment.width == 0 else 8 * WIDTHS[segment.width]
    if segment.mode == FLOAT:
        if value == 0:
            return 0
        magnitude = abs(value) - 1 + segment.base
        if magnitude << segment.low_bits >= 1 << (bits - 1):
            raise Damaged("a float is too large")
        return magnitude << segment.low_bits | (1 << (bits - 1) if value < 0 else 0)
    if segment.mode == LIST or (segment.mode == RATIO and mode):
        place = value + segment.zero
        if not 0 <= place < len(segment.list):
            raise Damaged("a value is not in its list")
        if segment.mode == LIST:
            return segment.list[place]
        return ratio_value(segment.list[place], segment.list[abs(mode) - 1], segment.peak, mode < 0) & 0xFF
    return value & ((1 << bits) - 1)


def ratio_value(entry: int, largest: int, peak: int, is_negative: bool) -> int:
    """The integer that stands for `entry` in a channel whose `largest` value stands for ± `peak`, rounded."""
    largest = max(abs(largest), 1)
    size = (2 * peak * abs(entry) + largest) // (2 * largest)
    return size if is_negative == (entry < 0) else -size


def decode(coded: bytes) -> bytes:
    """The .tflite of a coded file. Raises Damaged."""
    coded = bytes(coded)
    if len(coded) < HEADER.size:
        raise Damaged(f"a coded .tflite has at least {HEADER.size} bytes, but got {len(coded)}")
    magic, check, size, tflite_check, _, table_bits = HEADER.unpack_from(coded)
    if magic != MAGIC:
        raise Damaged(f"a coded .tflite begins with {MAGIC!r}, but got {magic!r}")
    if zlib.crc32(coded[8:]) != check:
        raise Damaged("the checksum of the coded file is wrong: it is cut short or damaged")
    if table_bits not in TABLE_BITS or size > MAX_SIZE_BYTES or size > MAX_RATIO * len(coded):
        raise Damaged(f"the header states an impossible size: {size} bytes out of {len(coded)}")
    decoder = Decoder(coded, HEADER.size, table_bits)
    (plan_bytes,) = struct.unpack("<I", decoder.text(4))
    if plan_bytes > size + 64:
        raise Damaged(f"the plan states an impossible size: {plan_bytes} bytes")
    plan = Plan(decoder.text(plan_bytes), size)
    structure = decoder.text(plan.structure_bytes, plan.products)
    decoder.forget_text()
    pieces: list[bytes] = []
    taken = position = 0
    for segment in plan.segments:
        before = segment.start - position
        pieces.append(structure[taken : taken + before])
        pieces.append(decoder.segment(segment))
        taken, position = taken + before, segment.end
    tflite = b"".join([*pieces, structure[taken:]])
    if len(tflite) != size or zlib.crc32(tflite) != tflite_check:
        raise Damaged("the decoded .tflite does not have the stated checksum")
    return tflite


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python decoder.py CODED TFLITE")
    with open(sys.argv[1], "rb") as source:
        result = decode(source.read())
    with open(sys.argv[2], "wb") as target:
        target.write(result)
