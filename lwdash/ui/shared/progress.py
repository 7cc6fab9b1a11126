"""Progress of running runs and of the queue."""

import time
from collections.abc import Sequence

import streamlit as st

from lwdash.ui.results.search_panel import search_line
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.number_text import seconds
from storage import run_rows, runs
from storage.frames import active_runs, count_states, progress_of
from storage.queue import Position, queue_position, seconds_left
from storage.records import RunProgress
from storage.searches import get_searches, stop_searches
from storage.store import Store

MAX_SHOWN = 12
PAUSED = "paused"
"""First word of the activity of a run that another one's timing has interrupted."""


def show_progress(store: Store, experiment_id: int, *, can_cancel: bool = True) -> None:
    """A running search, and progress and a cancel button for each unfinished run; nothing when all have ended.

    The caller draws it again and again, together with everything else that shows the state of these runs.
    """
    active = active_runs(store.database, experiment_id, MAX_SHOWN)
    searches = [s for s in get_searches(store.database, experiment_id) if s.is_running]
    if not active and not searches:
        return
    running = [run for run in active if run.state == "running"]
    waiting = active[len(running) :]
    counts = progress_of(store.database, experiment_id)
    total, ended = sum(counts.values()), sum(counts.values()) - counts["running"] - counts["queued"]
    left = seconds_left(store.database, experiment_id, time.time())
    with st.container(border=True):
        for search in searches:
            search_line(store, search, can_stop=can_cancel)
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            estimate = "" if left is None or left < 1 else f" · about {seconds(left)} left (estimate)"
            st.markdown(
                f"**{counts['running']} running, {counts['queued']} waiting** · {ended} of {total} ended{estimate}"
            )
            if can_cancel and st.button("Cancel all", key="cancel-all", icon=":material/stop_circle:"):
                stop_searches(store.database, experiment_id)
                for run in active_runs(store.database, experiment_id, 1_000_000):
                    runs.cancel(store.database, run.id)
        for run in running:
            _line(store, run, can_cancel, timed=timed_run(running))
        if waiting:
            with st.expander(f"{counts['queued']:,} waiting"):
                _line(store, waiting[0], can_cancel, turn_text(queue_position(store.database, waiting[0].id)))
                for run in waiting[1:]:
                    _line(store, run, can_cancel)
                if counts["queued"] > len(waiting):
                    st.caption(f"and {counts['queued'] - len(waiting):,} more, in the table below")


def timed_run(running: Sequence[RunProgress]) -> int | None:
    """The run that has the host to itself while others are paused; None if none of these runs is it."""
    if not any(_is_paused(run) for run in running):
        return None
    return next((run.id for run in running if run.doing and not _is_paused(run)), None)


def _is_paused(run: RunProgress) -> bool:
    return (run.doing or "").startswith(PAUSED)


def _line(
    store: Store,
    run: RunProgress,
    can_cancel: bool,
    turn: str = "waits for its turn",
    timed: int | None = None,
) -> None:
    """turn: position of a queued run, passed in because computing it for every line of every session would
    cost too much. timed: the run for which others are paused.
    """
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        with st.container(gap=None):
            is_running = run.state == "running"
            clock = f" · {seconds(time.time() - run.started_at)}" if run.started_at else ""
            activity = f"paused while run {timed} is timed" if timed and _is_paused(run) else run.doing
            doing = (activity or "starting") + clock if is_running else _wait(run, turn)
            text = f"**{plain(run.recipe)}** · {plain(doing)}"
            if is_running:
                st.progress(min(1.0, max(0.0, run.progress)), text=text)
            else:
                st.markdown(text)
        if can_cancel and st.button(
            "", key=f"cancel-{run.id}", icon=":material/close:", help=f"Cancel {plain(run.recipe)}"
        ):
            runs.cancel(store.database, run.id)
            st.rerun(scope="fragment")


def _wait(run: RunProgress, turn: str) -> str:
    """Reason why a run waits, or its position in the queue."""
    activity = run.doing or ""
    return activity if activity.startswith("waits: ") else turn


def turn_text(position: Position | None) -> str:
    """Position of a run in the queue, as text; with the waiting time if it was measured."""
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
    if run is None or run.has_ended:
        st.rerun()
    with st.container(border=True):
        turn = turn_text(queue_position(_store.database, run_id)) if run.state == "queued" else ""
        _line(_store, run, can_cancel, turn)


@st.fragment(run_every=2.0)
def follow_all(_store: Store) -> None:
    """One line about all running work, on the pages that are not about one experiment."""
    counts = count_states(_store.database)
    if counts["queued"] or counts["running"]:
        st.caption(f":material/progress_activity: {counts['running']} running, {counts['queued']} waiting")
