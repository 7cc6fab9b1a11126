"""Selection bias: the expected overestimate from choosing the best of many runs on the same rows.

Efron's .632 bootstrap (Journal of the American Statistical Association 78, 1983), with the choice made anew in every
resampling: rows are drawn with replacement, the best run is chosen on them as `outcomes.best` would, and what it loses
on the rows that were not drawn is held against what it loses on those that were. A resampling holds 63.2 % of the
rows, which makes that gap too wide by as much.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lwdash.search.outcomes import Outcome, best

if TYPE_CHECKING:
    from scipy.sparse import csr_array

HELD = 0.632
RESAMPLES = 1000
AT_ONCE = 50
FEWEST_ROWS = 30
LIMIT = "accuracy_drop"

Turned = Mapping[int, tuple[Sequence[int], Sequence[int]]]
"""Run → the rows that it lost against the baseline, and those that it gained, by number from 0."""


@dataclass(frozen=True)
class Luck:
    """drop: what the chosen run loses on the rows that it was chosen by, 0–1; elsewhere: what one so chosen loses on
    others, on average."""

    drop: float
    elsewhere: float
    runs: int
    rows: int
    resamples: int


def luck_of_best(
    found: Sequence[Outcome], turned: Turned, rows: int, limit: float | None, *, seed: int = 0
) -> Luck | None:
    """What a run chosen as `best(found)` loses on rows that it was not chosen by.

    rows: of the evaluation; limit: on the drop of accuracy, where there is one. None where nothing is best, where too
    few rows or runs were looked at to choose by, or where it is not known of a run that it might have chosen which rows
    turned.
    """
    chosen = best(found)
    known = [outcome for outcome in found if outcome.run in turned]
    if chosen is None or rows < FEWEST_ROWS or any(o.keeps_limits and o.run not in turned for o in found):
        return None
    able = [o for o in known if all(value <= 0 for key, value in o.excess.items() if key != LIMIT)]
    order = sorted(able, key=lambda o: (o.cost, o.run))
    if len(order) < 2:
        return None
    lost = _changes(order, turned, rows)
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
    drop = (len(turned[chosen.run][0]) - len(turned[chosen.run][1])) / rows
    return Luck(drop, drop + HELD * float(np.mean(gaps)), len(order), rows, len(gaps))


def _pick(drops: np.ndarray, allowed: float, *, is_cheapest: bool) -> int | None:
    """The position of the chosen run, of runs that are sorted by cost."""
    if is_cheapest:
        able = np.flatnonzero(drops <= allowed)
        return int(able[0]) if len(able) else None
    return int(np.argmin(drops))


def _changes(order: Sequence[Outcome], turned: Turned, rows: int) -> "csr_array":
    """(runs, rows): 1 for a row that the run lost, −1 for one that it gained."""
    from scipy.sparse import csr_array  # slow to import, and only a search's result needs it

    places: list[int] = []
    values: list[float] = []
    starts = [0]
    for outcome in order:
        for numbers, value in zip(turned[outcome.run], (1.0, -1.0), strict=True):
            places.extend(numbers)
            values.extend([value] * len(numbers))
        starts.append(len(places))
    return csr_array((np.array(values), np.array(places, np.int64), starts), shape=(len(order), rows))
