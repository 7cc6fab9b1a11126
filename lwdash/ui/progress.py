"""Runs under way, redrawn every second without touching the rest of the page."""

import time
from typing import Any

import streamlit as st

from lwdash.ui.cards import plain
from lwdash.ui.formats import seconds
from storage import runs
from storage.frames import active_runs
from storage.store import Store

MOST_SHOWN = 12


def live_runs(store: Store, experiment_id: int) -> None:
    """Progress and a cancel button for each run that has not ended; the page is redrawn when one ends."""
    if active_runs(store.database, experiment_id, 1):
        _live(store, experiment_id)


@st.fragment(run_every=1.0)
def _live(_store: Store, experiment_id: int) -> None:
    active = active_runs(_store.database, experiment_id, 1000)
    ids = {run["id"] for run in active}
    before = st.session_state.get("live:ids", ids)
    st.session_state["live:ids"] = ids
    if before - ids or not ids:
        st.session_state.pop("live:ids")
        st.rerun()
    running = [run for run in active if run["state"] == "running"]
    with st.container(border=True):
        head, stop = st.columns([5, 1], vertical_alignment="center")
        head.markdown(f"**{len(running)} running, {len(active) - len(running)} waiting**")
        if stop.button("Cancel all", key="cancel-all", icon=":material/stop_circle:", width="stretch"):
            for run in active:
                runs.cancel(_store.database, run["id"])
        for run in active[:MOST_SHOWN]:
            _line(_store, run)
        if len(active) > MOST_SHOWN:
            st.caption(f"and {len(active) - MOST_SHOWN:,} more")


def _line(store: Store, run: dict[str, Any]) -> None:
    name, bar, clock, action = st.columns([3, 4, 1, 0.6], vertical_alignment="center")
    name.markdown(plain(run["recipe"]))
    is_running = run["state"] == "running"
    doing = run["doing"] or "waits for its turn"
    bar.progress(min(1.0, max(0.0, run["progress"])) if is_running else 0.0, text=plain(doing))
    clock.caption(seconds(time.time() - run["started_at"]) if run["started_at"] else "")
    if action.button("", key=f"cancel-{run['id']}", icon=":material/close:", help=f"Cancel {run['recipe']}"):
        runs.cancel(store.database, run["id"])
        st.rerun(scope="fragment")


@st.fragment(run_every=1.0)
def follow_run(_store: Store, run_id: int) -> None:
    """Progress of one run with a cancel button; the page is redrawn when it ends."""
    run = runs.get_run(_store.database, run_id)
    if run is None or run["state"] not in ("queued", "running"):
        st.rerun()
    _line(_store, dict(run))
