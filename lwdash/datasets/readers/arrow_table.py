"""Parquet and Feather files as tables: columns like those of a CSV, and lists of numbers as array columns."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc
import pyarrow.parquet as pq

from lwdash.datasets.labels.label_columns import worth_counting
from lwdash.datasets.readers.array_blocks import array_problems, blocks_in_threads, plain_numbers
from lwdash.datasets.readers.csv_problems import MISSING, RAGGED, Problem
from lwdash.datasets.readers.table import (
    BLOCK_VALUES,
    MAX_COLUMNS,
    Block,
    DataTable,
    OpenOptions,
    TableFormat,
    View,
)
from lwdash.errors import DataRefused

T = TypeVar("T")
PARQUET_MAGIC, FEATHER_MAGIC, OLD_FEATHER_MAGIC = b"PAR1", b"ARROW1", b"FEA1"
MAX_UNPACKED_BYTES = 64 << 30
MAX_GROUP_BYTES = 8 << 30
SAMPLE_ROWS, SAMPLE_CELLS = 200, 200_000
_NUMBERS = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
_TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_temporal, pa.types.is_null)
_DAMAGE = (pa.ArrowException, OSError, ValueError, KeyError, IndexError, OverflowError, MemoryError)


class ArrowTable(DataTable):
    """The Parquet or Feather file at `path`.

    Numbers and booleans are columns of numbers; text, categories, dates and times are text. Lists of numbers, fixed or
    of the same length in each row, and tensors are array columns. The index of a pandas frame is left out. Raises
    DataRefused, naming the column, for other types where they may hold the samples; otherwise they are left aside.
    """

    def __init__(self, path: Path, reading: OpenOptions):
        self.path = path
        try:
            self._file = _opened(path)
            schema = self._file.schema
            named = [i for i, field in enumerate(schema) if field.name not in _index_columns(schema)]
            kept = [i for i in named if _is_read(schema.field(i).type)]
            if len(kept) <= 2 and not any(_is_list(schema.field(i).type) for i in kept):
                kept = named  # the samples are probably in a column that cannot be read, which is then named
            self._aside = tuple(schema.field(i).name for i in named if i not in kept)
            self.names = tuple(schema.field(i).name or f"column {i + 1}" for i in kept)
            self._refuse_names()
            first = self._first_rows()
        except _DAMAGE as error:
            raise self._damaged(error) from None
        self.file_format = self._file.name
        self._places = kept
        self._types = [schema.field(i).type for i in kept]
        self._lists = {i: self._shape(i, first) for i, kind in enumerate(self._types) if _is_list(kind)}
        self.shapes = dict(self._lists)
        self.kinds = "".join("n" if i in self.shapes else self._kind(i) for i in range(len(self.names)))
        rows = min(SAMPLE_ROWS, max(1, SAMPLE_CELLS // len(self.names)))
        self.sample = _sample(first.slice(0, rows), self.names, self.shapes)
        self.countable = worth_counting(self.names, self.kinds, self.sample)

    def _refuse_names(self) -> None:
        if not self.names:
            raise DataRefused(
                f"{self.path.name} has no columns. Write one column per value, or a list per sample."
            )
        if len(self.names) > MAX_COLUMNS:
            raise DataRefused(
                f"{self.path.name} has {len(self.names):,} columns; at most {MAX_COLUMNS:,} are read."
            )
        twice = (
            next((name for name in self.names if self.names.count(name) > 1), None)
            if self._repeats()
            else None
        )
        if twice is not None:
            raise DataRefused(f"{self.path.name} has several columns named '{twice}'. Rename them.")

    def _repeats(self) -> bool:
        return len(set(self.names)) < len(self.names)

    def _first_rows(self) -> pa.RecordBatch:
        for batch in self._file.batches(SAMPLE_ROWS, self.names):
            if batch.num_rows:
                return batch
        raise DataRefused(f"{self.path.name} holds no rows. Write one row per sample.")

    def _damaged(self, error: BaseException) -> DataRefused:
        if isinstance(error, DataRefused):
            return error
        text = " ".join(str(error).split())[:200] or type(error).__name__
        return DataRefused(
            f"{self.path.name} is a damaged or incomplete file ({text}). Write or upload it again."
        )

    def _kind(self, index: int) -> str:
        kind = _plain_type(self._types[index])
        if (
            pa.types.is_boolean(kind)
            or pa.types.is_integer(kind)
            or pa.types.is_floating(kind)
            or pa.types.is_decimal(kind)
        ):
            return "n"
        if (
            pa.types.is_string(kind)
            or pa.types.is_large_string(kind)
            or pa.types.is_temporal(kind)
            or pa.types.is_null(kind)
        ):
            return "t"
        raise DataRefused(
            f"{self.path.name}, column '{self.names[index]}' is of type {str(kind)[:80]}, which is neither a number, "
            "a list of numbers nor text. Leave it out when the file is written."
        )

    def _shape(self, index: int, first: pa.RecordBatch) -> tuple[int, ...]:
        """Of one value; lists of any length take that of the first row."""
        kind, shape = self._types[index], []
        if isinstance(kind, pa.FixedShapeTensorType):
            return tuple(kind.shape)
        value: Any = next((v for v in first.column(index).to_pylist() if v is not None), None)
        while _is_list(kind):
            length = kind.list_size if pa.types.is_fixed_size_list(kind) else len(value or ())
            value = next((v for v in value or () if v is not None), None)
            shape.append(length)
            kind = kind.value_type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
            raise DataRefused(
                f"{self.path.name}, column '{self.names[index]}' holds lists of {kind}. Lists must hold numbers."
            )
        if 0 in shape:
            raise DataRefused(
                f"{self.path.name}, column '{self.names[index]}': the first list is empty. Give one length."
            )
        return tuple(shape)

    def blocks(
        self,
        then: Callable[[Block], T],
        *,
        text_columns: Sequence[int] = (),
        wanted: Sequence[int] | None = None,
        views: Mapping[int, View] | None = None,
    ) -> Iterator[T]:
        columns = sorted(set(range(len(self.names)) if wanted is None else wanted) | set(text_columns))
        values = sum(math.prod(self._lists.get(i, ())) for i in columns) or 1
        size = max(1, BLOCK_VALUES // values)

        def makers() -> Iterator[Callable[[], Block]]:
            line = 1
            for batch in self._file.batches(size, [self.names[i] for i in columns]):
                yield lambda batch=batch, line=line: self._block(batch, columns, line, set(text_columns))  # type: ignore[misc]
                line += batch.num_rows

        try:
            yield from blocks_in_threads(makers(), then)
        except _DAMAGE as error:
            raise self._damaged(error) from None

    def _block(
        self, batch: pa.RecordBatch, columns: Sequence[int], line: int, text_columns: set[int]
    ) -> Block:
        rows = batch.num_rows
        block = Block(np.full((rows, len(self.names)), np.nan), {}, np.arange(line, line + rows))
        for index in columns:
            column = batch.column(self.names[index])
            if index in self.shapes:
                block.arrays[index] = self._array(column, index, block)
                array_problems(block, index, self.names[index])
                continue
            if isinstance(column, pa.DictionaryArray):
                column = column.dictionary_decode()
            if self.kinds[index] == "n":
                numbers = pc.cast(column, pa.float64(), safe=False)
                block.numbers[:, index] = numbers.to_numpy(zero_copy_only=False)
                array_problems(block, index, self.names[index])
            if self.kinds[index] == "t" or index in text_columns:
                texts = pc.utf8_trim_whitespace(pc.fill_null(pc.cast(column, pa.string()), ""))
                block.text[index] = np.array(texts.to_pylist(), object)
                self._note_missing(block, index)
        return block

    def _note_missing(self, block: Block, index: int) -> None:
        if self.kinds[index] == "n":
            return
        rows = np.flatnonzero(block.text[index] == "")
        for row in rows.tolist():
            block.problems.add(Problem(MISSING, int(block.lines[row]), self.names[index], ""))
        if len(rows):
            counts = np.bincount([index], [len(rows)], minlength=len(self.names)).astype(np.int64)
            block.bad = counts if block.bad is None else block.bad + counts

    def _array(self, column: pa.Array, index: int, block: Block) -> np.ndarray:
        """(rows, *shape); rows of another length become problems, and zeros."""
        shape, name = self._lists[index], self.names[index]
        flat, wrong = _flattened(column, shape)
        if not len(wrong):
            return plain_numbers(flat.to_numpy(zero_copy_only=False)).reshape(len(column), *shape)
        for row in wrong.tolist():
            said = f"column '{name}' holds no values of shape {shape}"
            block.problems.add(Problem(RAGGED, int(block.lines[row]), None, said))
        return np.zeros((len(column), *shape), np.float32)

    def script_source(
        self, columns: Sequence[int], view: View | None, lines: Sequence[int]
    ) -> Mapping[str, Any]:
        shape = list(self._lists.get(columns[0], ()))
        return {"places": [self._places[index] for index in columns], "shape": shape}

    def facts_notes(self) -> tuple[str, ...]:
        kind = {"parquet": "Parquet", "feather": "Feather"}[self.file_format]
        lists = f", {len(self.shapes)} of them lists" if self.shapes else ""
        aside = f"left aside, since they are neither numbers, lists of numbers nor text: {', '.join(self._aside[:8])}"
        return (f"{kind} file of {len(self.names):,} columns{lists}", *([aside] if self._aside else []))


class _Parquet:
    name = "parquet"

    def __init__(self, path: Path):
        self._file = pq.ParquetFile(path, memory_map=True, pre_buffer=False)
        self.schema = self._file.schema_arrow
        facts = self._file.metadata
        sizes = [facts.row_group(i).total_byte_size for i in range(facts.num_row_groups)]
        _refuse_bombs(path, sizes)

    def batches(self, rows: int, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        yield from self._file.iter_batches(batch_size=rows, columns=list(names), use_threads=False)


class _Feather:
    name = "feather"

    def __init__(self, path: Path):
        self._file = pa.ipc.open_file(pa.memory_map(str(path)))
        self.schema = self._file.schema

    def batches(self, rows: int, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for i in range(self._file.num_record_batches):
            batch = self._file.get_batch(i)
            batch.validate(full=True)
            batch = batch.select(list(names))
            for start in range(0, batch.num_rows, rows):
                yield batch.slice(start, rows)


def _opened(path: Path) -> _Parquet | _Feather:
    with path.open("rb") as file:
        head = file.read(len(FEATHER_MAGIC))
    if head.startswith(OLD_FEATHER_MAGIC):
        raise DataRefused(
            f"{path.name} is a Feather file of version 1. Write it again: frame.to_feather(…) of today's pandas."
        )
    return _Parquet(path) if head.startswith(PARQUET_MAGIC) else _Feather(path)


def _refuse_bombs(path: Path, sizes: Sequence[int]) -> None:
    if sum(sizes) > MAX_UNPACKED_BYTES or max(sizes, default=0) > MAX_GROUP_BYTES:
        raise DataRefused(
            f"{path.name} unpacks to {sum(sizes) / 2**30:,.1f} GB, its largest row group to {max(sizes) / 2**30:,.1f} GB; "
            f"{MAX_UNPACKED_BYTES >> 30} and {MAX_GROUP_BYTES >> 30} GB at most are read. Give fewer rows."
        )


def _index_columns(schema: pa.Schema) -> set[str]:
    """The columns of a pandas frame's index that has no name of its own."""
    try:
        stored = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
        names = stored.get("index_columns", [])
    except (ValueError, AttributeError):
        return set()
    return {name for name in names if isinstance(name, str) and name.startswith("__index_level_")}


def _plain_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_read(kind: pa.DataType) -> bool:
    """True for the types that become columns: numbers, text, and lists of numbers."""
    plain, of_lists = _plain_type(kind), _is_list(kind)
    if isinstance(plain, pa.FixedShapeTensorType):
        return True
    while _is_list(plain):
        plain = plain.value_type
    return any(is_type(plain) for is_type in (_NUMBERS[:3] if of_lists else (*_NUMBERS, *_TEXTS)))


def _is_list(kind: pa.DataType) -> bool:
    return (
        isinstance(kind, pa.FixedShapeTensorType)
        or pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
    )


def _flattened(column: pa.Array, shape: Sequence[int]) -> tuple[pa.Array, np.ndarray]:
    """The numbers of all lists, and the rows whose lists have other lengths than `shape`, or are missing."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
        if pa.types.is_fixed_size_list(column.type) and len(shape) > 1:
            shape = (math.prod(shape),)
    owner = np.arange(len(column))
    wrong: list[np.ndarray] = []
    for length in shape:
        own = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)
        wrong.append(owner[own != length])
        owner = np.repeat(owner, own)
        column = pc.list_flatten(column)
    if pa.types.is_boolean(column.type):
        column = pc.cast(column, pa.uint8())
    return column, np.unique(np.concatenate(wrong))


def _sample(
    first: pa.RecordBatch, names: Sequence[str], shapes: Mapping[int, object]
) -> tuple[tuple[str, ...], ...]:
    """Rows as text; array columns are empty."""
    columns = []
    for i, name in enumerate(names):
        if i in shapes:
            columns.append([""] * first.num_rows)
        else:
            held = first.column(name).to_pylist()
            columns.append(["" if v is None else str(int(v) if isinstance(v, bool) else v) for v in held])
    return tuple(zip(*columns, strict=True))


def is_arrow_file(head: bytes, path: Path) -> bool:
    return head.startswith((PARQUET_MAGIC, FEATHER_MAGIC, OLD_FEATHER_MAGIC))


ARROW = TableFormat("parquet", is_arrow_file, ArrowTable)
