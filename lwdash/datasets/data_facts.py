"""Facts of a data file without a model. They are shown on the data page and are small enough for a database row."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import groupby
from typing import Any

from lwdash.datasets.readers.csv_problems import Problem
from lwdash.errors import DataRefused

MAX_CLASSES = 200


@dataclass(frozen=True)
class LabelCandidate:
    """A column that may hold the labels. kind: "integer" | "text" | "float"; classes: (label as text, rows)
    in the order of the labels, empty where there are more than 200 distinct values.

    A candidate of kind "one-hot" is a run of `columns`, one per class; `index` is the first of them.
    """

    index: int
    name: str
    reason: str
    kind: str
    score: float
    distinct: int
    classes: tuple[tuple[str, int], ...]
    columns: tuple[int, ...] = ()

    @property
    def own_columns(self) -> tuple[int, ...]:
        """Every column that belongs to the label."""
        return self.columns or (self.index,)


@dataclass(frozen=True)
class PreviewRow:
    """One row as written in the file. line: of the file; values: the columns of `Preview.columns`; an array column
    has a small version of its value, see `preview_arrays`.
    """

    line: int
    label: str | None
    values: tuple[float | str | dict[str, Any] | None, ...]


@dataclass(frozen=True)
class Preview:
    """A few rows, several of each class. columns: indices of the columns shown (every k-th of a very wide file)."""

    label: str | None
    columns: tuple[int, ...]
    rows: tuple[PreviewRow, ...]


@dataclass(frozen=True)
class DataFacts:
    """Result of inspecting a data file. kinds: one letter per column: 'i' whole numbers, 'f' numbers, 't' text, 'e'
    empty.

    low, high: smallest and largest number, label candidates excluded; problem_counts: kind → cells or rows.
    file_format: name of the reader. shapes: (array column, shape of one value), None for a length that the model
    decides; label: the label that the file states; spread: (array, first and last of its columns); parts: part →
    rows, where the file states parts, "" for rows to be divided. sounds: see
    `DataTable.sounds`. encoding, delimiter, decimal: of a CSV.
    """

    name: str
    size_bytes: int
    is_gzip: bool
    encoding: str
    delimiter: str
    decimal: str
    has_header: bool
    rows: int
    names: tuple[str, ...]
    kinds: str
    constant: tuple[int, ...]
    row_numbers: tuple[int, ...]
    low: float | None
    high: float | None
    candidates: tuple[LabelCandidate, ...]
    problems: tuple[Problem, ...]
    problem_counts: dict[str, int]
    problem_text: str
    notes: tuple[str, ...]
    preview: Preview
    file_format: str = "csv"
    shapes: tuple[tuple[int, tuple[int | None, ...]], ...] = ()
    label: str | None = None
    spread: tuple[tuple[str, int, int], ...] = ()
    parts: tuple[tuple[str, int], ...] = ()
    sounds: tuple[tuple[int, int, int], ...] = ()

    @property
    def columns(self) -> int:
        return len(self.names)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, at most about 200 kB: runs of names (t0 … t4999), kinds and indices are stored as ranges."""
        result = asdict(self)
        result["names"] = pack_names(self.names)
        result["kinds"] = [[letter, len(list(run))] for letter, run in groupby(self.kinds)]
        for key in ("constant", "row_numbers"):
            result[key] = pack_indices(getattr(self, key))
        result["preview"]["columns"] = pack_indices(self.preview.columns)
        return result

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "DataFacts":
        preview = stored["preview"]
        return cls(
            **{
                **{one.name: stored[one.name] for one in fields(cls) if one.name in stored},
                "names": unpack_names(stored["names"]),
                "kinds": "".join(letter * count for letter, count in stored["kinds"]),
                "constant": unpack_indices(stored["constant"]),
                "row_numbers": unpack_indices(stored["row_numbers"]),
                "candidates": tuple(
                    LabelCandidate(
                        **{
                            **c,
                            "classes": tuple((t, n) for t, n in c["classes"]),
                            "columns": tuple(c.get("columns", ())),
                        }
                    )
                    for c in stored["candidates"]
                ),
                "problems": tuple(Problem(**p) for p in stored["problems"]),
                "notes": tuple(stored["notes"]),
                "shapes": tuple((i, tuple(shape)) for i, shape in stored.get("shapes", ())),
                "spread": tuple((name, first, last) for name, first, last in stored.get("spread", ())),
                "sounds": tuple((rate, files, length) for rate, files, length in stored.get("sounds", ())),
                "parts": tuple((part, rows) for part, rows in stored.get("parts", ())),
                "preview": Preview(
                    preview["label"],
                    unpack_indices(preview["columns"]),
                    tuple(PreviewRow(r["line"], r["label"], tuple(r["values"])) for r in preview["rows"]),
                ),
            }
        )

    def named_columns(self, name: str) -> tuple[int, ...]:
        """The columns of an array that is given as one column for each number; empty for other names."""
        return next((tuple(range(first, last + 1)) for n, first, last in self.spread if n == name), ())

    def candidate(self, name: str) -> LabelCandidate | None:
        return next((c for c in self.candidates if c.name == name), None)


def pack_names(names: Sequence[str]) -> list[Any]:
    """Names with runs that count upwards as [prefix, first, last]: t0 … t139 → ["t", 0, 139]."""
    packed: list[Any] = []
    for name in names:
        match = re.fullmatch(r"(.*?)(0|[1-9]\d{0,8})", name, re.S)
        if match is None:
            packed.append(name)
            continue
        prefix, number = match[1], int(match[2])
        last = packed[-1] if packed else None
        if isinstance(last, list) and last[0] == prefix and last[2] == number - 1:
            last[2] = number
        else:
            packed.append([prefix, number, number])
    return packed


def unpack_names(packed: Sequence[Any]) -> tuple[str, ...]:
    names: list[str] = []
    for item in packed:
        if isinstance(item, str):
            names.append(item)
        else:
            prefix, first, last = item
            names.extend(f"{prefix}{number}" for number in range(first, last + 1))
    return tuple(names)


def pack_indices(indices: Sequence[int]) -> list[list[int]]:
    """Ascending indices as [first, last, step]: 0, 1, 2, 8 → [[0, 2, 1], [8, 8, 1]]."""
    packed: list[list[int]] = []
    for index in indices:
        run = packed[-1] if packed else None
        if run and run[0] == run[1]:
            run[1], run[2] = index, index - run[0]
        elif run and index == run[1] + run[2]:
            run[1] = index
        else:
            packed.append([index, index, 1])
    return packed


def unpack_indices(packed: Sequence[Sequence[int]]) -> tuple[int, ...]:
    return tuple(i for first, last, step in packed for i in range(first, last + step, step))


def brief_names(names: Sequence[str], most: int = 6) -> str:
    """Names for a message: 'label, t0 … t139'."""
    parts = []
    for item in pack_names(names):
        if isinstance(item, str):
            parts.append(item)
        else:
            prefix, first, last = item
            gap = " … " if last > first + 1 else ", "
            parts.append(f"{prefix}{first}" if first == last else f"{prefix}{first}{gap}{prefix}{last}")
    if len(parts) > most:
        parts = [*parts[: most - 1], f"… {parts[-1]}"]
    return ", ".join(parts)


def named_run(names: Sequence[str], wanted: str) -> tuple[int, ...]:
    """The columns from `a` to `b` for `wanted` = `a..b`, in this order; empty for other texts."""
    for place in range(wanted.find(".."), len(wanted)):
        first, last = wanted[:place], wanted[place + 2 :]
        if wanted[place : place + 2] == ".." and first in names and last in names:
            start, end = names.index(first), names.index(last)
            return tuple(range(start, end + 1)) if start < end else ()
    return ()


def find_column(names: Sequence[str], wanted: str, has_header: bool, what: str) -> int:
    """Index of the column that a user named: exactly, with other upper/lower case, or as 'first' or 'last';
    else DataRefused.
    """
    if wanted in names:
        return names.index(wanted)
    if wanted in ("first", "last"):
        return 0 if wanted == "first" else len(names) - 1
    alike = [i for i, name in enumerate(names) if name.lower() == wanted.strip().lower()]
    if len(alike) == 1:
        return alike[0]
    near = difflib.get_close_matches(wanted, names[:5000], n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    if not has_header:
        hint += " The file has no header: its columns are 'column 1', 'column 2' …, or 'first' and 'last'."
    raise DataRefused(f"{what} '{wanted}' is not in the CSV (columns: {brief_names(names)}).{hint}")
