"""The byte ledger of a .tflite: every byte by its use, and the bytes that nothing refers to."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lwdash.tflite.reader import TfliteFacts, names_in
from lwdash.tflite.schema import TABLES
from lwdash.tflite.tensor import TfliteUnreadable
from lwdash.tflite.trained_parameters import OperatorKey, Owners, find_owners

CATEGORIES = (
    "weights", "constants", "quantization", "names", "graph", "metadata", "padding", "unreferenced",
)  # fmt: skip


@dataclass(frozen=True)
class Ledger:
    """Bytes by category, and by operator and category. `by_operator[None]` holds bytes that belong to no
    operator.

    weights: trained values as stored, with the lists of positions of sparse weights. constants: shapes, axes and scalars.
    quantization: scales, zero points, ranges.
    names: tensor names. graph: tables and lists of the computation, with every length and offset.
    metadata: description, signatures, metadata entries and their buffers. padding: zeros for alignment.
    unreferenced: bytes that nothing in the file points to (buffers without a tensor, files appended to the
    model).
    """

    file_bytes: int
    by_category: Mapping[str, int]
    by_operator: Mapping[OperatorKey | None, Mapping[str, int]]


@dataclass(frozen=True)
class Span:
    """Bytes `start` to `end` (exclusive) of the file, with their category and their owner."""

    start: int
    end: int
    category: str
    owner: OperatorKey | None


def byte_ledger(facts: TfliteFacts, owners: Owners | None = None) -> Ledger:
    """Attribute every byte of the file. The categories, and the operators, each sum to exactly the file's
    size.

    Raises TfliteUnreadable where the file points outside itself.
    """
    owners = owners or find_owners(facts)
    by_operator: dict[OperatorKey | None, Counter[str]] = {}
    try:
        spans = sorted(_Walk(facts, owners).spans(), key=lambda span: (span.start, -span.end))
    except (struct.error, RecursionError) as error:
        raise TfliteUnreadable(f"this .tflite points outside its {len(facts.data)} bytes: {error}") from error
    position = 0
    for span in (*spans, Span(len(facts.data), len(facts.data), "graph", None)):
        if span.end > len(facts.data):
            raise TfliteUnreadable(f"this .tflite points to byte {span.end}, but has only {len(facts.data)}")
        if span.start > position:
            gap = facts.data[position : span.start]
            by_operator.setdefault(None, Counter())["unreferenced" if any(gap) else "padding"] += len(gap)
        count = span.end - max(span.start, position)
        if count > 0:
            by_operator.setdefault(span.owner, Counter())[span.category] += count
        position = max(position, span.end)
    total: Counter[str] = Counter()
    for counts in by_operator.values():
        total.update(counts)
    return Ledger(
        file_bytes=len(facts.data),
        by_category={category: total[category] for category in CATEGORIES},
        by_operator={owner: dict(counts) for owner, counts in by_operator.items()},
    )


class _Walk:
    """Visits each object once. A shared object belongs to the first owner that reaches it."""

    def __init__(self, facts: TfliteFacts, owners: Owners):
        self.data, self.owners, self.graph = facts.data, owners, 0
        self.seen: set[int] = set()
        self.buffers: dict[int, tuple[str, OperatorKey | None]] = dict.fromkeys(
            facts.metadata.values(), ("metadata", None)
        )
        for graph in facts.subgraphs:
            for tensor in graph.tensors:
                if tensor.is_constant:
                    owner = owners.tensors.get((tensor.subgraph, tensor.index))
                    self.buffers.setdefault(tensor.buffer, ("constants", owner))
        for key, parameters in owners.parameters.items():
            for parameter in parameters:
                self.buffers[parameter.tensor.buffer] = (
                    "weights" if parameter.is_trained else "constants",
                    key,
                )
        for graph in facts.subgraphs:
            for tensor in graph.tensors:
                for scales in tensor.block_scales:
                    owner = owners.tensors.get((tensor.subgraph, tensor.index))
                    self.buffers[graph.tensors[scales].buffer] = ("quantization", owner)

    def spans(self) -> Iterator[Span]:
        yield Span(0, 8, "graph", None)
        yield from self._table(self._u32(0), "Model", "graph", None)

    def _table(self, at: int, name: str, category: str, owner: OperatorKey | None) -> Iterator[Span]:
        if at in self.seen:
            return
        self.seen.add(at)
        vtable = at - struct.unpack_from("<i", self.data, at)[0]
        vtable_bytes, table_bytes = struct.unpack_from("<HH", self.data, vtable)
        yield Span(at, at + table_bytes, category, owner)
        if vtable not in self.seen:
            self.seen.add(vtable)
            yield Span(vtable, vtable + vtable_bytes, "graph", None)
        for slot, kind in TABLES.get(name, {}).items():
            place = 4 + 2 * slot
            offset = struct.unpack_from("<H", self.data, vtable + place)[0] if place < vtable_bytes else 0
            if not offset:
                continue
            target = at + offset + self._u32(at + offset)
            if kind.startswith("union "):
                type_offset = struct.unpack_from("<H", self.data, vtable + place - 2)[0]
                member = names_in(kind.removeprefix("union ")).get(self.data[at + type_offset], "NONE")
                yield from self._table(target, member, category, owner)
            else:
                yield from self._field(target, name, slot, kind, category, owner)

    def _field(
        self, at: int, table: str, slot: int, kind: str, category: str, owner: OperatorKey | None
    ) -> Iterator[Span]:
        if kind.startswith("["):
            yield from self._tables(at, kind[1:-1], category, owner)
        elif kind == "text" or kind.startswith("bytes"):
            if table == "Tensor" and kind == "text":
                category = "names"
            elif table == "Model" and kind == "text":
                category = "metadata"
            width = 1 if kind == "text" else int(kind.removeprefix("bytes"))
            yield from self._vector(at, width, category, owner, ends_in_zero=kind == "text")
        else:
            part = {"QuantizationParameters": "quantization", "SparsityParameters": "weights"}.get(
                kind, category
            )
            yield from self._table(at, kind, part, owner)

    def _tables(self, at: int, name: str, category: str, owner: OperatorKey | None) -> Iterator[Span]:
        if at in self.seen:
            return
        self.seen.add(at)
        count = self._u32(at)
        category = "metadata" if name in ("Metadata", "SignatureDef") else category
        yield Span(at, at + 4 + 4 * count, category, owner)
        graph = self.graph
        for i in range(count):
            place = at + 4 + 4 * i
            target = place + self._u32(place)
            if name == "SubGraph":
                self.graph = i
            if name == "Tensor":
                yield from self._table(target, name, category, self.owners.tensors.get((graph, i)))
            elif name == "Operator":
                yield from self._table(target, name, category, (graph, i))
            elif name == "Buffer":
                yield from self._buffer(target, i)
            else:
                yield from self._table(target, name, category, owner)

    def _buffer(self, at: int, index: int) -> Iterator[Span]:
        category, owner = self.buffers.get(index, ("unreferenced", None))
        around = "metadata" if category == "metadata" else "graph"
        if at in self.seen:
            return
        vtable = at - struct.unpack_from("<i", self.data, at)[0]
        vtable_bytes = struct.unpack_from("<H", self.data, vtable)[0]
        offsets = struct.unpack_from(f"<{(vtable_bytes - 4) // 2}H", self.data, vtable + 4)
        for span in self._table(at, "Buffer", around, owner):
            is_payload = span.start not in (at, vtable)
            if is_payload:
                yield Span(span.start, span.start + 4, around, owner)
                yield Span(span.start + 4, span.end, category, owner)
            else:
                yield span
        if len(offsets) > 2 and offsets[1] and offsets[2]:
            start, size = (struct.unpack_from("<Q", self.data, at + offset)[0] for offset in offsets[1:3])
            if start > 1:
                yield Span(start, start + size, category, owner)

    def _vector(
        self, at: int, width: int, category: str, owner: OperatorKey | None, *, ends_in_zero: bool
    ) -> Iterator[Span]:
        if at in self.seen:
            return
        self.seen.add(at)
        yield Span(at, at + 4 + width * self._u32(at) + ends_in_zero, category, owner)

    def _u32(self, at: int) -> int:
        return struct.unpack_from("<I", self.data, at)[0]
