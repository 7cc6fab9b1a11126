"""Inspection of a data file without a model: one pass in blocks with constant memory, for files of any size."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from lwdash.datasets.data_facts import (
    DataFacts,
    LabelCandidate,
    PreviewRow,
    brief_names,
    find_column,
    named_run,
)
from lwdash.datasets.labels.label_columns import CERTAIN, ValueCounts, rank
from lwdash.datasets.labels.one_hot import Runs, one_hot_candidates, one_hot_runs
from lwdash.datasets.preview import PreviewPicker
from lwdash.datasets.readers.csv_problems import REPEATED_NAME, Problem, ProblemList
from lwdash.datasets.readers.open_table import open_table
from lwdash.datasets.readers.table import Block, DataTable, OpenOptions
from lwdash.datasets.split import PARTS
from lwdash.errors import DataRefused


def inspect_data(
    path: Path, *, delimiter: str | None = None, has_header: bool | None = None, label: str | None = None
) -> DataFacts:
    """Facts of the file at `path`: rows, columns, label candidates, problems, a preview.

    delimiter, has_header: of a CSV. label: a column that the user has chosen; it is counted and ranked first, for
    any content. Reads the whole file once, in blocks. Bad cells and rows are reported, not refused, because only
    some columns may be used by a model. Raises DataRefused for a file that no reader takes, and without rows.
    """
    table = open_table(Path(path), OpenOptions(delimiter, has_header, label))
    is_run = label is not None and ".." in label and label not in table.names
    is_array = label in table.spread
    chosen = None
    if label and not is_run and not is_array:
        chosen = find_column(table.names, label, table.has_header, "label column")
    facts = _Inspection(table, chosen).run()
    if is_run and facts.candidate(str(label)) is None and not named_run(table.names, str(label)):
        find_column(table.names, str(label), table.has_header, "label column")
    return facts


@dataclass
class _Summary:
    """Contribution of one block; small compared with the block. ends: column → (first, last, True if it counts up)."""

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
    parts: Counter[int] = field(default_factory=Counter)


class _Inspection:
    """Running totals of one pass over a file."""

    def __init__(self, table: DataTable, chosen: int | None):
        if chosen is None and table.label in table.names:
            chosen = table.names.index(str(table.label))
        self.table, self.chosen = table, chosen
        self.width = width = len(table.names)
        self.counted = sorted({*table.countable, *([] if chosen is None else [chosen])} - set(table.shapes))
        self.counts = ValueCounts(self.counted)
        self.guess = self._guess_label() if chosen is None else chosen
        self.picker = PreviewPicker(width, self.guess)
        self.parts: Counter[int] = Counter()
        self.rows = 0
        self.runs: tuple[Runs, ...] = ()
        self.low, self.high = np.full(width, np.nan), np.full(width, np.nan)
        self.is_whole, self.bad = np.ones(width, bool), np.zeros(width, np.int64)
        self.problems = ProblemList()
        # Columns that may count the rows, first or last in the file; the value is that of the latest row.
        self.counting: dict[int, float | None] = dict.fromkeys((0, min(1, width - 1), width - 1))

    def run(self) -> DataFacts:
        text = [i for i, kind in enumerate(self.table.kinds) if kind == "t"]
        for summary in self.table.blocks(self._summarise, text_columns=text):
            self._add(summary)
        if not self.rows:
            raise DataRefused(
                f"{self.table.path.name}: no row has the expected {self.width} columns. "
                + (self.problems.summary() or "Is the delimiter right?")
            )
        return self._facts()

    def _guess_label(self) -> int | None:
        """The likely label column by the first rows, so that the preview can show every class."""
        table = self.table
        if not table.sample:
            return None
        sample, decimal = table.sample, table.decimal
        counts = ValueCounts(self.counted)
        kinds = list(table.kinds.replace("n", "f"))
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
        best = rank(table.names, "".join(kinds), counts, len(sample))
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
        low, high = np.fmin.reduce(numbers), np.fmax.reduce(numbers)
        for i, values in block.arrays.items():
            low[i], high[i] = np.fmin.reduce(values, axis=None), np.fmax.reduce(values, axis=None)
            is_whole[i] = values.dtype.kind in "iu" or bool(
                ((values == np.rint(values)) | np.isnan(values)).all()
            )
        ends = {}
        for i in self.counting:
            column = numbers[:, i]
            ends[i] = (float(column[0]), float(column[-1]), bool((np.diff(column) == 1).all()))
        return _Summary(
            rows=len(numbers),
            low=low,
            high=high,
            is_whole=is_whole,
            bad=block.bad,
            ends=ends,
            values={i: block.text[i] if i in block.text else numbers[:, i].copy() for i in self.counted},
            shown=self.picker.pick(block),
            problems=block.problems,
            runs=one_hot_runs(numbers),
            parts=Counter([-1] * len(numbers) if block.parts is None else block.parts.tolist()),
        )

    def _add(self, block: _Summary) -> None:
        if block.runs and self.runs:
            self.runs = tuple(a.joined(b) for a, b in zip(self.runs, block.runs, strict=True))
        self.runs = self.runs or block.runs
        self.rows += block.rows
        self.parts.update(block.parts)
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
                    # Worker threads iterate over this dict, so it is replaced instead of changed.
                    self.counting = {k: v for k, v in self.counting.items() if k != i}
        self.picker.add(block.shown)
        self.problems.extend(block.problems)

    def _facts(self) -> DataFacts:
        table, names, low, high = self.table, self.table.names, self.low, self.high
        kinds = "".join(map(self._kind, range(self.width)))
        counting = tuple(i for i in self.counting if self.rows > 2 and kinds[i] == "i" and not self.bad[i])
        empty = [i for i, kind in enumerate(kinds) if kind == "e"]
        for i in empty:
            self.problems.without_column(names[i], self.rows)
        for name in table.repeated_names[:5]:
            self.problems.add(Problem(REPEATED_NAME, table.skip_lines, name, ""))
        candidates = rank(names, kinds, self.counts, self.rows, counting, self.chosen)
        others = {c.index for c in candidates if c.score >= CERTAIN} | set(counting)
        candidates += _of_arrays(one_hot_candidates(self.runs, names), table)
        measured = [i for i in range(self.width) if kinds[i] in "if" and i not in others]
        lows, highs = (v[measured][np.isfinite(v[measured])] for v in (low, high))
        flat = [i for i in range(self.width) if kinds[i] in "if" and low[i] == high[i] and not self.bad[i]]
        shown = names[self.guess] if self.guess in {c.index for c in candidates} else None
        return DataFacts(
            name=table.path.name,
            size_bytes=table.path.stat().st_size,
            is_gzip=table.is_gzip,
            encoding=table.encoding,
            delimiter=table.delimiter,
            decimal=table.decimal,
            has_header=table.has_header,
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
            notes=(*table.facts_notes(), *_notes(names, counting, empty)),
            preview=self.picker.preview(shown),
            file_format=table.file_format,
            shapes=tuple(sorted((i, tuple(shape)) for i, shape in table.shapes.items())),
            label=table.label,
            spread=tuple((name, first, last) for name, (first, last) in table.spread.items()),
            parts=self._stated_parts(),
            sounds=table.sounds(),
        )

    def _stated_parts(self) -> tuple[tuple[str, int], ...]:
        if set(self.parts) <= {-1}:
            return ()
        return tuple(("" if k < 0 else PARTS[k], rows) for k, rows in sorted(self.parts.items()))

    def _kind(self, index: int) -> str:
        if self.table.kinds[index] == "t":
            return "t"
        if self.bad[index] >= self.rows and np.isnan(self.low[index]):
            return "e"
        return "i" if self.is_whole[index] else "f"


def _of_arrays(candidates: Sequence[LabelCandidate], table: DataTable) -> tuple[LabelCandidate, ...]:
    """The candidates, with class numbers as the classes of an array that is given as one column per class."""
    columns = {tuple(range(first, last + 1)) for first, last in table.spread.values()}
    return tuple(
        replace(c, classes=tuple((str(k), rows) for k, (_, rows) in enumerate(c.classes)))
        if c.columns in columns
        else c
        for c in candidates
    )


def _notes(names: Sequence[str], counting: Sequence[int], empty: Sequence[int]) -> tuple[str, ...]:
    notes = []
    for i in counting:
        notes.append(f"column '{names[i]}' counts the rows: it is an index, not a measurement")
    if empty:
        named = brief_names([names[i] for i in empty])
        notes.append(f"{'columns' if len(empty) > 1 else 'column'} {named} without any value")
    return tuple(notes)


def _as_number(text: str, decimal: str) -> float:
    try:
        return float(text.replace(decimal, "."))
    except ValueError:
        return math.nan
