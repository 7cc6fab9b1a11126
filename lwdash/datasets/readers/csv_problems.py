"""Problems of a CSV with their lines: missing, non-numeric or infinite values, rows of the wrong length."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from lwdash.datasets.readers.number_hints import number_hint

MISSING, TEXT, INFINITE, RAGGED, REPEATED_NAME, UNREADABLE = (
    "missing",
    "not a number",
    "infinite",
    "row length",
    "repeated name",
    "unreadable",
)
_SHOWN_EACH = 5
MAX_CELL_CHARACTERS = 128 << 20
"""Python's csv module refuses cells above 128 kB by default."""


@dataclass(frozen=True)
class Problem:
    """One bad place. line: 1-based line of the file; column: its name, None for the whole row."""

    kind: str
    line: int
    column: str | None
    value: str

    def __str__(self) -> str:
        where = f"row {self.line}" + (f", column '{self.column}'" if self.column is not None else "")
        if self.kind == MISSING:
            return f"{where}: " + (f"missing ('{self.value}')" if self.value else "empty")
        if self.kind in (RAGGED, UNREADABLE):
            return f"{where}: {self.value}"
        if self.kind == REPEATED_NAME:
            return f"column name '{self.column}' occurs more than once"
        hint = number_hint(self.value) if self.kind == TEXT else ""
        return f"{where}: '{self.value}' is {self.kind}" + (f", {hint}" if hint else "")


@dataclass
class ProblemList:
    """The first few problems of each kind, and the count of each kind."""

    counts: Counter[str] = field(default_factory=Counter)
    shown: dict[str, list[Problem]] = field(default_factory=dict)

    def add(self, problem: Problem, times: int = 1) -> None:
        self.counts[problem.kind] += times
        shown = self.shown.setdefault(problem.kind, [])
        if len(shown) < _SHOWN_EACH:
            shown.append(problem)

    def extend(self, other: "ProblemList") -> None:
        for kind, shown in other.shown.items():
            self.shown[kind] = (self.shown.get(kind, []) + shown)[:_SHOWN_EACH]
        self.counts.update(other.counts)

    def without_column(self, name: str, cells: int) -> None:
        """Forget the missing cells of a column that is completely empty: it is one finding, not one per row."""
        self.counts[MISSING] -= cells
        self.shown[MISSING] = [p for p in self.shown.get(MISSING, []) if p.column != name]
        if not self.counts[MISSING]:
            del self.counts[MISSING]

    def first(self) -> tuple[Problem, ...]:
        return tuple(sorted((p for each in self.shown.values() for p in each), key=lambda p: p.line))

    def summary(self, kinds: Iterable[str] = (UNREADABLE, RAGGED, TEXT, MISSING, INFINITE)) -> str:
        """'3 missing values (row 4, column 't7': empty; …), 1 row …', empty without problems."""
        kind_names = {
            UNREADABLE: ("file that cannot be read", "files that cannot be read"),
            RAGGED: ("row of another length", "rows of another length"),
            TEXT: ("value that is not a number", "values that are not numbers"),
            MISSING: ("missing value", "missing values"),
            INFINITE: ("infinite value", "infinite values"),
        }
        parts = []
        for kind in kinds:
            count = self.counts[kind]
            if count:
                examples = self.shown[kind][:3]
                more = "; …" if count > len(examples) else ""
                parts.append(
                    f"{count:,} {kind_names[kind][count > 1]} ({'; '.join(map(str, examples))}{more})"
                )
        return ", ".join(parts)


def numbered_rows(data: bytes, delimiter: str, first_line: int) -> Iterator[tuple[int, list[str]]]:
    """Each row of a text block with the line on which it starts; blank lines are skipped."""
    csv.field_size_limit(MAX_CELL_CHARACTERS)
    reader = csv.reader(data.decode("utf-8").split("\n"), delimiter=delimiter)
    start = 0
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        if row:
            yield first_line + start, row
        start = reader.line_num


def shorten(value: str) -> str:
    value = " ".join(value.split())
    return value if len(value) <= 40 else value[:37] + "…"


def ragged(line: int, row: Sequence[str], expected: int) -> Problem:
    return Problem(RAGGED, line, None, f"{len(row)} values where {expected} columns were expected")
