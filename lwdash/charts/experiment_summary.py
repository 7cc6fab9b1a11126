"""Summary of an experiment for its card: the baseline, the best run, and the trade-off as a sketch."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lwdash.charts.card_sketch import Sketch, sketch_tradeoff
from lwdash.metrics.limits import best

WITHIN = 0.01
"""Without limits of its own, the best run of an experiment is the smallest that loses at most this much accuracy."""


@dataclass(frozen=True)
class ExperimentSummary:
    """baseline, best: the runs' figures by name, None where there is none. has_limits: whether best was judged by
    limits of the experiment's own. sketch: the trade-off in small, None for fewer than two runs."""

    baseline: Mapping[str, object] | None
    best: Mapping[str, object] | None
    has_limits: bool
    sketch: Sketch | None = None


def summarize(runs: pd.DataFrame, limits: Mapping[str, float]) -> ExperimentSummary:
    """runs: succeeded runs of one experiment, oldest first, as `storage.overview.card_figures` gives them."""
    own = {key: value for key, value in limits.items() if value is not None}
    if runs.empty:
        return ExperimentSummary(None, None, bool(own))
    base = runs[runs["is_baseline"].astype(bool)]
    baseline = _record(base.iloc[0]) if len(base) else None
    judged = runs.assign(baseline_accuracy=baseline["accuracy"] if baseline else np.nan)
    others = judged[~judged["is_baseline"].astype(bool)]
    chosen = best(others, own or {"accuracy_drop": WITHIN}) if len(others) else None
    return ExperimentSummary(
        baseline,
        None if chosen is None else _record(others[others["id"] == chosen].iloc[0]),
        bool(own),
        sketch_tradeoff(runs, chosen),
    )


def _record(run: pd.Series) -> dict[str, object]:
    """A run's figures by name; a title that it does not have is None, also where other runs have one."""
    record = {str(name): value for name, value in run.items()}
    return record | {"title": record["title"] if isinstance(record["title"], str) else None}
