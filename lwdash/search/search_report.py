"""The report of a search, computed from all runs of its experiment."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import isnan

import pandas as pd

from lwdash.metrics.limits import ACCURACY_DROP
from lwdash.metrics.run_metrics import Measure, quality_of
from lwdash.metrics.target_values import measure_of
from lwdash.search.outcomes import Outcome, best, eligible, measured, outcomes
from lwdash.search.selection_bias import ChangedRows, SelectionBias, selection_bias_of_best
from lwdash.search.space import Space

MAX_RUNS = 1000
"""Maximum number of newest runs of an experiment that the report includes."""

MIN_REPORTED_DROP = 0.001
"""Smallest difference of accuracy that is reported."""


@dataclass(frozen=True)
class SearchReport:
    """A search for its page and for the command line: its runs and its result.

    goal_name: the metric to minimize; tried: result of `storage.searches.tried`; done: one row per measured run,
    by its id; found: the possible results.
    """

    goal_name: str
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
        """The best run by the search's goal; None if no run meets all limits, or there are no limits."""
        return best(self.found)

    @property
    def goal(self) -> Measure:
        """The goal of the search."""
        return measure_of("arena_total_bytes" if self.is_arena_measured else self.goal_name)

    @property
    def is_arena_measured(self) -> bool:
        """True if the goal is the arena, and a run has the one that TensorFlow Lite Micro took."""
        total = "arena_total_bytes"
        return self.goal_name == "arena_bytes" and total in self.done and bool(self.done[total].notna().any())

    @cached_property
    def quality(self) -> Measure:
        """The quality metric of the search."""
        return quality_of(self.done)

    @property
    def charted(self) -> Measure | None:
        """The metric that improves during the search: the goal if quality is limited, otherwise quality; None
        without limits.
        """
        if not self.limits:
            return None
        return self.goal if self.limits.get(ACCURACY_DROP) is not None else self.quality

    @property
    def unmeasured_limits(self) -> list[str]:
        """Limits whose value was not measured on any run."""
        return [key for key in self.limits if self.found and all(isnan(o.excess[key]) for o in self.found)]

    @property
    def rows(self) -> int | None:
        """Number of rows that the best run was measured on."""
        chosen = self.best
        rows = None if chosen is None else self.done.loc[chosen.run].get("rows")
        return None if rows is None or pd.isna(rows) else int(rows)

    def selection_bias(self, changed: ChangedRows) -> SelectionBias | None:
        """Selection bias of the best run, see search.selection_bias; changed: changed rows of the runs in `found`."""
        rows = self.rows
        return (
            None
            if rows is None
            else selection_bias_of_best(self.found, changed, rows, self.limits.get(ACCURACY_DROP))
        )


def report_search(goal: str, space: Space, limits: Mapping[str, float], tried: pd.DataFrame) -> SearchReport:
    """The report of a search.

    goal: one of `search.space.GOALS`; space: the settings that the search chooses from; limits: of the
    experiment; tried: its newest runs, at most `MAX_RUNS`.
    """
    done = measured(tried)
    found = outcomes(done, goal, limits)
    return SearchReport(goal, limits, tried, done.set_index("id"), eligible(found, space))


def ended_early(states: Iterable[str]) -> str:
    """`, 1 of which failed and 3 were stopped early`; empty where none did."""
    counted = Counter(states)
    parts = []
    if failed := counted["failed"]:
        parts.append(f"{failed:,} of which failed")
    if stopped := counted["stopped"]:
        verb = "was" if stopped == 1 else "were"
        parts.append(f"{stopped:,} {'' if parts else 'of which '}{verb} stopped early")
    return f", {' and '.join(parts)}" if parts else ""


def bias_message(bias: SelectionBias) -> str:
    """One sentence on the selection bias of the best run."""
    head = (
        f"Chosen among {bias.runs:,} runs on the same {bias.rows:,} rows, where it "
        f"{_moved(bias.in_sample_drop, 'lost')}"
    )
    by = f"estimated with {bias.resamples:,} resamplings of the rows"
    if bias.out_of_sample_drop - bias.in_sample_drop < MIN_REPORTED_DROP:
        return f"{head}; selection bias: less than {100 * MIN_REPORTED_DROP:g} points ({by})"
    return (
        f"{head}; selection bias: on other rows a run chosen this way {_moved(bias.out_of_sample_drop, 'loses')} "
        f"on average ({by})"
    )


def _moved(drop: float, verb: str) -> str:
    gained = {"lost": "gained", "loses": "gains"}
    return f"{verb if drop >= 0 else gained[verb]} {100 * abs(drop):.1f} points"
