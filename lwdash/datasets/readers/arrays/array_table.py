"""NumPy files as tables: arrays of samples are array columns, labels are columns of numbers or text."""

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from lwdash.datasets.readers.array_blocks import array_problems, blocks_in_threads, plain_numbers
from lwdash.datasets.readers.arrays.array_files import StoredArray, is_array_file, stored_arrays
from lwdash.datasets.readers.arrays.array_one_hot import class_numbers
from lwdash.datasets.readers.arrays.array_roles import (
    MAIN_STEM,
    array_list,
    label_stems,
    split_name,
    stated_parts,
)
from lwdash.datasets.readers.table import (
    BLOCK_VALUES,
    MAX_COLUMNS,
    Block,
    DataTable,
    OpenOptions,
    TableFormat,
    View,
)
from lwdash.datasets.spilled_arrays import release_pages
from lwdash.datasets.split import PARTS
from lwdash.errors import DataRefused

T = TypeVar("T")
SAMPLE_ROWS = 200
MAX_SPREAD_COLUMNS = 4096
"""A file of one matrix (rows, n) is a table with n columns up to this n, and samples of n values above."""


@dataclass(frozen=True)
class _Group:
    """Arrays whose names differ only in the part that they state, such as x_train and x_test.

    stem: the common name. pieces: (part or None, array), the rows of the main part first.
    """

    stem: str
    pieces: tuple[tuple[str | None, StoredArray], ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""
        return self.pieces[0][1].shape[1:]

    @property
    def rows(self) -> tuple[int, ...]:
        return tuple(array.shape[0] for _, array in self.pieces)

    @property
    def is_text(self) -> bool:
        return self.pieces[0][1].dtype.kind in "US"


class ArrayTable(DataTable):
    """The .npy or .npz file at `path`.

    An array with the rows of the samples on its first axis is a column; `x_train` and `x_test` are one array, with
    the part stated. Arrays that are named as labels, and arrays of one number for each row, are given as one
    column for each number (`y_0`, `y_1` …); all others are array columns. Raises DataRefused for arrays that
    hold Python objects, for samples and labels of different length, and for damaged files.
    """

    file_format = "numpy"

    def __init__(self, path: Path, reading: OpenOptions):
        self.path = path
        arrays = stored_arrays(path)
        notes: list[str] = []
        self._groups = _groups(path, arrays, notes)
        self._parts = [part for part, _ in self._groups[0].pieces]
        self._rows = self._groups[0].rows
        spread = _spread_stems(self._groups, reading.label, is_single=len(arrays) == 1)
        self._groups = [_as_classes(g) if g.stem in spread else g for g in self._groups]
        self._groups.sort(key=lambda group: group.stem in spread)  # labels last, in file order otherwise
        names: list[str] = []
        self._place: dict[str, int] = {}
        self.shapes, self.spread = {}, {}
        for group in self._groups:
            self._place[group.stem] = len(names)
            width = math.prod(group.shape) if group.stem in spread else 1
            if group.stem not in spread:
                self.shapes[len(names)] = group.shape
                names.append(group.stem)
            elif width == 1:
                names.append(group.stem)
            else:
                self.spread[group.stem] = (len(names), len(names) + width - 1)
                first = 1 if len(arrays) == 1 else 0
                prefix = "column " if len(arrays) == 1 else f"{group.stem}_"
                names += [f"{prefix}{i + first}" for i in range(width)]
            if len(names) > MAX_COLUMNS:
                raise DataRefused(
                    f"{path.name}, array '{group.stem}' has {width:,} numbers a row; labels may have at most "
                    f"{MAX_COLUMNS:,}. Choose another label."
                )
        self.names = tuple(names)
        kinds = ["n"] * len(names)
        for group in self._groups:
            if group.is_text:
                start = self._place[group.stem]
                kinds[start : start + self._width(group)] = "t" * self._width(group)
        self.kinds = "".join(kinds)
        self.countable = [
            i
            for group in self._groups
            if group.stem in spread and self._width(group) <= 8
            for i in range(self._place[group.stem], self._place[group.stem] + self._width(group))
        ]
        if len(arrays) == 1 and self.spread:
            self.countable = sorted({0, len(names) - 1, *self.countable})
            self.spread, self.has_header = {}, False
        self.label = self._stated_label(spread)
        held = f"{len(arrays)} arrays" if len(arrays) > 1 else "one array"
        self._notes = (f"NumPy file of {held}: {array_list({a.name: a.shape for a in arrays})}", *notes)

    def facts_notes(self) -> tuple[str, ...]:
        return self._notes

    def _width(self, group: _Group) -> int:
        return 1 if self._place[group.stem] in self.shapes else math.prod(group.shape)

    def _stated_label(self, spread: set[str]) -> str | None:
        labels = label_stems(group.stem for group in self._groups if group.stem in spread)
        if len(labels) != 1:
            return None
        first, last = self.spread.get(labels[0], (self._place[labels[0]],) * 2)
        return self.names[first] if first == last else f"{self.names[first]}..{self.names[last]}"

    def blocks(
        self,
        then: Callable[[Block], T],
        *,
        text_columns: Sequence[int] = (),
        wanted: Sequence[int] | None = None,
        views: Mapping[int, View] | None = None,
    ) -> Iterator[T]:
        columns = set(range(len(self.names)) if wanted is None else wanted) | set(text_columns)
        groups = [g for g in self._groups if columns & {*self._columns_of(g)}]
        opened = [(group, [array.open() for _, array in group.pieces]) for group in groups]
        values_a_row = sum(max(1, math.prod(group.shape)) for group in groups) or 1
        size = max(1, BLOCK_VALUES // values_a_row)

        def cut() -> Iterator[Callable[[], Block]]:
            first_line = 1
            for piece, rows in enumerate(self._rows):
                for start in range(0, rows, size):
                    end = min(rows, start + size)
                    yield lambda piece=piece, start=start, end=end, line=first_line + start: self._block(  # type: ignore[misc]
                        opened, piece, start, end, line, set(text_columns)
                    )
                first_line += rows

        return blocks_in_threads(cut(), then)

    def script_source(
        self, columns: Sequence[int], view: View | None, lines: Sequence[int]
    ) -> Mapping[str, Any]:
        found = []
        for index in columns:
            group = next(group for group in self._groups if index in self._columns_of(group))
            start = self._place[group.stem]
            place = None if start in self.shapes else index - start
            found.append(
                {"arrays": [array.member or array.name for _, array in group.pieces], "place": place}
            )
        return {"columns": found}

    def _columns_of(self, group: _Group) -> range:
        start = self._place[group.stem]
        return range(start, start + self._width(group))

    def _block(
        self,
        opened: Sequence[tuple[_Group, Sequence[np.ndarray]]],
        piece: int,
        start: int,
        end: int,
        line: int,
        text_columns: set[int],
    ) -> Block:
        rows = end - start
        block = Block(np.full((rows, len(self.names)), np.nan), {}, np.arange(line, line + rows))
        part = self._parts[piece]
        if any(self._parts):
            block.parts = np.full(rows, -1 if part is None else PARTS.index(part), np.int8)
        for group, arrays in opened:
            values = np.array(arrays[piece][start:end])
            release_pages(arrays[piece])
            place = self._place[group.stem]
            if place in self.shapes:
                block.arrays[place] = plain_numbers(values)
                array_problems(block, place, group.stem)
                continue
            flat = values.reshape(rows, -1)
            for k in range(flat.shape[1]):
                self._add_column(block, place + k, flat[:, k], text_columns)
        return block

    def _add_column(self, block: Block, index: int, values: np.ndarray, text_columns: set[int]) -> None:
        if values.dtype.kind in "US":
            texts = np.char.decode(values, "utf-8", "replace") if values.dtype.kind == "S" else _legal(values)
            block.text[index] = np.array(
                [text.replace("\0", "\ufffd").strip() for text in texts.tolist()], object
            )
            return
        block.numbers[:, index] = plain_numbers(values)
        array_problems(block, index, self.names[index])
        if index in text_columns:
            block.text[index] = np.array([f"{value:.17g}" for value in block.numbers[:, index]], object)


def _legal(texts: np.ndarray) -> np.ndarray:
    """Texts without the numbers that are no characters, which a damaged file may hold."""
    if not texts.dtype.itemsize:
        return texts
    numbers = np.ascontiguousarray(texts.astype(texts.dtype.newbyteorder("="))).view(np.uint32)
    is_legal = (numbers <= sys.maxunicode) & ((numbers < 0xD800) | (numbers > 0xDFFF))
    return np.where(is_legal, numbers, 0xFFFD).astype(np.uint32).view(texts.dtype.newbyteorder("="))


def _groups(path: Path, arrays: Sequence[StoredArray], notes: list[str]) -> list[_Group]:
    """The arrays that hold the samples and what belongs to them, all with equal numbers of rows."""
    named = [(*split_name(array.name), array) for array in arrays]
    if len(arrays) == 1:
        named = [(named[0][0], None, arrays[0])]
    parts = {part for _, part, array in named if part and array.shape}
    usable = [one for one in named if (one[1] is not None) == bool(parts)]
    order: dict[str | None, str | None] = _order_of_parts(parts) if parts else {None: None}
    by_stem: dict[str, dict[str | None, StoredArray]] = {}
    for stem, part, array in usable:
        if not array.shape:
            continue
        if part in by_stem.setdefault(stem, {}):
            twice = by_stem[stem][part].name
            raise DataRefused(
                f"{path.name}: '{twice}' and '{array.name}' both state the same samples and part. Rename one of them."
            )
        by_stem[stem][part] = array
    named_x = next((stem for stem in by_stem if stem.lower() == MAIN_STEM), None)
    main = named_x or max(by_stem, key=lambda stem: _bytes(by_stem[stem]), default=None)
    if main is None:
        raise DataRefused(f"{path.name} holds no array with samples: {array_list(_shapes(arrays))}.")
    missing = [part for part in order if part not in by_stem[main]]
    for part in missing:
        order.pop(part)
    rows = [by_stem[main][part].shape[0] for part in order]
    groups, aside = (
        [],
        [array.name for array in arrays if array not in [one[2] for one in usable] or not array.shape],
    )
    lengths = {
        stem: [held[part].shape[0] if part in held else None for part in order]
        for stem, held in by_stem.items()
    }
    has_labels = any(own == rows for stem, own in lengths.items() if label_stems([stem]))
    for stem, held in by_stem.items():
        if lengths[stem] != rows:
            if stem == main or not has_labels:
                _refuse_role(path, stem, held, by_stem[main], lengths[stem], rows)
            aside += [array.name for array in held.values()]
            continue
        group = _Group(stem, tuple((order[part], held[part]) for part in order))
        problem = _problem(path, group)
        if problem is None:
            groups.append(group)
        elif stem == main or label_stems([stem]):
            raise DataRefused(problem)
        else:
            notes.append(f"left aside: {problem}")
    if not sum(rows):
        raise DataRefused(f"{path.name} holds no rows: {array_list(_shapes(arrays))}.")
    if aside:
        notes.append(f"left aside, since they are not of the samples' length or part: {', '.join(aside[:8])}")
    return groups


def _order_of_parts(parts: Iterable[str]) -> dict[str | None, str | None]:
    """Part in a name → the part of its rows (None = to be divided), the rows to be divided first."""
    stated = stated_parts({part: part for part in parts})
    order: dict[str | None, str | None] = {stated.main: None}
    return order | {name: part for part, name in sorted(stated.others.items())}


def _refuse_role(
    path: Path,
    stem: str,
    held: Mapping[str | None, StoredArray],
    main: Mapping[str | None, StoredArray],
    own: Sequence[int | None],
    rows: Sequence[int],
) -> None:
    """Raise DataRefused if an array that is named as samples or labels has other rows than the samples."""
    if not label_stems([stem]) and stem.lower() != MAIN_STEM:
        return
    one = next(iter(held.values()))
    if all(n is not None for n in own):
        place = next(k for k, (a, b) in enumerate(zip(own, rows, strict=True)) if a != b)
        one, other = list(held.values())[place], list(main.values())[place]
        raise DataRefused(
            f"{path.name}: array '{one.name}' has {one.shape[0]:,} rows, but '{other.name}' has {other.shape[0]:,}. Each "
            "sample needs one label, in the same order."
        )
    raise DataRefused(
        f"{path.name}: '{one.name}' is there, but not for each part of the samples "
        f"({', '.join(array.name for array in main.values())}). Add the missing arrays."
    )


def _problem(path: Path, group: _Group) -> str | None:
    """Message on why an array cannot be read as samples or labels; None where it can."""
    for _, array in group.pieces:
        where = f"{path.name}, array '{array.name}'"
        if array.is_pickled:
            return (
                f"{where} holds Python objects (dtype=object), which may contain code and are not read. Save numbers or "
                "text: array.astype('float32'), or numpy.stack(list(array)) if its rows are arrays of one shape."
            )
        if array.dtype.kind not in "fiubUS" or array.dtype.itemsize == 0:
            return (
                f"{where} is of type {array.dtype}, which a model does not take. Save numbers: integers, floats or "
                "booleans."
            )
        if array.shape[1:] != group.shape or (array.dtype.kind in "US") != group.is_text:
            first = group.pieces[0][1]
            return (
                f"{where} is {array.shape} of {array.dtype}, but '{first.name}' is {first.shape} of {first.dtype}. All "
                "parts need rows of one shape and type."
            )
        if 0 in array.shape[1:]:
            return f"{where} has the shape {array.shape}: its rows hold no values."
    return None


def _spread_stems(groups: Sequence[_Group], label: str | None, *, is_single: bool) -> set[str]:
    """The arrays that are given as one column for each number: labels, single numbers, text, and a lone matrix."""
    if is_single:
        group = groups[0]
        is_matrix = len(group.shape) <= 1 and math.prod(group.shape) <= MAX_SPREAD_COLUMNS
        return {group.stem} if is_matrix or group.is_text else set()
    stems = {group.stem for group in groups}
    named = set(label_stems(stems))
    if named == stems:  # at least one array feeds the model
        named.discard(max(groups, key=lambda group: math.prod(group.shape)).stem)
    single = {group.stem for group in groups if math.prod(group.shape) == 1 or group.is_text}
    return named | single | ({label} & stems if label else set())


def _as_classes(group: _Group) -> _Group:
    """Labels with an axis for the classes, one 1 along it, as class numbers; any other group unchanged."""
    found = [class_numbers(array) for _, array in group.pieces]
    if any(array is None for array in found):
        return group
    parts = [part for part, _ in group.pieces]
    return _Group(group.stem, tuple((p, a) for p, a in zip(parts, found, strict=True) if a is not None))


def _bytes(arrays: Mapping[str | None, StoredArray]) -> int:
    return sum(math.prod(array.shape) * array.dtype.itemsize for array in arrays.values())


def _shapes(arrays: Sequence[StoredArray]) -> dict[str, tuple[int, ...]]:
    return {array.name: array.shape for array in arrays}


NUMPY = TableFormat("numpy", is_array_file, ArrayTable)
