"""Runs under way, redrawn every second without touching the rest of the page."""

import time
from typing import Any

import streamlit as st

from lwdash.ui.results.search_panel import search_line
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.number_text import seconds
from storage import run_rows, runs
from storage.frames import active_runs, count_states, is_busy, progress_of
from storage.queue import Position, queue_position
from storage.searches import get_searches, stop_searches
from storage.store import Store

MOST_SHOWN = 12


def live_runs(store: Store, experiment_id: int, *, can_cancel: bool = True) -> None:
    """A running search, and progress and a cancel button for each run that has not ended; the page is redrawn when
    the last one ends."""
    if is_busy(store.database, experiment_id):
        _live(store, experiment_id, can_cancel)


@st.fragment(run_every=1.0)
def _live(_store: Store, experiment_id: int, can_cancel: bool) -> None:
    active = active_runs(_store.database, experiment_id, MOST_SHOWN)
    searches = [s for s in get_searches(_store.database, experiment_id) if s["state"] == "running"]
    if not active and not searches:
        st.rerun()
    running = [run for run in active if run["state"] == "running"]
    waiting = active[len(running) :]
    counts = progress_of(_store.database, experiment_id)
    total, ended = sum(counts.values()), sum(counts.values()) - counts["running"] - counts["queued"]
    with st.container(border=True):
        for search in searches:
            search_line(_store, search, can_stop=can_cancel)
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown(f"**{len(running)} running, {counts['queued']} waiting** · {ended} of {total} ended")
            if can_cancel and st.button("Cancel all", key="cancel-all", icon=":material/stop_circle:"):
                stop_searches(_store.database, experiment_id)
                for run in active_runs(_store.database, experiment_id, 1_000_000):
                    runs.cancel(_store.database, run["id"])
        for run in running:
            _line(_store, run, can_cancel)
        if waiting:
            with st.expander(f"{counts['queued']:,} waiting"):
                _line(
                    _store,
                    waiting[0],
                    can_cancel,
                    turn_words(queue_position(_store.database, waiting[0]["id"])),
                )
                for run in waiting[1:]:
                    _line(_store, run, can_cancel)
                if counts["queued"] > len(waiting):
                    st.caption(f"and {counts['queued'] - len(waiting):,} more, in the table below")


def _line(store: Store, run: dict[str, Any], can_cancel: bool, turn: str = "waits for its turn") -> None:
    """turn: where a queued run stands; to find it out for every line of every session would cost too much."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        with st.container(gap=None):
            is_running = run["state"] == "running"
            clock = f" · {seconds(time.time() - run['started_at'])}" if run["started_at"] else ""
            doing = (run["doing"] or "starting") + clock if is_running else _wait(run, turn)
            text = f"**{plain(run['recipe'])}** · {plain(doing)}"
            if is_running:
                st.progress(min(1.0, max(0.0, run["progress"])), text=text)
            else:
                st.markdown(text)
        if can_cancel and st.button(
            "", key=f"cancel-{run['id']}", icon=":material/close:", help=f"Cancel {plain(run['recipe'])}"
        ):
            runs.cancel(store.database, run["id"])
            st.rerun(scope="fragment")


def _wait(run: dict[str, Any], turn: str) -> str:
    """Why a run waits, or where it stands in the queue."""
    said = run["doing"] or ""
    return said if said.startswith("waits: ") else turn


def turn_words(position: Position | None) -> str:
    """Where a run stands in the queue, for people; the wait only where it was measured."""
    if position is None:
        return "waits for its turn"
    about = f", in about {seconds(position.wait_s)}" if position.wait_s and position.wait_s >= 1 else ""
    if position.ahead == 0:
        return f"waits for its turn: next{about}"
    return f"waits for its turn: {position.ahead:,} ahead{about}"


@st.fragment(run_every=1.0)
def follow_run(_store: Store, run_id: int, *, can_cancel: bool) -> None:
    """Progress of one run with a cancel button; the page is redrawn when it ends."""
    run = run_rows.get_run(_store.database, run_id)
    if run is None or run["state"] not in ("queued", "running"):
        st.rerun()
    with st.container(border=True):
        turn = turn_words(queue_position(_store.database, run_id)) if run["state"] == "queued" else ""
        _line(_store, dict(run), can_cancel, turn)


@st.fragment(run_every=2.0)
def follow_all(_store: Store) -> None:
    """One line about everything that runs, on the pages that are not about one experiment."""
    counts = count_states(_store.database)
    if counts["queued"] or counts["running"]:
        st.caption(f":material/progress_activity: {counts['running']} running, {counts['queued']} waiting")
