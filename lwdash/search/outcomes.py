"""Results of the runs so far in the form that a search reads: quality, goal, and broken limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lwdash.metrics.limits import excess
from lwdash.metrics.pareto_front import pareto
from lwdash.metrics.run_metrics import MEASURES, quality_of
from lwdash.recipe import parse_recipe
from lwdash.search.space import Space

FAILED = "failed"
"""What a run that failed exceeds."""


@dataclass(frozen=True)
class Outcome:
    """A measured run: `quality` (more is better), `cost` (less is better: the goal's figure, or one divided by it), and
    for each limit by which share of it the run exceeds it: negative where it keeps it, NaN where nothing was measured to
    tell."""

    run: int
    recipe: str
    quality: float
    cost: float
    excess: Mapping[str, float]

    @property
    def keeps_limits(self) -> bool:
        return all(value <= 0 for value in self.excess.values())


def outcomes(runs: pd.DataFrame, goal: str, limits: Mapping[str, float]) -> list[Outcome]:
    """The measured runs of a frame, oldest first, without those of which quality or the goal's column was not measured.

    runs: `id`, `recipe`, and the columns of figures (see metrics.run_metrics); goal: one of those columns.
    """
    if runs.empty or goal not in runs:
        return []
    measure = quality_of(runs)
    if measure.column not in runs:
        return []
    sign = 1.0 if measure.is_higher_better else -1.0
    quality = pd.to_numeric(runs[measure.column], errors="coerce") * sign
    cost = pd.to_numeric(runs[goal], errors="coerce")
    if MEASURES[goal].is_higher_better:
        cost = 1 / cost
    over = excess(runs, limits)
    is_measured = np.isfinite(quality) & np.isfinite(cost)
    return [
        Outcome(
            int(runs["id"][i]),
            runs["recipe"][i],
            float(quality[i]),
            float(cost[i]),
            {k: float(over[k][i]) for k in over},
        )
        for i in runs.index[is_measured]
    ]


def measured(tried: pd.DataFrame) -> pd.DataFrame:
    """The runs that were measured, with a column for each figure; the baseline, which nobody chose, is left out.

    tried: as `storage.searches.tried` gives it.
    """
    done = tried[(tried["state"] == "succeeded") & ~tried["is_baseline"].astype(bool)]
    figures = pd.DataFrame.from_records([f or {} for f in done["figures"]], index=done.index)
    return done.drop(columns="figures").join(figures, rsuffix="_figure")


def failures(tried: pd.DataFrame, found: Sequence[Outcome]) -> list[Outcome]:
    """The runs that failed, for a search to keep away from: as bad as the worst that was measured, and out of bounds.

    tried: as for `measured`; found: what was measured, without which there is no worst.
    """
    if not found:
        return []
    failed = tried[tried["state"] == "failed"]
    quality, cost = min(o.quality for o in found), max(o.cost for o in found)
    return [
        Outcome(int(run), recipe, quality, cost, {FAILED: 1.0})
        for run, recipe in zip(failed["id"], failed["recipe"], strict=True)
    ]


def eligible(found: Sequence[Outcome], space: Space) -> list[Outcome]:
    """Those that a search may name as its result: not of a number format that it leaves out."""
    return [outcome for outcome in found if not space.leaves_out(parse_recipe(outcome.recipe))]


def best(found: Sequence[Outcome]) -> Outcome | None:
    """Which of those that keep all limits to take; None where none does, or there is no limit.

    Where quality is limited, the cheapest; where it is not, the one with the best quality.
    """
    able = [o for o in found if o.excess and o.keeps_limits]
    is_cheapest = any("accuracy_drop" in o.excess for o in able)
    return min(
        able,
        key=lambda o: (o.cost, -o.quality, o.run) if is_cheapest else (-o.quality, o.cost, o.run),
        default=None,
    )


def front(found: Sequence[Outcome]) -> list[Outcome]:
    """Those that no other beats in both quality and cost, cheapest first."""
    is_on = pareto(
        [o.cost for o in found], [o.quality for o in found], is_more_x_better=False, is_more_y_better=True
    )
    return sorted((o for o, on in zip(found, is_on, strict=True) if on), key=lambda o: (o.cost, o.run))
