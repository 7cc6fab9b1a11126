"""All runs of an experiment as one frame, shared by all sessions: finished runs are cached, running ones are
read again every second.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import streamlit as st

from lwdash.metrics.results_frame import METRICS, results_frame_of
from lwdash.metrics.run_metrics import MEASURES, Measure
from lwdash.metrics.target_values import (
    TargetValues,
    available_with_targets,
    mark_targets,
    measured_target_columns,
)
from lwdash.targets.boards import load_boards
from lwdash.targets.result_columns import COLUMNS, npu_of, run_columns, shown_targets
from lwdash.ui.shared.memo import remembered
from storage.result_frames import STANDING, ended_mark, figures_of, standing, under_way_mark
from storage.store import Store
from storage.target_results import changed_since, results_mark, target_results

OTHERS_SECONDS = 5
"""Seconds after which changes of other processes are seen."""
PROGRESS_SECONDS = 1
"""Seconds after which the progress of running work is read again."""


def results_frame(store: Store, experiment_id: int) -> pd.DataFrame:
    """One row per run, oldest first. Do not change it: all sessions share this frame.

    `STANDING`'s columns, and those that `results_frame_of` adds.
    """
    url = str(store.database.url)
    # Queried in this order: a run that ends in between is counted twice at worst, and never lost.
    under_way = under_way_mark(store.database, experiment_id)
    mark = _mark(store, experiment_id)
    if under_way is None:
        return _ended(store, url, experiment_id, mark)
    return _all(store, url, experiment_id, (under_way, mark))


def known_measures(runs: pd.DataFrame) -> list[Measure]:
    """The metrics that at least one of these runs has; recomputed only when more runs have been measured."""
    measured = runs.loc[runs["state"] == "succeeded", "id"].to_numpy()
    late = runs[list(COLUMNS)].notna().any().to_numpy()
    key = (measured.tobytes(), late.tobytes(), tuple(measured_target_columns(runs)), repr(runs.attrs))
    return remembered("known", key, lambda: available_with_targets(runs))


def forget_notes() -> None:
    """Call after writing titles, tags or notes: the next frame has them."""
    _ended.clear()
    _all.clear()


@dataclass
class _Kept:
    """Metrics of succeeded runs, which never change, and the values read last."""

    by_run: dict[int, dict[str, Any]] = field(default_factory=dict)
    targets: dict[int, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    """Results on targets, which are recorded after a run has succeeded."""
    targets_mark: tuple[Any, ...] = ()
    on_targets: TargetValues = field(default_factory=TargetValues)
    standing: pd.DataFrame | None = None
    whole: pd.DataFrame | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


@st.cache_resource(max_entries=8, show_spinner=False)
def _kept(experiment: tuple[str, int]) -> _Kept:
    return _Kept()


@st.cache_resource(max_entries=8, ttl=OTHERS_SECONDS, show_spinner=False)
def _ended(_store: Store, url: str, experiment_id: int, mark: tuple[Any, ...]) -> pd.DataFrame:
    runs = standing(_store.database, experiment_id, has_ended=True)
    kept = _kept((url, experiment_id))
    with kept.lock:
        targets_mark = mark[1]
        if kept.whole is not None and kept.targets_mark == targets_mark and runs.equals(kept.standing):
            return kept.whole  # the same frame, so everything derived from it is still valid
        new = runs.loc[(runs["state"] == "succeeded") & ~runs["id"].isin(list(kept.by_run)), "id"]
        for run_id, metrics in figures_of(_store.database, [int(i) for i in new]).items():
            kept.by_run[run_id] = {name: metrics.get(name) for name in METRICS}
        _add_targets(_store, experiment_id, kept, targets_mark)
        frame = results_frame_of(runs, kept.by_run, kept.on_targets.columns)
        kept.whole = mark_targets(frame, kept.on_targets.names, shown_targets(npu_of(targets_mark[-1])))
        kept.standing = runs
        return kept.whole


@st.cache_resource(max_entries=8, ttl=PROGRESS_SECONDS, show_spinner=False)
def _all(_store: Store, url: str, experiment_id: int, mark: tuple[Any, ...]) -> pd.DataFrame:
    active = standing(_store.database, experiment_id, has_ended=False)
    ended = _ended(_store, url, experiment_id, _mark(_store, experiment_id))
    active = active[~active["id"].isin(ended["id"])]
    if active.empty:
        return ended
    waiting = results_frame_of(active, {})
    both = pd.concat([ended, waiting], ignore_index=True) if len(ended) else waiting
    both.attrs.update(ended.attrs)
    return both.sort_values("id", ignore_index=True)


def _mark(store: Store, experiment_id: int) -> tuple[Any, ...]:
    """A value that changes whenever a run ends, or one of its results on targets is recorded."""
    return ended_mark(store.database, experiment_id), results_mark(store.database, experiment_id)


def _add_targets(store: Store, experiment_id: int, kept: _Kept, mark: tuple[Any, ...]) -> None:
    """Read the results that were recorded since the last time, and write their metrics into the runs."""
    if kept.targets_mark != mark:
        newest = kept.targets_mark[1] if kept.targets_mark else None
        changed = changed_since(store.database, experiment_id, newest or 0.0)
        for run_id, results in target_results(store.database, changed).items():
            kept.targets[run_id] = {name: {**result, "layers": []} for name, result in results.items()}
        kept.targets_mark = mark
        kept.on_targets = run_columns(kept.targets, load_boards().assumptions, npu_of(mark[-1]))
    for run_id, metrics in kept.by_run.items():
        if run_id in kept.targets:
            metrics.update(dict.fromkeys(kept.on_targets.columns), **kept.on_targets.values[run_id])


assert set(COLUMNS) <= set(MEASURES), "a metric of targets has no description"
assert not {column.key for column in STANDING} & set(METRICS), "a column would occur twice"
