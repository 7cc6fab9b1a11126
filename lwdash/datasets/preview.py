"""Chooses the rows of a data file that the data page shows: a few of each class, limited in number and in bytes."""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lwdash.datasets.data_facts import Preview, PreviewRow
from lwdash.datasets.labels.label_columns import label_text
from lwdash.datasets.preview_arrays import encode_preview
from lwdash.datasets.readers.table import Block

MAX_ROWS = 64
ROWS_PER_CLASS = 8
JSON_BYTES = 110_000
_MAX_COLUMNS = 4096


class PreviewPicker:
    """Keeps the first few rows of each class while the blocks of a file are read.

    label: column whose values are the classes, None = the first rows of the file. Very wide rows are thinned
    to every k-th column. `pick` may run in several threads, `add` runs in one, in the order of the file.
    """

    def __init__(self, columns: int, label: int | None):
        self.label = label
        self.columns = tuple(range(0, columns, math.ceil(columns / _MAX_COLUMNS)))
        self._groups: dict[str | None, list[PreviewRow]] = {}
        # A value takes 4 to 10 characters; rows collected beyond the limit are dropped at the end.
        affordable = max(1, JSON_BYTES // (4 * len(self.columns)))
        self._each = min(MAX_ROWS // 2 if label is None else ROWS_PER_CLASS, affordable)

    def _wanted(self, label: str | None) -> int:
        """Number of rows of this class that are still needed."""
        group = self._groups.get(label)
        if group is None:
            return self._each if len(self._groups) < MAX_ROWS else 0
        return self._each - len(group)

    def pick(self, block: Block) -> list[PreviewRow]:
        """The first rows in this block of each class that still needs rows."""
        if self.label is None:
            rows: list[tuple[int, str | None]] = [
                (row, None) for row in range(min(len(block.numbers), self._wanted(None)))
            ]
        else:
            rows = [
                (int(row), label)
                for label, where in _classes(block, self.label)
                for row in where[: self._wanted(label)]
            ]
        return [
            PreviewRow(int(block.lines[row]), label, tuple(_cell(block, row, i) for i in self.columns))
            for row, label in rows
        ]

    def add(self, rows: Sequence[PreviewRow]) -> None:
        for row in rows:
            if self._wanted(row.label) > 0:
                self._groups.setdefault(row.label, []).append(row)

    def preview(self, label_name: str | None) -> Preview:
        """The rows in the order of the file: first one of each class, then a second …, up to the limit."""
        groups = list(self._groups.values())
        turns = [group[depth] for depth in range(self._each) for group in groups if depth < len(group)]
        picked: list[PreviewRow] = []
        size = 0
        for row in turns[:MAX_ROWS]:
            size += len(json.dumps(row.values))
            if picked and size > JSON_BYTES:
                break
            picked.append(row)
        return Preview(label_name, self.columns, tuple(sorted(picked, key=lambda row: row.line)))


def _classes(block: Block, index: int) -> list[tuple[str, np.ndarray]]:
    """The distinct labels of a block (at most 64) and the rows of each."""
    if index in block.text:
        column = block.text[index]
        return [(text, np.flatnonzero(column == text)) for text in _first(column.tolist()) if text]
    numbers = block.numbers[:, index]
    distinct = np.unique(numbers[np.isfinite(numbers)])[:MAX_ROWS]
    return [(label_text(value), np.flatnonzero(numbers == value)) for value in distinct.tolist()]


def _first(values: list[str]) -> list[str]:
    return list(dict.fromkeys(values))[:MAX_ROWS]


def _cell(block: Block, row: int, index: int) -> float | str | dict[str, Any] | None:
    if index in block.arrays:
        return encode_preview(block.arrays[index][row])
    if index in block.text:
        return str(block.text[index][row])[:60]
    value = float(block.numbers[row, index])
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() and abs(value) < 1e15 else float(f"{value:.5g}")
