"""Results of the runs so far in the form that a search uses: quality, cost, and excess over each limit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
import pandas as pd

from lwdash.metrics.limits import ACCURACY_DROP, arena_values, best_of, excess, given_limits
from lwdash.metrics.pareto_front import pareto
from lwdash.metrics.run_metrics import quality_of
from lwdash.metrics.target_values import measure_of
from lwdash.recipe import parse_recipe
from lwdash.search.space import Space

MIN_LIMIT = 1e-9
FAILED = "failed"
"""Key of the excess of a failed run."""


@dataclass(frozen=True)
class Outcome:
    """A measured run. quality: more is better. cost: less is better (the goal's metric, or its reciprocal).
    A run that was stopped early has no cost: NaN.
    excess: for each limit the excess as a share of the limit; negative if it is met, NaN if the value was not
    measured.
    """

    run: int
    recipe: str
    quality: float
    cost: float
    excess: Mapping[str, float]

    @property
    def keeps_limits(self) -> bool:
        return all(value <= 0 for value in self.excess.values())


def limits_of_search(settings: Mapping[str, Any], own: Mapping[str, float | None]) -> dict[str, float]:
    """The limits that a search keeps to: the experiment's own, else those that it was started with."""
    return given_limits(own) or dict(settings.get("limits") or {})


def outcomes(runs: pd.DataFrame, goal: str, limits: Mapping[str, float]) -> list[Outcome]:
    """The measured runs of a frame, oldest first, except runs whose quality or goal column was not measured.

    runs: `id`, `recipe`, and the metric columns (see metrics.run_metrics and metrics.offers); goal: one of those columns.
    The arena is the measured one, see `limits.arena_values`.
    """
    if runs.empty or goal not in runs:
        return []
    values = arena_values(runs) if goal == "arena_bytes" else runs[goal]
    measure = quality_of(runs)
    if measure.column not in runs:
        return []
    sign = 1.0 if measure.is_higher_better else -1.0
    quality = pd.to_numeric(runs[measure.column], errors="coerce") * sign
    cost = pd.to_numeric(values, errors="coerce")
    if measure_of(goal).is_higher_better:
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
    """The measured runs, one column per metric. The baseline is excluded, because no search chose it.

    tried: as returned by `storage.searches.tried`.
    """
    done = tried[(tried["state"] == "succeeded") & ~tried["is_baseline"].astype(bool)]
    figures = pd.DataFrame.from_records([f or {} for f in done["figures"]], index=done.index)
    return done.drop(columns="figures").join(figures, rsuffix="_figure")


def failures(tried: pd.DataFrame, found: Sequence[Outcome]) -> list[Outcome]:
    """The failed runs, so that a search avoids them. Each is as bad as the worst measured run, and exceeds a
    limit.

    tried: as for `measured`; found: the measured runs; if there are none, there is no worst one.
    """
    if not found:
        return []
    failed = tried[tried["state"] == "failed"]
    quality, cost = min(o.quality for o in found), max(o.cost for o in found)
    return [
        Outcome(int(run), recipe, quality, cost, {FAILED: 1.0})
        for run, recipe in zip(failed["id"], failed["recipe"], strict=True)
    ]


def stopped(tried: pd.DataFrame, found: Sequence[Outcome], limits: Mapping[str, float]) -> list[Outcome]:
    """The runs that were stopped for their loss of accuracy, so that a search learns it. Their cost is not known: NaN.

    tried: as for `measured`; found: the measured runs.
    """
    limit = limits.get(ACCURACY_DROP)
    if limit is None or not found:
        return []
    best = max(outcome.quality for outcome in found)
    ended = tried[(tried["state"] == "stopped") & tried["drop"].notna()]
    return [
        Outcome(int(run), recipe, best - drop, nan, {ACCURACY_DROP: drop / max(limit, MIN_LIMIT) - 1})
        for run, recipe, drop in zip(ended["id"], ended["recipe"], ended["drop"].astype(float), strict=True)
    ]


def eligible(found: Sequence[Outcome], space: Space) -> list[Outcome]:
    """The outcomes that a search may name as its result: those without a number format that the search leaves out."""
    return [outcome for outcome in found if not space.leaves_out(parse_recipe(outcome.recipe))]


def best(found: Sequence[Outcome]) -> Outcome | None:
    """The best outcome that meets all limits; None if there is no such run or no limit.

    If quality is limited, the cheapest; otherwise the one with the best quality.
    """
    able = [o for o in found if o.excess and o.keeps_limits]
    return best_of(able, is_cheapest=any(ACCURACY_DROP in o.excess for o in able))


def front(found: Sequence[Outcome]) -> list[Outcome]:
    """Outcomes that no other beats in both quality and cost, cheapest first."""
    is_on = pareto(
        [o.cost for o in found], [o.quality for o in found], is_more_x_better=False, is_more_y_better=True
    )
    return sorted((o for o, on in zip(found, is_on, strict=True) if on), key=lambda o: (o.cost, o.run))
