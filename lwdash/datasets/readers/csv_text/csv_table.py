"""A CSV as a table: its dialect is found from the first megabyte, its rows are parsed block by block."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from lwdash.datasets.labels.label_columns import worth_counting
from lwdash.datasets.readers.csv_text.csv_blocks import Reader
from lwdash.datasets.readers.csv_text.csv_dialect import DELIMITERS, Dialect, is_number, sniff
from lwdash.datasets.readers.number_hints import is_ambiguous_decimal
from lwdash.datasets.readers.table import Block, DataTable, OpenOptions, View

T = TypeVar("T")


class CsvTable(DataTable):
    """The CSV at `path`. Raises DataRefused for a file that is not a CSV with at least one row."""

    def __init__(self, path: Path, reading: OpenOptions):
        self.path = path
        self.dialect = sniff(path, delimiter=reading.delimiter, has_header=reading.has_header)
        self.names, self.kinds, self.sample = self.dialect.names, self.dialect.kinds, self.dialect.sample
        self.has_header, self.is_gzip = self.dialect.has_header, self.dialect.is_gzip
        self.encoding, self.delimiter = self.dialect.encoding, self.dialect.delimiter
        self.decimal = self.dialect.decimal
        self.countable = worth_counting(self.names, self.kinds, self.sample)
        self.skip_lines, self.repeated_names = self.dialect.skip_lines, self.dialect.repeated_names

    def blocks(
        self,
        then: Callable[[Block], T],
        *,
        text_columns: Sequence[int] = (),
        wanted: Sequence[int] | None = None,
        views: Mapping[int, View] | None = None,
    ) -> Iterator[T]:
        return Reader(self.path, self.dialect, text_columns=text_columns, wanted=wanted).blocks(then)

    def facts_notes(self) -> tuple[str, ...]:
        dialect = self.dialect
        delimiter = DELIMITERS.get(dialect.delimiter, repr(dialect.delimiter))
        header = "with a header" if dialect.has_header else "without a header"
        notes = [f"read as {delimiter}-separated, {header}" + (", gzip" if dialect.is_gzip else "")]
        if dialect.decimal == ",":
            notes.append("numbers are written with a decimal comma" + _ambiguity_warning(dialect))
        if dialect.encoding != "utf-8":
            notes.append("the text is not UTF-8 and was read as Latin-1: check names and labels with accents")
        return tuple(notes)


def _ambiguity_warning(dialect: Dialect) -> str:
    """A warning if every comma of the first rows may be a thousands separator."""
    cells = [cell for row in dialect.sample for cell in row if "," in cell and is_number(cell, ",")]
    if not cells or not all(map(is_ambiguous_decimal, cells)):
        return ""
    value = float(cells[0].replace(",", "."))
    return f": {cells[0].strip()} is read as {value:g}. If the comma separates thousands, write numbers without it"
