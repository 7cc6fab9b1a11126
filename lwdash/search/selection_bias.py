"""Selection bias: the expected overestimate from choosing the best of many runs on the same rows.

Efron's .632 bootstrap (Journal of the American Statistical Association 78, 1983). Each resampling draws rows
with replacement and chooses the best run on them as `outcomes.best` does. The run's loss on the rows that
were not drawn is compared with its loss on the drawn rows. A resampling holds 63.2 % of the rows, which
enlarges that gap; the result is corrected by this factor.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lwdash.metrics.limits import ACCURACY_DROP
from lwdash.search.outcomes import Outcome, best

if TYPE_CHECKING:
    from scipy.sparse import csr_array

RESAMPLED_SHARE = 0.632
RESAMPLES = 1000
AT_ONCE = 50
MIN_ROWS = 30

ChangedRows = Mapping[int, tuple[Sequence[int], Sequence[int]]]
"""Run → the rows that it lost compared with the baseline, and those that it gained, numbered from 0."""


@dataclass(frozen=True)
class SelectionBias:
    """An estimate of how much better the chosen run looks than it is.

    in_sample_drop: loss of the chosen run on the rows that it was chosen on, 0–1. out_of_sample_drop:
    average loss of a run chosen this way on other rows.
    """

    in_sample_drop: float
    out_of_sample_drop: float
    runs: int
    rows: int
    resamples: int

    def to_dict(self) -> dict[str, float]:
        """The JSON form, with the keys `drop` (in sample) and `elsewhere` (out of sample)."""
        return {
            "drop": self.in_sample_drop,
            "elsewhere": self.out_of_sample_drop,
            "runs": self.runs,
            "rows": self.rows,
            "resamples": self.resamples,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "SelectionBias":
        return cls(data["drop"], data["elsewhere"], data["runs"], data["rows"], data["resamples"])


def selection_bias_of_best(
    found: Sequence[Outcome], changed: ChangedRows, rows: int, limit: float | None, *, seed: int = 0
) -> SelectionBias | None:
    """Expected loss of a run chosen as `best(found)` on rows that were not used to choose it.

    rows: number of evaluation rows; limit: on the drop of accuracy, if there is one. None if no run is best,
    if there are too few rows or runs, or if the changed rows of a possible choice are unknown.
    """
    chosen = best(found)
    known = [outcome for outcome in found if outcome.run in changed]
    if chosen is None or rows < MIN_ROWS or any(o.keeps_limits and o.run not in changed for o in found):
        return None
    able = [o for o in known if all(value <= 0 for key, value in o.excess.items() if key != ACCURACY_DROP)]
    order = sorted(able, key=lambda o: (o.cost, o.run))
    if len(order) < 2:
        return None
    lost = _changes(order, changed, rows)
    allowed = np.inf if limit is None else limit + 1e-9
    chance = np.random.default_rng(seed)
    gaps: list[float] = []
    for _ in range(0, RESAMPLES, AT_ONCE):
        drawn = np.stack(
            [np.bincount(chance.integers(rows, size=rows), minlength=rows) for _ in range(AT_ONCE)], axis=1
        )
        inside = lost @ drawn / rows
        left = drawn == 0
        outside = lost @ left / np.maximum(left.sum(axis=0), 1)
        for column in range(AT_ONCE):
            picked = _pick(inside[:, column], allowed, is_cheapest=limit is not None)
            if picked is not None:
                gaps.append(outside[picked, column] - inside[picked, column])
    if not gaps:
        return None
    drop = (len(changed[chosen.run][0]) - len(changed[chosen.run][1])) / rows
    return SelectionBias(drop, drop + RESAMPLED_SHARE * float(np.mean(gaps)), len(order), rows, len(gaps))


def _pick(drops: np.ndarray, allowed: float, *, is_cheapest: bool) -> int | None:
    """The position of the chosen run, of runs that are sorted by cost."""
    if is_cheapest:
        able = np.flatnonzero(drops <= allowed)
        return int(able[0]) if len(able) else None
    return int(np.argmin(drops))


def _changes(order: Sequence[Outcome], changed: ChangedRows, rows: int) -> "csr_array":
    """(runs, rows): 1 for a row that the run lost, −1 for one that it gained."""
    from scipy.sparse import csr_array  # slow to import; only a search's result needs it

    places: list[int] = []
    values: list[float] = []
    starts = [0]
    for outcome in order:
        for numbers, value in zip(changed[outcome.run], (1.0, -1.0), strict=True):
            places.extend(numbers)
            values.extend([value] * len(numbers))
        starts.append(len(places))
    return csr_array((np.array(values), np.array(places, np.int64), starts), shape=(len(order), rows))
