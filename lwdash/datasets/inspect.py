"""Inspects a CSV without a model: one pass in blocks, memory flat, whatever its size."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lwdash.datasets.blocks import Block, Reader
from lwdash.datasets.dialect import DELIMITERS, Dialect, sniff
from lwdash.datasets.facts import DataFacts, LabelCandidate, Preview, PreviewRow
from lwdash.datasets.labels import CERTAIN, ValueCounts, label_text, rank, worth_counting
from lwdash.datasets.problems import REPEATED_NAME, Problem, ProblemList
from lwdash.errors import DataRefused

PREVIEW_ROWS = 64
PREVIEW_PER_CLASS = 8
PREVIEW_JSON_BYTES = 110_000
_PREVIEW_COLUMNS = 4096


@dataclass
class _Summary:
    """What one block contributes; everything here is small beside the block itself."""

    rows: int
    low: np.ndarray
    high: np.ndarray
    is_whole: np.ndarray
    bad: np.ndarray | None
    counting: dict[int, tuple[float, float, bool]]
    values: dict[int, np.ndarray]
    samples: list[PreviewRow]
    problems: ProblemList


def inspect_data(path: Path, *, delimiter: str | None = None, has_header: bool | None = None) -> DataFacts:
    """What the CSV at `path` holds: rows, columns, label candidates, problems, a preview.

    Reads the whole file once, in blocks. Bad cells and rows are reported, not refused: whether they matter depends on
    the columns that a model takes. Raises DataRefused for a file that is not a CSV with at least one row of numbers.
    """
    path = Path(path)
    dialect = sniff(path, delimiter=delimiter, has_header=has_header)
    return _Inspection(path, dialect).run()


class _Inspection:
    def __init__(self, path: Path, dialect: Dialect):
        self.path, self.dialect, self.width = path, dialect, len(dialect.names)
        self.counted = worth_counting(dialect)
        text = [i for i, kind in enumerate(dialect.kinds) if kind == "t"]
        self.reader = Reader(path, dialect, text_columns=text)
        self.counts = ValueCounts(self.counted)
        self.guess = self._guess_label()
        step = math.ceil(self.width / _PREVIEW_COLUMNS)
        self.shown = list(range(0, self.width, step))

    def _guess_label(self) -> int | None:
        """The likely label column from the first rows, so that the preview can show every class."""
        counts = ValueCounts(self.counted)
        for i in self.counted:
            cells = [row[i].strip().replace(self.dialect.decimal, ".") for row in self.dialect.sample if i < len(row)]
            if self.dialect.kinds[i] == "t":
                counts.add(i, np.array(cells, object))
            else:
                counts.add(i, np.array([_as_float(cell) for cell in cells]))
        kinds = "".join("f" if k == "n" and not self._sample_is_whole(i) else k for i, k in enumerate(self.dialect.kinds))
        best = rank(self.dialect.names, kinds.replace("n", "i"), counts, len(self.dialect.sample))
        return best[0].index if best else None

    def _sample_is_whole(self, index: int) -> bool:
        return all(
            _as_float(row[index]).is_integer() for row in self.dialect.sample[:20] if index < len(row) and row[index]
        )

    def _summarise(self, block: Block) -> _Summary:
        numbers = block.numbers
        rows = len(numbers)
        if rows:
            low, high = np.fmin.reduce(numbers), np.fmax.reduce(numbers)
            is_whole = np.zeros(self.width, bool)
            maybe = np.flatnonzero(numbers[0] == np.rint(numbers[0])) if not np.isnan(numbers[0]).any() else np.arange(self.width)
            if len(maybe):
                some = numbers[:, maybe]
                is_whole[maybe] = ((some == np.rint(some)) | np.isnan(some)).all(axis=0)
        else:
            low = high = np.full(self.width, np.nan)
            is_whole = np.ones(self.width, bool)
        counting = {}
        for i in self._maybe_row_numbers():
            column = numbers[:, i]
            counting[i] = (column[0], column[-1], bool((np.diff(column) == 1).all())) if rows else (0.0, 0.0, False)
        values = {i: block.text[i] if i in block.text else numbers[:, i].copy() for i in self.counted}
        return _Summary(rows, low, high, is_whole, block.bad, counting, values, self._samples(block), block.problems)

    def _maybe_row_numbers(self) -> list[int]:
        return sorted({0, min(1, self.width - 1), self.width - 1})

    def _samples(self, block: Block) -> list[PreviewRow]:
        """The first rows of each class in this block (of the whole block without a label)."""
        rows = len(block.numbers)
        if self.guess is None:
            picked = list(range(min(rows, PREVIEW_ROWS // 2)))
            labels: list[str | None] = [None] * len(picked)
        else:
            column = block.text.get(self.guess)
            if column is None:
                column = block.numbers[:, self.guess]
                with np.errstate(invalid="ignore"):
                    distinct = np.unique(column[np.isfinite(column)])[:PREVIEW_ROWS]
                groups = [(label_text(v), np.flatnonzero(column == v)) for v in distinct.tolist()]
            else:
                groups = [(v, np.flatnonzero(column == v)) for v in list(dict.fromkeys(column.tolist()))[:PREVIEW_ROWS] if v]
            pairs = [(int(row), label) for label, where in groups for row in where[:PREVIEW_PER_CLASS]]
            picked, labels = [row for row, _ in pairs], [label for _, label in pairs]
        return [
            PreviewRow(int(block.lines[row]), label, tuple(self._cell(block, row, i) for i in self.shown))
            for row, label in zip(picked, labels, strict=True)
        ]

    def _cell(self, block: Block, row: int, index: int) -> float | str | None:
        if index in block.text:
            return block.text[index][row][:60]
        value = float(block.numbers[row, index])
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() and abs(value) < 1e15 else float(f"{value:.5g}")

    def run(self) -> DataFacts:
        rows, samples = 0, _PreviewPicker()
        low = np.full(self.width, np.nan)
        high, bad = low.copy(), np.zeros(self.width, np.int64)
        is_whole = np.ones(self.width, bool)
        problems = ProblemList()
        steady: dict[int, float | None] = {i: None for i in self._maybe_row_numbers()}
        for block in self.reader.blocks(self._summarise):
            if block.rows:
                low, high = np.fmin(low, block.low), np.fmax(high, block.high)
                is_whole &= block.is_whole
                for i, (first, last, counts_up) in block.counting.items():
                    if i in steady:
                        before = steady[i]
                        if counts_up and (before is None and first in (0, 1) or before is not None and first == before + 1):
                            steady[i] = last
                        else:
                            del steady[i]
            rows += block.rows
            if block.bad is not None:
                bad += block.bad
            for i, values in block.values.items():
                self.counts.add(i, values)
            samples.add(block.samples)
            problems.extend(block.problems)
        if not rows:
            raise DataRefused(
                f"{self.path.name}: none of its rows has the {self.width} columns that were expected. "
                + (problems.summary() or "Is the delimiter right?")
            )
        return self._facts(rows, low, high, is_whole, bad, problems, steady, samples)

    def _facts(self, rows, low, high, is_whole, bad, problems, steady, samples) -> DataFacts:  # type: ignore[no-untyped-def]
        names, dialect = self.dialect.names, self.dialect
        kinds = "".join(
            "t" if kind == "t" else "e" if bad[i] >= rows else "i" if is_whole[i] else "f"
            for i, kind in enumerate(dialect.kinds)
        )
        row_numbers = tuple(i for i in steady if rows > 2 and kinds[i] == "i" and not bad[i])
        candidates = rank(names, kinds, self.counts, rows, row_numbers)
        for name in dialect.repeated_names[:5]:
            problems.add(Problem(REPEATED_NAME, dialect.skip_lines, name, ""))
        labels = {c.index for c in candidates if c.score >= CERTAIN} | set(row_numbers)
        inner = [i for i in range(self.width) if kinds[i] in "if" and i not in labels]
        finite_low, finite_high = low[inner][np.isfinite(low[inner])], high[inner][np.isfinite(high[inner])]
        constant = tuple(
            i for i in range(self.width) if kinds[i] == "e" or (kinds[i] in "if" and low[i] == high[i] and not bad[i])
        )
        return DataFacts(
            name=self.path.name,
            size_bytes=self.path.stat().st_size,
            is_gzip=dialect.is_gzip,
            encoding=dialect.encoding,
            delimiter=dialect.delimiter,
            decimal=dialect.decimal,
            has_header=dialect.has_header,
            rows=rows,
            names=names,
            kinds=kinds,
            constant=constant if rows > 1 else (),
            row_numbers=row_numbers,
            low=float(finite_low.min()) if len(finite_low) else None,
            high=float(finite_high.max()) if len(finite_high) else None,
            candidates=candidates,
            problems=(),
            problem_counts={},
            problem_text="",
            notes=self._notes(row_numbers),
            preview=samples.preview(self._preview_label(candidates), self.shown),
        ).with_problems(problems)

    def _preview_label(self, candidates: tuple[LabelCandidate, ...]) -> str | None:
        if self.guess is None or not any(c.index == self.guess for c in candidates):
            return None
        return self.dialect.names[self.guess]

    def _notes(self, row_numbers: tuple[int, ...]) -> tuple[str, ...]:
        dialect, notes = self.dialect, []
        words = DELIMITERS.get(dialect.delimiter, repr(dialect.delimiter))
        header = "with a header" if dialect.has_header else "without a header"
        notes.append(f"read as {words}-separated, {header}" + (", gzip" if dialect.is_gzip else ""))
        if dialect.decimal == ",":
            notes.append("numbers are written with a decimal comma")
        if dialect.encoding != "utf-8":
            notes.append("the text is not UTF-8 and was read as Latin-1: check names and labels with accents")
        for i in row_numbers:
            notes.append(f"column '{dialect.names[i]}' counts the rows: it is an index, not a measurement")
        return tuple(notes)


class _PreviewPicker:
    """Keeps the first few rows of each class, at most 64 rows and 110 kB of JSON."""

    def __init__(self) -> None:
        self.groups: dict[str | None, list[PreviewRow]] = {}

    def add(self, rows: list[PreviewRow]) -> None:
        for row in rows:
            if row.label not in self.groups and len(self.groups) >= PREVIEW_ROWS:
                continue
            group = self.groups.setdefault(row.label, [])
            if len(group) < (PREVIEW_ROWS // 2 if row.label is None else PREVIEW_PER_CLASS):
                group.append(row)

    def preview(self, label: str | None, shown: list[int]) -> Preview:
        picked: list[PreviewRow] = []
        size, depth = 0, 0
        while len(picked) < PREVIEW_ROWS and any(depth < len(group) for group in self.groups.values()):
            for group in self.groups.values():
                if depth < len(group) and len(picked) < PREVIEW_ROWS:
                    size += len(json.dumps(group[depth].values))
                    if picked and size > PREVIEW_JSON_BYTES:
                        return Preview(label, tuple(shown), _by_line(picked))
                    picked.append(group[depth])
            depth += 1
        return Preview(label, tuple(shown), _by_line(picked))


def _by_line(rows: list[PreviewRow]) -> tuple[PreviewRow, ...]:
    return tuple(sorted(rows, key=lambda row: row.line))


def _as_float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
