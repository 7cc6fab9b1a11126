"""Summary of an experiment for its card: the baseline, the best run, and the trade-off as a sketch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lwdash.charts.card_sketch import Sketch, sketch_tradeoff
from lwdash.metrics.limits import given_limits
from lwdash.metrics.recommendation import recommend


@dataclass(frozen=True)
class CardRun:
    """A run on a card. name: its title, or its recipe; a metric is None where it was not measured."""

    name: str
    size_bytes: float
    accuracy: float | None
    agreement: float | None


@dataclass(frozen=True)
class ExperimentSummary:
    """An experiment on its card.

    baseline, best: None where there is none. has_limits: whether best was judged by
    limits of the experiment's own. headline: of the recommendation, empty where nothing is measured. sketch: the trade-off
    in small, None for fewer than two runs.
    """

    baseline: CardRun | None
    best: CardRun | None
    has_limits: bool
    headline: str = ""
    sketch: Sketch | None = None


def summarize(runs: pd.DataFrame, limits: Mapping[str, float]) -> ExperimentSummary:
    """The summary of an experiment's runs.

    runs: succeeded runs of one experiment, oldest first, as returned by `storage.overview.card_metrics`; with more
    metrics where these are known.
    """
    own = given_limits(limits)
    if runs.empty:
        return ExperimentSummary(None, None, bool(own))
    base = runs[runs["is_baseline"].astype(bool)]
    baseline = _card_run(base.iloc[0]) if len(base) else None
    judged = runs.assign(baseline_accuracy=baseline.accuracy if baseline else None)
    found = recommend(judged, own)
    chosen = found.run if found else None
    return ExperimentSummary(
        baseline,
        None if chosen is None else _card_run(judged[judged["id"] == chosen].iloc[0]),
        bool(own),
        found.headline if found else "",
        sketch_tradeoff(runs, chosen),
    )


def _card_run(run: pd.Series) -> CardRun:
    """A run of the frame, which has NaN for a title or a metric that this run does not have and others have."""
    name = run["title"] if isinstance(run["title"], str) else run["recipe"]
    return CardRun(str(name), float(run["size_bytes"]), _number(run["accuracy"]), _number(run["agreement"]))


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)
