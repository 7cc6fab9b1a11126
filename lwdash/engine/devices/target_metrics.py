"""Metrics of runs from their results on targets, which are recorded after the runs have succeeded."""

from collections.abc import Sequence

import pandas as pd
from sqlalchemy import Engine

from lwdash.metrics.offers import target_metric
from lwdash.metrics.target_values import TargetValues, mark_targets
from lwdash.targets.boards import load_boards
from lwdash.targets.result_columns import COLUMNS, npu_of, run_columns, shown_targets
from storage import searches
from storage.devices import devices
from storage.records import StoredSearch
from storage.target_results import chosen_targets, target_results

ARENA = "arena_bytes"
"""Limit and goal that hold for the arena as measured."""


def target_metrics(engine: Engine, experiment_id: int, run_ids: Sequence[int]) -> TargetValues:
    """The values of lwdash.targets.result_columns; runs without results are left out."""
    npu, assumptions = npu_of(chosen_targets(engine, experiment_id)), load_boards().assumptions
    return run_columns(target_results(engine, run_ids), assumptions, npu)


def with_titles(engine: Engine, experiment_id: int, frame: pd.DataFrame, late: TargetValues) -> pd.DataFrame:
    """A frame of an experiment's runs, which now carries the titles of targets."""
    return mark_targets(frame, late.names, shown_targets(npu_of(chosen_targets(engine, experiment_id))))


def needs_target_metrics(keys: Sequence[str]) -> bool:
    """True if one of these goals or limits is measured on a target, after the run."""
    return any(key in (*COLUMNS, ARENA) or target_metric(key) is not None for key in keys)


def tried_with_targets(engine: Engine, search: StoredSearch, limit: int, keys: Sequence[str]) -> pd.DataFrame:
    """`storage.searches.tried`; the figures also hold the metrics of targets, if one of `keys` needs them.

    keys: the goal and the limits of the search.
    """
    tried = searches.tried(engine, search, limit)
    if not needs_target_metrics(keys):
        return tried
    late = target_metrics(engine, search.experiment_id, [int(run) for run in tried["id"]]).values
    figures = [
        {**own, **late.get(int(run), {})} if own else own
        for run, own in zip(tried["id"], tried["figures"], strict=True)
    ]
    return tried.assign(figures=pd.Series(figures, index=tried.index, dtype=object))


def titles_of_devices(engine: Engine) -> dict[str, str]:
    """Target → name, of every device that can be used."""
    return {device.target: device.name for device in devices(engine)}
