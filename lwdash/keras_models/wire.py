"""A reader for protobuf's wire format: just enough to look into a SavedModel without TensorFlow.

https://protobuf.dev/programming-guides/encoding. A message is read as its fields by number; what a number
means is for the caller to know.
"""

from __future__ import annotations

from collections import defaultdict

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MAX_VARINT_BYTES = 10


class Malformed(ValueError):
    """The bytes are not a protobuf message."""


class Message:
    """The fields of one message, undecoded: `bytes_of(3)` gives all length-delimited values of field 3."""

    def __init__(self, data: bytes | memoryview):
        self._fields: dict[int, list[int | memoryview]] = defaultdict(list)
        view = memoryview(data)
        position = 0
        while position < len(view):
            key, position = _varint(view, position)
            number, kind = key >> 3, key & 7
            if number == 0:
                raise Malformed("field number 0")
            value: int | memoryview
            if kind == VARINT:
                value, position = _varint(view, position)
            elif kind == BYTES:
                size, position = _varint(view, position)
                value, position = _slice(view, position, size)
            elif kind in (FIXED64, FIXED32):
                value, position = _slice(view, position, 8 if kind == FIXED64 else 4)
            else:
                raise Malformed(f"wire type {kind}")
            self._fields[number].append(value)

    def bytes_of(self, number: int) -> list[memoryview]:
        """All length-delimited values of a field."""
        return [value for value in self._fields.get(number, ()) if isinstance(value, memoryview)]

    def messages(self, number: int) -> list[Message]:
        """All submessages of a field."""
        return [Message(value) for value in self.bytes_of(number)]

    def message(self, number: int) -> Message:
        """A submessage; an empty one when absent. Parts given separately are merged, as protobuf demands."""
        return Message(b"".join(bytes(value) for value in self.bytes_of(number)))

    def texts(self, number: int) -> list[str]:
        """All strings of a repeated field."""
        return [bytes(value).decode("utf-8", "replace") for value in self.bytes_of(number)]

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


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    result = 0
    for index in range(MAX_VARINT_BYTES):
        if position + index >= len(view):
            raise Malformed("a number is cut off")
        byte = view[position + index]
        result |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return result, position + index + 1
    raise Malformed("a number is too long")


def _slice(view: memoryview, position: int, size: int) -> tuple[memoryview, int]:
    if position + size > len(view):
        raise Malformed("a field is cut off")
    return view[position : position + size], position + size
