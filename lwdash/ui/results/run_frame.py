"""All runs of an experiment as one frame, shared by all who look at it: what has ended is kept, what is under way is
read anew every second."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import streamlit as st

from lwdash.metrics.hosts import host_id, words_of
from lwdash.metrics.run_metrics import INTERVALS, MEASURES, Measure, available
from lwdash.metrics.technique_families import family
from lwdash.ui.shared.memo import remembered
from storage.result_frames import STANDING, ended_mark, figures_of, standing, under_way_mark
from storage.store import Store

OTHERS_SECONDS = 5
"""After this long, what somebody wrote through another process is seen."""
PROGRESS_SECONDS = 1
"""After this long, the progress of what is under way is read again."""
FIGURES = (
    *MEASURES, *INTERVALS.values(), "rows", "baseline_accuracy", "baseline_size_bytes", "verdict", "verdict_text",
    "output_findings", "arena_reason", "host", "host_id",
)  # fmt: skip
MADE = ("smaller", "accuracy_change", "run_seconds", "family", "name", "host_name")


def results_frame(store: Store, experiment_id: int) -> pd.DataFrame:
    """One row a run, oldest first. Do not change it: others are given the same frame.

    `STANDING`'s columns, `FIGURES` (NaN or None where not measured), and `MADE`: smaller (×), accuracy_change (0–1),
    run_seconds, family (see charts.tradeoff), name (title or recipe), host_name.
    """
    url = str(store.database.url)
    # Asked for in this order, a run that ends in between is counted twice at worst, and never left out.
    under_way = under_way_mark(store.database, experiment_id)
    mark = ended_mark(store.database, experiment_id)
    if under_way is None:
        return _ended(store, url, experiment_id, mark)
    return _all(store, url, experiment_id, (under_way, mark))


def known_measures(runs: pd.DataFrame) -> list[Measure]:
    """The measures that at least one of these runs has: looked for again only when others have been measured."""
    measured = runs.loc[runs["state"] == "succeeded", "id"].to_numpy()
    return remembered("known", (measured.tobytes(),), lambda: available(runs))


def forget_notes() -> None:
    """Call after writing titles, tags or notes: the next frame has them."""
    _ended.clear()
    _all.clear()


@dataclass
class _Kept:
    """Figures of runs that have succeeded, which never change, and what was last read."""

    by_run: dict[int, dict[str, Any]] = field(default_factory=dict)
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
        if kept.whole is not None and runs.equals(kept.standing):
            return kept.whole  # the same frame: all that was made of it is still right
        new = runs.loc[(runs["state"] == "succeeded") & ~runs["id"].isin(list(kept.by_run)), "id"]
        for run_id, figures in figures_of(_store.database, [int(i) for i in new]).items():
            kept.by_run[run_id] = {name: figures.get(name) for name in FIGURES}
        kept.standing, kept.whole = runs, _whole(runs, kept.by_run)
        return kept.whole


@st.cache_resource(max_entries=8, ttl=PROGRESS_SECONDS, show_spinner=False)
def _all(_store: Store, url: str, experiment_id: int, mark: tuple[Any, ...]) -> pd.DataFrame:
    active = standing(_store.database, experiment_id, has_ended=False)
    ended = _ended(_store, url, experiment_id, ended_mark(_store.database, experiment_id))
    active = active[~active["id"].isin(ended["id"])]
    if active.empty:
        return ended
    both = pd.concat([ended, _whole(active, {})], ignore_index=True) if len(ended) else _whole(active, {})
    return both.sort_values("id", ignore_index=True)


def _whole(runs: pd.DataFrame, figures: Mapping[int, Mapping[str, Any]]) -> pd.DataFrame:
    nothing: dict[str, Any] = {}
    done = runs["state"] == "succeeded"
    rows = [figures.get(i, nothing) if ok else nothing for i, ok in zip(runs["id"], done, strict=True)]
    columns = {name: [row.get(name) for row in rows] for name in FIGURES}
    measured = pd.DataFrame(columns, index=runs.index)
    for name in (*MEASURES, "rows", "baseline_accuracy", "baseline_size_bytes"):
        measured[name] = pd.to_numeric(measured[name], errors="coerce").astype(float)
    whole = pd.concat([runs, measured], axis=1)
    whole["smaller"] = whole["baseline_size_bytes"] / whole["size_bytes"]
    whole["accuracy_change"] = whole["accuracy"] - whole["baseline_accuracy"]
    whole["run_seconds"] = pd.to_numeric(whole["finished_at"]) - pd.to_numeric(whole["started_at"])
    whole.loc[~done, "run_seconds"] = None
    whole["family"] = [family(r, b) for r, b in zip(whole["recipe"], whole["is_baseline"], strict=True)]
    whole["name"] = whole["title"].where(whole["title"].notna(), whole["recipe"])
    whole["host_name"] = pd.Series(_host_names(whole), index=whole.index, dtype=object)
    return whole


def _host_names(runs: pd.DataFrame) -> list[str | None]:
    """`AMD EPYC, 2 cores, 1 thread, LiteRT 2.3.0`, with the machine's short name where two read alike."""
    hosts = list(zip(runs["host"], runs["host_id"], strict=True))
    words = [words_of(host) if isinstance(host, Mapping) else None for host, _ in hosts]
    ids: dict[str, set[str]] = {}
    for said, (host, name) in zip(words, hosts, strict=True):
        if said is not None:
            ids.setdefault(said, set()).add(host_id({"host": host, "host_id": name}))
    return [
        said if said is None or len(ids[said]) < 2 else f"{said} ({host_id({'host': host, 'host_id': name})})"
        for said, (host, name) in zip(words, hosts, strict=True)
    ]


assert not {column.key for column in STANDING} & set(FIGURES), "a column would be there twice"
