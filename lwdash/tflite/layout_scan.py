"""The layout of a .tflite, verified: every offset, every table and every vector lies inside of the file.

Written from the flatbuffer format alone, before any library reads the file.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from lwdash.errors import ModelRefused
from lwdash.tflite.reader import names_in
from lwdash.tflite.schema import TABLES

MIN_BYTES = 16
MAX_OBJECTS = 3_000_000
"""Maximum number of tables and vectors; the file of a network with a thousand operators has about 10,000."""
VECTOR_OF_TABLES = 4
"""Bytes of one entry: an offset."""


class TfliteRefused(ModelRefused):
    """This .tflite cannot be used."""


def check_layout(data: bytes) -> None:
    """Raises TfliteRefused, naming the place, for bytes whose tables do not lie inside of the file."""
    if len(data) < MIN_BYTES or data[4:8] != b"TFL3":
        raise TfliteRefused(
            f"the file is no .tflite: 'TFL3' is expected at byte 4, found {data[4:8]!r}. Give the .tflite itself, "
            "not a zip or a web page that holds it"
        )
    _LayoutScan(data).check()


@dataclass(frozen=True)
class _Todo:
    """An object that is still to be visited. kind: as in `TABLES`."""

    at: int
    kind: str


class _LayoutScan:
    def __init__(self, data: bytes):
        self.data, self.size = data, len(data)
        self.seen: set[tuple[int, str]] = set()
        self.waiting: list[_Todo] = []

    def check(self) -> None:
        self._add(self._target(0, "Model"), "Model")
        while self.waiting:
            todo = self.waiting.pop()
            if todo.kind.startswith("["):
                self._tables(todo.at, todo.kind[1:-1])
            elif todo.kind == "text" or todo.kind.startswith("bytes"):
                self._vector(todo.at, todo.kind)
            else:
                self._table(todo.at, todo.kind)

    def _add(self, at: int, kind: str) -> None:
        if (at, kind) in self.seen:
            return
        self.seen.add((at, kind))
        if len(self.seen) > MAX_OBJECTS:
            raise TfliteRefused(f"the .tflite has more than {MAX_OBJECTS:,} tables: no network needs as many")
        self.waiting.append(_Todo(at, kind))

    def _table(self, at: int, name: str) -> None:
        vtable = at - self._number("<i", at, name)
        vtable_bytes = self._number("<H", vtable, name)
        table_bytes = self._number("<H", vtable + 2, name)
        if vtable_bytes < 4 or vtable_bytes % 2 or table_bytes < 4:
            raise self._damaged(f"the table {name} at byte {at} has sizes that cannot be")
        self._inside(vtable, vtable_bytes, name)
        self._inside(at, table_bytes, name)
        offsets = struct.unpack_from(f"<{(vtable_bytes - 4) // 2}H", self.data, vtable + 4)
        if max(offsets, default=0) >= table_bytes:
            raise self._damaged(f"a field of the table {name} at byte {at} lies outside of it")
        for slot, kind in TABLES.get(name, {}).items():
            if slot < len(offsets) and offsets[slot]:
                self._reference(at, offsets, slot, name, kind)

    def _reference(self, at: int, offsets: tuple[int, ...], slot: int, name: str, kind: str) -> None:
        target = self._target(at + offsets[slot], name)
        if not kind.startswith("union "):
            self._add(target, kind)
            return
        union = kind.removeprefix("union ")
        type_at = offsets[slot - 1]
        member = names_in(union).get(self.data[at + type_at] if type_at else 0)
        if member is None or member == "NONE":
            raise self._damaged(f"{name} at byte {at} has {union} of an unknown type")
        self._add(target, member)

    def _tables(self, at: int, name: str) -> None:
        count = self._number("<I", at, name)
        self._inside(at + 4, VECTOR_OF_TABLES * count, name)
        for place in range(at + 4, at + 4 + VECTOR_OF_TABLES * count, VECTOR_OF_TABLES):
            self._add(self._target(place, name), name)

    def _vector(self, at: int, kind: str) -> None:
        count = self._number("<I", at, kind)
        width = 1 if kind == "text" else int(kind.removeprefix("bytes"))
        self._inside(at + 4, count * width + (kind == "text"), kind)
        if kind == "text" and self.data[at + 4 + count]:
            raise self._damaged(f"the text at byte {at} does not end")

    def _target(self, place: int, name: str) -> int:
        """The place that the offset at `place` leads to; offsets lead forwards."""
        target = place + self._number("<I", place, name)
        if target == place:
            raise self._damaged(f"an offset of {name} at byte {place} leads nowhere")
        return target

    def _number(self, form: str, at: int, name: str) -> int:
        self._inside(at, struct.calcsize(form), name)
        return int(struct.unpack_from(form, self.data, at)[0])

    def _inside(self, at: int, count: int, name: str) -> None:
        if at < 0 or at + count > self.size:
            raise self._damaged(f"{name} lies at bytes {at:,} to {at + count:,}")

    def _damaged(self, what: str) -> TfliteRefused:
        return TfliteRefused(
            f"the .tflite is damaged: {what}, but the file has {self.size:,} bytes. Copy or convert it again"
        )
