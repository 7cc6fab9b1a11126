"""A reader for protobuf's wire format: just enough to inspect a SavedModel without TensorFlow.

https://protobuf.dev/programming-guides/encoding. A message is read as its fields by number; the caller knows
the meaning of each number.
"""

from __future__ import annotations

VARINT, BYTES = 0, 2
FIXED_BYTES = {1: 8, 5: 4}
MAX_VARINT_BYTES = 10
MAX_FIELDS = 5_000_000
"""Maximum number of fields read from one file; a submessage counts each time it is read."""


class Malformed(ValueError):
    """The bytes are not a protobuf message."""


class Allowance:
    """Number of fields that may still be read, shared by a message and all its submessages, so that work is bounded."""

    __slots__ = ("left",)

    def __init__(self, left: int = MAX_FIELDS):
        self.left = left


class Message:
    """The fields of one message, undecoded: `bytes_of(3)` returns all length-delimited values of field 3."""

    __slots__ = ("_allowance", "_fields")

    def __init__(self, data: bytes, allowance: Allowance | None = None):
        self._fields: dict[int, list[int | bytes]] = {}
        self._allowance = allowance = allowance or Allowance()
        position, end = 0, len(data)
        while position < end:
            allowance.left -= 1
            if allowance.left < 0:
                raise Malformed(f"it has more than {MAX_FIELDS:,} fields")
            key, position = _varint(data, position)
            number, kind = key >> 3, key & 7
            if number == 0:
                raise Malformed("field number 0")
            value: int | bytes
            if kind == VARINT:
                value, position = _varint(data, position)
            else:
                if kind == BYTES:
                    size, position = _varint(data, position)
                elif kind in FIXED_BYTES:
                    size = FIXED_BYTES[kind]
                else:
                    raise Malformed(f"wire type {kind}")
                if position + size > end:
                    raise Malformed("a field is cut off")
                value = data[position : position + size]
                position += size
            self._fields.setdefault(number, []).append(value)

    def bytes_of(self, number: int) -> list[bytes]:
        """All length-delimited values of a field."""
        return [value for value in self._fields.get(number, ()) if isinstance(value, bytes)]

    def messages(self, number: int) -> list[Message]:
        """All submessages of a field."""
        return [Message(value, self._allowance) for value in self.bytes_of(number)]

    def inside(self, value: bytes) -> Message:
        """One of `bytes_of` as a submessage."""
        return Message(value, self._allowance)

    def message(self, number: int) -> Message:
        """A submessage; an empty one when absent. Parts given separately are merged, as protobuf requires."""
        return Message(b"".join(self.bytes_of(number)), self._allowance)

    def texts(self, number: int) -> list[str]:
        """All strings of a repeated field."""
        return [value.decode("utf-8", "replace") for value in self.bytes_of(number)]

    def text(self, number: int) -> str:
        """The last string of a field, "" when absent."""
        values = self.texts(number)
        return values[-1] if values else ""

    def number(self, number: int, default: int = 0) -> int:
        """The last varint of a field, as a signed 64-bit number."""
        values = [value for value in self._fields.get(number, ()) if isinstance(value, int)]
        if not values:
            return default
        return values[-1] - (1 << 64) if values[-1] >= 1 << 63 else values[-1]

    def map_of(self, number: int) -> dict[str, Message]:
        """A map<string, message>."""
        return {entry.text(1): entry.message(2) for entry in self.messages(number)}


def _varint(data: bytes, position: int) -> tuple[int, int]:
    try:
        byte = data[position]
        if byte < 0x80:  # the common case: one byte
            return byte, position + 1
        result = 0
        for index in range(MAX_VARINT_BYTES):
            byte = data[position + index]
            result |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return result, position + index + 1
    except IndexError:
        raise Malformed("a number is cut off") from None
    raise Malformed("a number is too long")
