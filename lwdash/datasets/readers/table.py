"""The contract of a reader: one data file as rows of named columns, given block by block."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from lwdash.datasets.readers.csv_problems import ProblemList

T = TypeVar("T")
Shape = tuple[int | None, ...]

MAX_COLUMNS = 200_000
BLOCK_VALUES = 1 << 20
"""Number of values of a block of arrays: 8 MB in float64."""


@dataclass
class Block:
    """Consecutive rows. numbers: float64 (rows, columns of the file), NaN where a column is text or an array, or a
    value is bad; text: column index → array of str (rows,), for the columns read as text; lines: int64 (rows,)
    lines of the file, or numbers of the rows; bad: bad cells of each column, None where there are none.

    arrays: column index → (rows, *shape), any real type, for the array columns. parts: the part that the file
    states for each row, as its index in `split.PARTS`, −1 for rows to be divided; None where it states none.
    """

    numbers: np.ndarray
    text: dict[int, np.ndarray]
    lines: np.ndarray
    problems: ProblemList = field(default_factory=ProblemList)
    bad: np.ndarray | None = None
    arrays: dict[int, np.ndarray] = field(default_factory=dict)
    parts: np.ndarray | None = None


@dataclass(frozen=True)
class View:
    """The form in which an array column is wanted. shape: of one value, all lengths known; step: the step of the
    pre-processing that says how the file's samples get this shape, None for the reader's default.
    """

    shape: tuple[int, ...]
    step: Any = None


class DataTable(ABC):
    """One opened data file. Opening reads its head only; `blocks` reads all of it, with bounded memory.

    names: of the columns, all different; kinds: one letter for each, "n" numbers (arrays too) or "t" text.
    shapes: array column → shape of one value; None for a length that the model decides (images, sounds).
    countable: columns whose distinct values are counted, since they may be the label. sample: the first rows as
    text, () where nothing is to be guessed from them. label: the label that the file itself states: a column's
    name, or `first..last`. spread: array → its first and last column, for arrays that are given as one column
    for each number. has_header: the names come from the file. The other attributes are those of a CSV.
    """

    file_format: str = "csv"
    path: Path
    names: tuple[str, ...]
    kinds: str
    shapes: Mapping[int, Shape] = {}
    countable: Sequence[int] = ()
    sample: Sequence[Sequence[str]] = ()
    label: str | None = None
    spread: Mapping[str, tuple[int, int]] = {}
    skip_lines: int = 0
    repeated_names: tuple[str, ...] = ()
    has_header: bool = True
    is_gzip: bool = False
    encoding: str = ""
    delimiter: str = ""
    decimal: str = "."

    @abstractmethod
    def blocks(
        self,
        then: Callable[[Block], T],
        *,
        text_columns: Sequence[int] = (),
        wanted: Sequence[int] | None = None,
        views: Mapping[int, View] | None = None,
    ) -> Iterator[T]:
        """`then(block)` for each block, in file order; `then` may run in several threads.

        text_columns: columns that are also given as text. wanted: columns whose values are needed, None = all.
        views: array column → the form in which it is wanted; without one, arrays have the file's own shape, and
        samples whose shape the model decides have a small one that is good for a preview. Bad cells are added to
        the block's problems. Raises DataRefused for a damaged file.
        """

    def script_source(
        self, columns: Sequence[int], view: View | None, lines: Sequence[int]
    ) -> Mapping[str, Any] | None:
        """The place of an input's values for the script of a capsule, JSON-able; None where it cannot find them.

        columns, view: of the input, as for `blocks`; lines: of the rows.
        """
        return None

    def sounds(self) -> tuple[tuple[int, int, int], ...]:
        """(rate, number of files, median of their lengths) of sound files; complete after all blocks were read."""
        return ()

    def facts_notes(self) -> tuple[str, ...]:
        """Facts for the user; complete after all blocks were read."""
        return ()


@dataclass(frozen=True)
class OpenOptions:
    """The user's settings that matter when a file is opened, None where the file decides."""

    delimiter: str | None = None
    has_header: bool | None = None
    label: str | None = None


@dataclass(frozen=True)
class TableFormat:
    """A kind of data file that is not CSV text.

    accepts: (first bytes, path) → True if the file is of this kind. open: the opened file, or DataRefused.
    """

    name: str
    accepts: Callable[[bytes, Path], bool]
    open: Callable[[Path, OpenOptions], DataTable]
