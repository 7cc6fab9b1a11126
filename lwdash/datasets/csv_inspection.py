"""Inspects a CSV without a model: one pass in blocks, memory flat, whatever its size."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lwdash.datasets.data_facts import DataFacts, PreviewRow, brief_names, find_column, named_run
from lwdash.datasets.labels.label_columns import CERTAIN, ValueCounts, rank, worth_counting
from lwdash.datasets.labels.one_hot import Runs, one_hot_candidates, one_hot_runs
from lwdash.datasets.preview import PreviewPicker
from lwdash.datasets.readers.csv_blocks import Block, Reader
from lwdash.datasets.readers.csv_dialect import DELIMITERS, Dialect, is_number, sniff
from lwdash.datasets.readers.csv_problems import REPEATED_NAME, Problem, ProblemList
from lwdash.datasets.readers.number_hints import is_ambiguous_decimal
from lwdash.errors import DataRefused


def inspect_data(
    path: Path, *, delimiter: str | None = None, has_header: bool | None = None, label: str | None = None
) -> DataFacts:
    """What the CSV at `path` holds: rows, columns, label candidates, problems, a preview.

    label: a column that the user has chosen; it is counted and ranked first, whatever it holds.
    Reads the whole file once, in blocks. Bad cells and rows are reported, not refused: whether they matter
    depends on the columns that a model takes. Raises DataRefused for a file that is not a CSV with at least
    one row.
    """
    path = Path(path)
    dialect = sniff(path, delimiter=delimiter, has_header=has_header)
    is_run = label is not None and ".." in label and label not in dialect.names
    chosen = None
    if label and not is_run:
        chosen = find_column(dialect.names, label, dialect.has_header, "label column")
    facts = _Inspection(path, dialect, chosen).run()
    if is_run and facts.candidate(str(label)) is None and not named_run(dialect.names, str(label)):
        find_column(dialect.names, str(label), dialect.has_header, "label column")
    return facts


@dataclass
class _Summary:
    """What one block contributes; small beside the block. ends: column → (first, last, whether it counts
    up)."""

    rows: int
    low: np.ndarray
    high: np.ndarray
    is_whole: np.ndarray
    bad: np.ndarray | None
    ends: dict[int, tuple[float, float, bool]]
    values: dict[int, np.ndarray]
    shown: list[PreviewRow]
    problems: ProblemList
    runs: tuple[Runs, ...] = ()


class _Inspection:
    """The running totals of one pass over a file."""

    def __init__(self, path: Path, dialect: Dialect, chosen: int | None):
        self.path, self.dialect, self.chosen = path, dialect, chosen
        self.width = width = len(dialect.names)
        self.counted = sorted({*worth_counting(dialect), *([] if chosen is None else [chosen])})
        self.counts = ValueCounts(self.counted)
        self.guess = self._guess_label() if chosen is None else chosen
        self.picker = PreviewPicker(width, self.guess)
        self.rows = 0
        self.runs: tuple[Runs, ...] = ()
        self.low, self.high = np.full(width, np.nan), np.full(width, np.nan)
        self.is_whole, self.bad = np.ones(width, bool), np.zeros(width, np.int64)
        self.problems = ProblemList()
        # Columns that count the rows are looked for at the ends; the value is that of the last row so far.
        self.counting: dict[int, float | None] = dict.fromkeys((0, min(1, width - 1), width - 1))

    def run(self) -> DataFacts:
        text = [i for i, kind in enumerate(self.dialect.kinds) if kind == "t"]
        for summary in Reader(self.path, self.dialect, text_columns=text).blocks(self._summarise):
            self._add(summary)
        if not self.rows:
            raise DataRefused(
                f"{self.path.name}: none of its rows has the {self.width} columns that were expected. "
                + (self.problems.summary() or "Is the delimiter right?")
            )
        return self._facts()

    def _guess_label(self) -> int | None:
        """The likely label column by the first rows, so that the preview can show every class."""
        sample, decimal = self.dialect.sample, self.dialect.decimal
        counts = ValueCounts(self.counted)
        kinds = list(self.dialect.kinds.replace("n", "f"))
        for i in range(self.width):
            cells = [row[i].strip() for row in sample[:50] if i < len(row)]
            if kinds[i] == "f" and all(_as_number(cell, decimal).is_integer() for cell in cells if cell):
                kinds[i] = "i"
        for i in self.counted:
            cells = [row[i].strip() for row in sample if i < len(row)]
            is_text = kinds[i] == "t"
            counts.add(
                i, np.array(cells, object) if is_text else np.array([_as_number(c, decimal) for c in cells])
            )
        best = rank(self.dialect.names, "".join(kinds), counts, len(sample))
        return best[0].index if best else None

    def _summarise(self, block: Block) -> _Summary:
        numbers = block.numbers
        if not len(numbers):
            nothing = np.full(self.width, np.nan)
            return _Summary(0, nothing, nothing, np.ones(self.width, bool), None, {}, {}, [], block.problems)
        is_whole = np.isnan(numbers[0]) | (numbers[0] == np.rint(numbers[0]))
        maybe = np.flatnonzero(is_whole)
        if len(maybe):
            some = numbers if len(maybe) == self.width else numbers[:, maybe]
            is_whole[maybe] = ((some == np.rint(some)) | np.isnan(some)).all(axis=0)
        ends = {}
        for i in self.counting:
            column = numbers[:, i]
            ends[i] = (float(column[0]), float(column[-1]), bool((np.diff(column) == 1).all()))
        return _Summary(
            rows=len(numbers),
            low=np.fmin.reduce(numbers),
            high=np.fmax.reduce(numbers),
            is_whole=is_whole,
            bad=block.bad,
            ends=ends,
            values={i: block.text[i] if i in block.text else numbers[:, i].copy() for i in self.counted},
            shown=self.picker.pick(block),
            problems=block.problems,
            runs=one_hot_runs(numbers),
        )

    def _add(self, block: _Summary) -> None:
        if block.runs and self.runs:
            self.runs = tuple(a.joined(b) for a, b in zip(self.runs, block.runs, strict=True))
        self.runs = self.runs or block.runs
        self.rows += block.rows
        self.low, self.high = np.fmin(self.low, block.low), np.fmax(self.high, block.high)
        self.is_whole &= block.is_whole
        if block.bad is not None:
            self.bad += block.bad
        for i, values in block.values.items():
            self.counts.add(i, values)
        for i, (first, last, counts_up) in block.ends.items():
            if i in self.counting:
                before = self.counting[i]
                goes_on = first in (0, 1) if before is None else first == before + 1
                if counts_up and goes_on:
                    self.counting[i] = last
                else:
                    # Workers iterate over this dict: replaced, not changed.
                    self.counting = {k: v for k, v in self.counting.items() if k != i}
        self.picker.add(block.shown)
        self.problems.extend(block.problems)

    def _facts(self) -> DataFacts:
        names, dialect, low, high = self.dialect.names, self.dialect, self.low, self.high
        kinds = "".join(map(self._kind, range(self.width)))
        counting = tuple(i for i in self.counting if self.rows > 2 and kinds[i] == "i" and not self.bad[i])
        empty = [i for i, kind in enumerate(kinds) if kind == "e"]
        for i in empty:
            self.problems.without_column(names[i], self.rows)
        for name in dialect.repeated_names[:5]:
            self.problems.add(Problem(REPEATED_NAME, dialect.skip_lines, name, ""))
        candidates = rank(names, kinds, self.counts, self.rows, counting, self.chosen)
        others = {c.index for c in candidates if c.score >= CERTAIN} | set(counting)
        candidates += one_hot_candidates(self.runs, names)
        measured = [i for i in range(self.width) if kinds[i] in "if" and i not in others]
        lows, highs = (v[measured][np.isfinite(v[measured])] for v in (low, high))
        flat = [i for i in range(self.width) if kinds[i] in "if" and low[i] == high[i] and not self.bad[i]]
        shown = names[self.guess] if self.guess in {c.index for c in candidates} else None
        return DataFacts(
            name=self.path.name,
            size_bytes=self.path.stat().st_size,
            is_gzip=dialect.is_gzip,
            encoding=dialect.encoding,
            delimiter=dialect.delimiter,
            decimal=dialect.decimal,
            has_header=dialect.has_header,
            rows=self.rows,
            names=names,
            kinds=kinds,
            constant=tuple(sorted([*flat, *empty])) if self.rows > 1 else (),
            row_numbers=counting,
            low=float(lows.min()) if len(lows) else None,
            high=float(highs.max()) if len(highs) else None,
            candidates=candidates,
            problems=self.problems.first(),
            problem_counts=dict(self.problems.counts),
            problem_text=self.problems.summary(),
            notes=_notes(dialect, counting, empty),
            preview=self.picker.preview(shown),
        )

    def _kind(self, index: int) -> str:
        if self.dialect.kinds[index] == "t":
            return "t"
        if self.bad[index] >= self.rows and np.isnan(self.low[index]):
            return "e"
        return "i" if self.is_whole[index] else "f"


def _notes(dialect: Dialect, counting: Sequence[int], empty: Sequence[int]) -> tuple[str, ...]:
    delimiter = DELIMITERS.get(dialect.delimiter, repr(dialect.delimiter))
    header = "with a header" if dialect.has_header else "without a header"
    notes = [f"read as {delimiter}-separated, {header}" + (", gzip" if dialect.is_gzip else "")]
    if dialect.decimal == ",":
        notes.append("numbers are written with a decimal comma" + _ambiguous_words(dialect))
    if dialect.encoding != "utf-8":
        notes.append("the text is not UTF-8 and was read as Latin-1: check names and labels with accents")
    for i in counting:
        notes.append(f"column '{dialect.names[i]}' counts the rows: it is an index, not a measurement")
    if empty:
        names = brief_names([dialect.names[i] for i in empty])
        notes.append(f"{'columns' if len(empty) > 1 else 'column'} {names} without any value")
    return tuple(notes)


def _ambiguous_words(dialect: Dialect) -> str:
    """A warning where every comma of the first rows may be a thousands separator."""
    cells = [cell for row in dialect.sample for cell in row if "," in cell and is_number(cell, ",")]
    if not cells or not all(map(is_ambiguous_decimal, cells)):
        return ""
    value = float(cells[0].replace(",", "."))
    return f": {cells[0].strip()} is read as {value:g}. If the comma separates thousands, write numbers without it"


def _as_number(text: str, decimal: str) -> float:
    try:
        return float(text.replace(decimal, "."))
    except ValueError:
        return math.nan
