"""One-hot labels (one column per class, a single 1 in each row): detection in a CSV, and reading of a row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lwdash.datasets.data_facts import MAX_CLASSES, LabelCandidate
from lwdash.errors import DataRefused

ONE_HOT = "one-hot"
"""Kind of such a label candidate."""
MAX_RUNS = 4
SCORE = 5.0
"""Below every other sign of a label: a table of categories that feeds the model looks the same."""


@dataclass(frozen=True)
class Runs:
    """The k columns from `first` on (the last k if `is_end`) that hold one 1 and otherwise 0 in every row so
    far.

    sizes: each such k ≥ 2, ascending; ones: rows with a 1 in each of the `sizes[-1]` columns, from the outer
    column inwards.
    """

    first: int
    is_end: bool
    sizes: tuple[int, ...]
    ones: np.ndarray

    def joined(self, other: "Runs") -> "Runs":
        sizes = tuple(sorted(set(self.sizes) & set(other.sizes)))
        most = sizes[-1] if sizes else 0
        return Runs(self.first, self.is_end, sizes, self.ones[:most] + other.ones[:most])


def one_hot_runs(numbers: np.ndarray) -> tuple[Runs, ...]:
    """The runs at both ends of a block and after its first column, which may be an index.

    numbers: (rows, columns) float64, NaN where a cell is missing.
    """
    after_index = (_runs(numbers[:, 1:], 1),) if numbers.shape[1] > 1 else ()
    return (_runs(numbers, 0), *after_index, _runs(numbers[:, ::-1], 0, is_end=True))


def _runs(numbers: np.ndarray, first: int, *, is_end: bool = False) -> Runs:
    head = numbers[:, :MAX_CLASSES]
    for rows in (1, len(head)):  # the first row rules out nearly every table, at no cost
        whole = ((head[:rows] == 0) | (head[:rows] == 1)).all(axis=0)
        head = head[:, : len(whole) if whole.all() else int(np.argmin(whole))]
    sums = np.cumsum(head, axis=1)
    sizes = tuple(int(k) + 1 for k in np.flatnonzero((sums == 1).all(axis=0)) if k > 0)
    return Runs(first, is_end, sizes, head[:, : sizes[-1] if sizes else 0].sum(axis=0).astype(np.int64))


def one_hot_candidates(runs: Sequence[Runs], names: Sequence[str]) -> tuple[LabelCandidate, ...]:
    """A label candidate for each run, named `first..last` after its columns; classes: the columns' names, in
    their order.
    """
    found = []
    for run in runs:
        for size in run.sizes[:MAX_RUNS]:
            if size == len(names):
                continue  # no column would be left to feed a model
            start = len(names) - size if run.is_end else run.first
            columns = tuple(range(start, start + size))
            ones = run.ones[:size][::-1] if run.is_end else run.ones[:size]
            own = [names[i] for i in columns]
            found.append(
                LabelCandidate(
                    index=columns[0],
                    name=f"{own[0]}..{own[-1]}",
                    reason=f"{size} columns, one of which is 1 in each row",
                    kind=ONE_HOT,
                    score=SCORE,
                    distinct=size,
                    classes=tuple(zip(own, ones.tolist(), strict=True)),
                    columns=columns,
                )
            )
    return tuple(found)


def one_hot_labels(cells: np.ndarray, names: Sequence[str], lines: np.ndarray, file: str) -> np.ndarray:
    """For each row, the name of the column that is 1.

    cells: float64 (rows, classes). Rows with missing cells get any name, because they are reported elsewhere.
    Raises DataRefused, naming the line, for a row that does not have a single 1.
    """
    fair = ((cells == 0) | (cells == 1)).all(axis=1) & (cells.sum(axis=1) == 1) | np.isnan(cells).any(axis=1)
    if not fair.all():
        row = int(np.argmin(fair))
        raise DataRefused(
            f"{file}, row {lines[row]}: of the label columns {names[0]} … {names[-1]} one must be 1 and the others 0, but "
            f"they hold {', '.join(f'{value:g}' for value in cells[row][:8])}. Correct the row, or choose another label."
        )
    return np.array(names, object)[np.nan_to_num(cells).argmax(axis=1)]
