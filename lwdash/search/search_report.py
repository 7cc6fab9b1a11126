"""The report of a search, made from all runs of its experiment."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import isnan
from typing import Any

import pandas as pd

from lwdash.metrics.run_metrics import MEASURES, Measure, quality_of
from lwdash.search.outcomes import Outcome, best, eligible, measured, outcomes
from lwdash.search.selection_bias import LIMIT, Luck, Turned, luck_of_best
from lwdash.search.space import Space

LOOKED_AT = 1000
"""The newest runs of an experiment, among which what a search found is told."""

LEAST_TOLD = 0.001
"""A difference of accuracy that is worth words."""


@dataclass(frozen=True)
class Story:
    """tried: as `storage.searches.tried` has it; done: a row a measured run, by its id; found: what may be a result."""

    search: Mapping[str, Any]
    limits: Mapping[str, float]
    tried: pd.DataFrame
    done: pd.DataFrame
    found: list[Outcome]

    @cached_property
    def own(self) -> frozenset[int]:
        """Ids of the runs that the search has started."""
        return frozenset(self.tried.loc[self.tried["is_own"].astype(bool), "id"])

    @cached_property
    def best(self) -> Outcome | None:
        """The run to take by the search's goal; None where none keeps all limits, or there are none."""
        return best(self.found)

    @property
    def goal(self) -> Measure:
        """What was to be good."""
        return MEASURES[self.search["goal"]]

    @cached_property
    def quality(self) -> Measure:
        """What was to stay high."""
        return quality_of(self.done)

    @property
    def charted(self) -> Measure | None:
        """What gets better as the search goes on: the goal where quality is limited, else quality; None without limits."""
        if not self.limits:
            return None
        return self.goal if self.limits.get(LIMIT) is not None else self.quality

    @property
    def untold(self) -> list[str]:
        """Limits for which nothing was measured on any run."""
        return [key for key in self.limits if self.found and all(isnan(o.excess[key]) for o in self.found)]

    @property
    def rows(self) -> int | None:
        """How many rows the best run was measured on."""
        chosen = self.best
        rows = None if chosen is None else self.done.loc[chosen.run].get("rows")
        return None if rows is None or pd.isna(rows) else int(rows)

    def luck(self, turned: Turned) -> Luck | None:
        """How much choosing flatters the best run, see search.luck; turned: of the runs in `found`."""
        rows = self.rows
        return None if rows is None else luck_of_best(self.found, turned, rows, self.limits.get(LIMIT))


def tell(search: Mapping[str, Any], limits: Mapping[str, float], tried: pd.DataFrame) -> Story:
    """search: a row of `storage.searches`; limits: the experiment's; tried: its newest runs, `LOOKED_AT` of them."""
    done = measured(tried)
    found = outcomes(done, search["goal"], limits)
    space = Space.from_dict(search["settings"]["space"])
    return Story(search, limits, tried, done.set_index("id"), eligible(found, space))


def luck_words(luck: Luck) -> str:
    """What choosing the best of many runs on the same rows does to its figure, in a sentence."""
    head = f"It was chosen among {luck.runs:,} runs on the same {luck.rows:,} rows, where it {_moved(luck.drop, 'lost')}"
    by = f"by {luck.resamples:,} resamplings of the rows"
    if luck.elsewhere - luck.drop < LEAST_TOLD:
        return f"{head}; {by}, choosing flatters it by less than {100 * LEAST_TOLD:g} points"
    return f"{head}; chosen so, a run {_moved(luck.elsewhere, 'loses')} or so on other rows, {by}"


def _moved(drop: float, verb: str) -> str:
    gained = {"lost": "gained", "loses": "gains"}
    return f"{verb if drop >= 0 else gained[verb]} {100 * abs(drop):.1f} points"
