"""Writer of the stream of decisions that `decoder.Decoder` reads."""

from __future__ import annotations

from collections.abc import Sequence

from lwdash.packing import decoder
from lwdash.packing.decoder import Product


class RangeEncoder(decoder.Decoder):
    """Codes decisions with the models of the decoder, of which it keeps the same copy."""

    def __init__(self, table_bits: int):
        super().__init__(b"", 0, table_bits)
        self.low, self.written, self.bit = 0, bytearray(), 0  # the range of 2^24 makes the first byte a 0

    def code_text(self, text: bytes, products: Sequence[Product] = ()) -> None:
        """Codes a byte string as `text` decodes it."""
        last = [0] * (1 << decoder.MATCH_BITS)
        known = bytearray()
        match = length = 0
        waiting = list(reversed(products))
        for index, byte in enumerate(text):
            while waiting and index >= waiting[-1].end:
                waiting.pop()
            product = waiting[-1] if waiting and index >= waiting[-1].target else None
            expected = product.expected(known, index) if product else known[match] if length else 0
            contexts = decoder.text_contexts(known, index, expected, length)
            is_known = False
            if product or length >= decoder.LONG_MATCH:
                contexts[5] = decoder.hashed(5, 999, 99 if product else length)
                self.bit = int(byte == expected)
                is_known = bool(self._text_bit(contexts, 0, 4))
                contexts[5] = 5
                kind = 3
            else:
                kind = 0 if not length else 1 if length < 8 else 2
            if not is_known:
                node = 1
                for place in range(7, -1, -1):
                    self.bit = byte >> place & 1
                    node = node * 2 + self._text_bit(contexts, node, kind)
            known.append(byte)
            match, length = decoder.next_match(known, last, match, length)

    def _decide(self, p: int) -> int:
        self.code_decisions([self.bit], [p])
        return self.bit

    def code_decisions(self, bits: Sequence[int], chances: Sequence[int]) -> None:
        """Codes decisions, each with the probability of a one in 65536ths."""
        low, span, written = self.low, self.range, self.written
        for bit, chance in zip(bits, chances, strict=True):
            bound = span * chance >> 16
            if bit:
                span = bound
            else:
                low += bound
                span -= bound
            while span < 1 << 24:
                if low >> 32:
                    _carry(written)
                written.append(low >> 24 & 0xFF)
                low = (low & 0xFFFFFF) << 8
                span <<= 8
        self.low, self.range = low, span

    def code_plain(self, values: Sequence[int], bits: int) -> None:
        """Codes numbers of `bits` bits, at most 16, of which nothing is known."""
        for value in values:
            self.range >>= bits
            self.low += value * self.range
            while self.range < 1 << 24:
                self._shift()

    def _shift(self) -> None:
        if self.low >> 32:
            _carry(self.written)
        self.written.append(self.low >> 24 & 0xFF)
        self.low = (self.low & 0xFFFFFF) << 8
        self.range <<= 8

    def finish(self) -> bytes:
        """All that was written. The last bytes are chosen so that as many as possible are zeros, which are left out."""
        for zeros in range(24, -1, -8):
            end = (self.low + (1 << zeros) - 1) >> zeros << zeros
            if end < self.low + self.range:
                break
        if end >> 32:
            _carry(self.written)
        self.written += (end & 0xFFFFFFFF).to_bytes(4, "big")
        return bytes(self.written[1:].rstrip(b"\0"))


def _carry(written: bytearray) -> None:
    at = len(written) - 1
    while written[at] == 0xFF:
        written[at] = 0
        at -= 1
    written[at] += 1
