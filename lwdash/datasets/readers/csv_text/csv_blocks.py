"""A CSV as blocks of numbers, several parsed at once, in file order and with constant memory."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from lwdash.datasets.readers.array_blocks import blocks_in_threads
from lwdash.datasets.readers.csv_problems import (
    INFINITE,
    MISSING,
    TEXT,
    Problem,
    ProblemList,
    numbered_rows,
    ragged,
    shorten,
)
from lwdash.datasets.readers.csv_text.csv_dialect import MISSING as MISSING_MARKS
from lwdash.datasets.readers.csv_text.csv_dialect import Dialect
from lwdash.datasets.readers.csv_text.csv_numbers import rows_of_numbers, rows_of_whole_numbers
from lwdash.datasets.readers.source import TextBlock, clean_text, text_blocks
from lwdash.datasets.readers.table import Block
from lwdash.errors import DataRefused

T = TypeVar("T")


class Reader:
    """Parses one CSV block by block.

    text_columns: also read as text; other columns are numbers. wanted: columns whose values are needed, None
    = all (the others are NaN, and their problems are not searched for).
    """

    def __init__(
        self,
        path: Path,
        dialect: Dialect,
        *,
        text_columns: Sequence[int] = (),
        wanted: Sequence[int] | None = None,
    ):
        self.path, self.dialect = path, dialect
        self.width = len(dialect.names)
        self.text_columns = set(text_columns)
        self.wanted = sorted(set(range(self.width)) if wanted is None else set(wanted) | self.text_columns)
        self.is_wanted = np.zeros(self.width, bool)
        self.is_wanted[self.wanted] = True
        self._mixed: set[int] = set()
        self._slow_blocks = 0
        self._maybe_whole = all(cell.isdecimal() for row in dialect.sample[:5] for cell in row)

    def blocks(self, then: Callable[[Block], T]) -> Iterator[T]:
        """`then(block)` for each block, in order. Both parsing and `then` run on as many threads as there are cores."""
        texts = text_blocks(self.path, self.dialect.skip_lines, self.dialect.delimiter)
        return blocks_in_threads((partial(self.parse, text) for text in texts), then)

    def parse(self, block: TextBlock) -> Block:
        block = TextBlock(clean_text(block, self.dialect.encoding, self.path.name), block.first_line)
        if not self.text_columns and self._slow_blocks < 3 and b'"' not in block.data:
            numbers = self._clean_numbers(block.data)
            if numbers is not None:
                return Block(numbers, {}, block.first_line + np.arange(len(numbers)))
            self._slow_blocks += 1
        return self._by_column(block)

    def _clean_numbers(self, data: bytes) -> np.ndarray | None:
        """The numbers of a block without any problem (the usual case, parsed fast), else None."""
        dialect = self.dialect
        values = None
        if self._maybe_whole:
            values = rows_of_whole_numbers(data, dialect.delimiter, self.width)
            self._maybe_whole = values is not None
        if values is None:
            values = rows_of_numbers(data, dialect.delimiter, dialect.decimal, self.width)
        with np.errstate(all="ignore"):
            return values if values is not None and np.isfinite(values.sum()) else None

    def _convert(self, types: dict[str, Any], **more: Any) -> pacsv.ConvertOptions:
        return pacsv.ConvertOptions(
            column_types=types,
            null_values=list(MISSING_MARKS),
            decimal_point=self.dialect.decimal,
            strings_can_be_null=False,
            check_utf8=False,
            **more,
        )

    def _read(self, data: bytes, as_text: set[int]) -> tuple[pa.Table, int]:
        """The wanted columns of the rows with the right length, and the number of rows without it."""
        skipped = 0

        def on_ragged(row: Any) -> str:
            nonlocal skipped
            skipped += 1
            return "skip"

        names = [str(i) for i in range(self.width)]
        types = {str(i): pa.string() if i in as_text else pa.float64() for i in self.wanted}
        table = pacsv.read_csv(
            pa.py_buffer(data),
            read_options=pacsv.ReadOptions(
                column_names=names, use_threads=False, block_size=max(1 << 20, min(len(data) + 1, 16 << 20))
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=self.dialect.delimiter,
                newlines_in_values=b'"' in data,
                invalid_row_handler=on_ragged,
            ),
            convert_options=self._convert(types, include_columns=[str(i) for i in self.wanted]),
        )
        return table, skipped

    def _by_column(self, block: TextBlock) -> Block:
        as_text = self.text_columns | self._mixed
        try:
            table, skipped = self._read(block.data, as_text)
        except pa.ArrowInvalid:
            try:
                as_text = set(self.wanted)
                table, skipped = self._read(block.data, as_text)
            except pa.ArrowInvalid as error:
                raise DataRefused(
                    f"{self.path.name}, in the lines from {block.first_line} on: {str(error)[:200]}. "
                    "Check for a quote that is opened and never closed, and export the CSV again."
                ) from None
        numbers = np.full((table.num_rows, self.width), np.nan)
        cells: dict[int, np.ndarray] = {}
        for index in self.wanted:
            column = table.column(str(index))
            if index not in as_text:
                numbers[:, index] = column.to_numpy()
                continue
            cells[index] = pc.utf8_trim_whitespace(column).to_numpy()
            if index not in self.text_columns:
                numbers[:, index] = self._numbers(cells[index])
                if (np.isnan(numbers[:, index]) & ~np.isin(cells[index], MISSING_MARKS)).any():
                    self._mixed.add(index)
        text = {index: cells[index] for index in self.text_columns}
        result = Block(numbers, text, np.empty(0, np.int64))
        result.lines = self._lines(block, table.num_rows, skipped, result.problems)
        self._find_bad_cells(result, cells, block)
        return self._with_infinite(result)

    def _numbers(self, cells: np.ndarray) -> np.ndarray:
        series = pd.Series(cells, dtype=object)
        if self.dialect.decimal == ",":
            series = series.str.replace(",", ".", regex=False)
        return pd.to_numeric(series.where(~series.isin(MISSING_MARKS), None), errors="coerce").to_numpy(
            np.float64
        )

    def _lines(self, block: TextBlock, rows: int, skipped: int, problems: ProblemList) -> np.ndarray:
        """The line of each row that was kept. Rows of another length are added to `problems`."""
        data = block.data
        if not skipped and b'"' not in data and data.count(b"\n") == rows:
            return block.first_line + np.arange(rows)
        lines = []
        for line, row in numbered_rows(data, self.dialect.delimiter, block.first_line):
            if len(row) == self.width:
                lines.append(line)
            else:
                problems.add(ragged(line, row, self.width))
        if len(lines) != rows:
            last = block.first_line + data.count(b"\n") - 1
            raise DataRefused(
                f"{self.path.name}, lines {block.first_line:,} to {last:,}: {rows:,} rows were read, but "
                f"there are {len(lines):,} lines. Check for a stray quote or control character, and "
                "export the CSV again."
            )
        return np.array(lines, np.int64)

    def _find_bad_cells(self, block: Block, cells: dict[int, np.ndarray], source: TextBlock) -> None:
        def as_written(row: int, index: int) -> str:
            """The cell as written in the file: a column of numbers no longer has marks such as '?'."""
            if index in cells:
                return str(cells[index][row])
            lines = numbered_rows(source.data, self.dialect.delimiter, source.first_line)
            wanted = int(block.lines[row])
            return next((cells[index].strip() for line, cells in lines if line == wanted), "")

        for index in sorted(self.text_columns):
            rows = np.flatnonzero(block.text[index] == "")
            self._note(block, (rows, np.full(len(rows), index)), lambda row, index: (MISSING, ""))
        numeric = self.is_wanted.copy()
        numeric[list(self.text_columns)] = False
        missing = np.isnan(block.numbers) & numeric
        if not missing.any():
            return
        is_text = np.zeros_like(missing)
        for index, column in cells.items():
            is_text[:, index] = missing[:, index] & ~np.isin(column, MISSING_MARKS)
        self._note(block, np.nonzero(is_text), lambda row, index: (TEXT, str(cells[index][row])))
        self._note(
            block,
            np.nonzero(missing & ~is_text),
            lambda row, index: (MISSING, as_written(row, index)),
        )

    def _with_infinite(self, block: Block) -> Block:
        with np.errstate(all="ignore"):
            suspicious = not np.isfinite(block.numbers.sum())
        if suspicious:
            cells = np.nonzero(np.isinf(block.numbers) & self.is_wanted)
            self._note(block, cells, lambda row, index: (INFINITE, str(block.numbers[row, index])))
        return block

    def _note(
        self, block: Block, cells: tuple[np.ndarray, ...], describe: Callable[[int, int], tuple[str, str]]
    ) -> None:
        """Add `cells` (rows, columns) to the block's problems: the first few with their place, all of them counted."""
        rows, columns = cells
        for row, index in zip(rows[:5].tolist(), columns[:5].tolist(), strict=True):
            kind, value = describe(row, index)
            block.problems.add(
                Problem(kind, int(block.lines[row]), self.dialect.names[index], shorten(value))
            )
        if len(rows) > 5:
            block.problems.counts[kind] += len(rows) - 5
        if len(rows):
            bad = np.bincount(columns, minlength=self.width)
            block.bad = bad if block.bad is None else block.bad + bad
