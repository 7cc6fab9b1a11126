"""A zip with one file per sample as a table: one array column, whose shape the model decides, and label columns."""

import math
import zipfile
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

import numpy as np

from lwdash.datasets.labels.label_columns import MAX_CHOSEN_CLASSES, is_label_name
from lwdash.datasets.readers.archives.sample_archive import DAMAGE, Sample, damaged, read_contents
from lwdash.datasets.readers.array_blocks import array_problems, blocks_in_threads
from lwdash.datasets.readers.csv_problems import MISSING, TEXT, UNREADABLE, Problem
from lwdash.datasets.readers.csv_text.csv_dialect import is_missing, is_number
from lwdash.datasets.readers.table import BLOCK_VALUES, Block, DataTable, OpenOptions, Shape, View

T = TypeVar("T")
MAX_BLOCK_ROWS = 256
MAX_REASON_CHARACTERS = 120


class UnreadableSample(Exception):
    """A file that cannot be decoded; the text says why."""


class SampleTable(DataTable):
    """The samples of an archive. A subclass states `what`, `suffixes`, `open_shape` and how one file is decoded.

    Files that cannot be decoded become problems with their names. `traits` counts properties of the decoded files
    while the blocks are read, for notes and checks.
    """

    what: str
    suffixes: tuple[str, ...]
    open_shape: Shape

    def __init__(self, path: Path, reading: OpenOptions):
        self.path = path
        contents = read_contents(path, self.suffixes, self.what)
        self._samples, self._has_parts, self._archive_notes = (
            contents.samples,
            contents.has_parts,
            contents.notes,
        )
        self.names = (self.what, *(f"{name} (2)" if name == self.what else name for name in contents.columns))
        cells = (
            list(zip(*(sample.label for sample in self._samples), strict=True)) if contents.columns else []
        )
        self.kinds = "n" + "".join(map(_kind, cells))
        self.shapes = {0: self.open_shape}
        self.countable = [i + 1 for i, column in enumerate(cells) if len(set(column)) <= MAX_CHOSEN_CLASSES]
        named = [i for i in range(1, len(self.names)) if is_label_name(self.names[i])]
        only = [1] if len(self.names) == 2 else named
        self.label = self.names[only[0]] if len(only) == 1 else None
        self.traits: Counter[str] = Counter()
        self._lock = Lock()

    @abstractmethod
    def decode(self, content: bytes, view: View | None) -> np.ndarray:
        """One file as the view wants it; a small version of any sensible shape without a view.

        Raises UnreadableSample.
        """

    def count(self, *traits: str) -> None:
        """Count properties of one file; safe in threads."""
        with self._lock:
            self.traits.update(traits)

    def script_source(
        self, columns: Sequence[int], view: View | None, lines: Sequence[int]
    ) -> Mapping[str, Any] | None:
        if view is None:
            return None
        return {"members": [self._samples[line - 1].member for line in lines], **self.script_view(view)}

    @abstractmethod
    def script_view(self, view: View) -> Mapping[str, Any]:
        """The form of one sample for the script of a capsule, JSON-able."""

    def facts_notes(self) -> tuple[str, ...]:
        return self._archive_notes

    def blocks(
        self,
        then: Callable[[Block], T],
        *,
        text_columns: Sequence[int] = (),
        wanted: Sequence[int] | None = None,
        views: Mapping[int, View] | None = None,
    ) -> Iterator[T]:
        view = (views or {}).get(0)
        with_samples = wanted is None or 0 in wanted
        values = math.prod(view.shape) if view is not None else 32 * 32 * 3
        size = max(1, min(MAX_BLOCK_ROWS, BLOCK_VALUES // max(1, values)))
        try:
            with zipfile.ZipFile(self.path) as archive:
                cut = (
                    lambda start=start: self._block(
                        archive, start, size, set(text_columns), view, with_samples
                    )
                    for start in range(0, len(self._samples), size)
                )
                yield from blocks_in_threads(cut, then)
        except DAMAGE as error:
            raise damaged(self.path, error) from None

    def _block(
        self,
        archive: zipfile.ZipFile,
        start: int,
        size: int,
        text_columns: set[int],
        view: View | None,
        with_samples: bool,
    ) -> Block:
        samples = self._samples[start : start + size]
        rows = len(samples)
        block = Block(np.full((rows, len(self.names)), np.nan), {}, np.arange(start + 1, start + rows + 1))
        if self._has_parts:
            block.parts = np.array([sample.part for sample in samples], np.int8)
        if with_samples:
            block.arrays[0] = self._arrays(archive, samples, view, block)
            array_problems(block, 0, self.what)
        for index in range(1, len(self.names)):
            cells = np.array([sample.label[index - 1] for sample in samples], object)
            if self.kinds[index] == "t" or index in text_columns:
                block.text[index] = cells
                self._note_cells(block, index, np.flatnonzero(cells == ""), cells)
            if self.kinds[index] == "n":
                numbers = [float(cell) if is_number(cell) else math.nan for cell in cells]
                block.numbers[:, index] = numbers
                self._note_cells(block, index, np.flatnonzero(np.isnan(numbers)), cells)
        return block

    def _arrays(
        self, archive: zipfile.ZipFile, samples: Sequence[Sample], view: View | None, block: Block
    ) -> np.ndarray:
        found: list[np.ndarray | None] = []
        for row, sample in enumerate(samples):
            try:
                found.append(self.decode(archive.read(sample.member), view))
            except UnreadableSample as error:
                reason = str(error)
            except DAMAGE as error:
                reason = str(error) or type(error).__name__
            else:
                continue
            found.append(None)
            value = f"'{sample.member[-100:]}': {' '.join(reason.split())[:MAX_REASON_CHARACTERS]}"
            block.problems.add(Problem(UNREADABLE, int(block.lines[row]), None, value))
        good = next((array for array in found if array is not None), None)
        if good is None:
            good = np.zeros(view.shape if view is not None else (1,) * len(self.open_shape), np.uint8)
        return np.stack([np.zeros_like(good) if array is None else array for array in found])

    def _note_cells(self, block: Block, index: int, rows: np.ndarray, cells: np.ndarray) -> None:
        for row in rows.tolist():
            kind = MISSING if is_missing(cells[row]) else TEXT
            block.problems.add(Problem(kind, int(block.lines[row]), self.names[index], cells[row]))
        if len(rows):
            counts = np.bincount([index], [len(rows)], minlength=len(self.names)).astype(np.int64)
            block.bad = counts if block.bad is None else block.bad + counts


def _kind(column: Sequence[str]) -> str:
    known = [cell for cell in column if not is_missing(cell)]
    return "n" if known and 2 * sum(map(is_number, known)) > len(known) else "t"
