"""Progress of running runs and of the queue."""

import re
import time
from collections.abc import Mapping, Sequence

import streamlit as st

from lwdash.ui.results.search_panel import search_line
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.number_text import counted, seconds
from storage import run_rows, runs
from storage.frames import active_runs, count_states, progress_of
from storage.queue import Position, queue_position
from storage.records import RunProgress
from storage.searches import get_searches, stop_searches
from storage.store import Store
from storage.time_left import TimeLeft, seconds_left, seconds_left_of_runs

MAX_SHOWN = 12
MIN_SHARE = 0.05
"""Share of a training that must have been seen before its speed tells the rest."""
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
    now = time.time()
    left = seconds_left(store.database, experiment_id, now)
    of_runs = seconds_left_of_runs(store.database, experiment_id, now)
    with st.container(border=True):
        for search in searches:
            search_line(store, search, can_stop=can_cancel)
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown(
                f"**{counts['running']} running, {counts['queued']} waiting** · {ended} of {total} ended"
                + time_left_text(left)
            )
            if can_cancel and st.button("Cancel all", key="cancel-all", icon=":material/stop_circle:"):
                stop_searches(store.database, experiment_id)
                for run in active_runs(store.database, experiment_id, 1_000_000):
                    runs.cancel(store.database, run.id)
        for run in running:
            _line(
                store,
                run,
                can_cancel,
                timed=timed_run(running),
                left=run_seconds_left(run, of_runs, now, _seen()),
            )
        if waiting:
            with st.expander(f"{counts['queued']:,} waiting"):
                _line(store, waiting[0], can_cancel, turn_text(queue_position(store.database, waiting[0].id)))
                for run in waiting[1:]:
                    _line(store, run, can_cancel)
                if counts["queued"] > len(waiting):
                    st.caption(f"and {counts['queued'] - len(waiting):,} more, in the table below")


def time_left_text(left: TimeLeft | None) -> str:
    """Text of an estimate behind the counts; "" where nothing can be told."""
    if left is None or left.seconds < 1:
        return ""
    without = f" without {counted(left.unknown, 'run')} of a kind not measured yet" if left.unknown else ""
    return f" · about {seconds(left.seconds)} left{without} (estimate)"


def run_seconds_left(
    run: RunProgress, usual: Mapping[int, float], now: float, seen: dict[int, tuple[str, float, float]]
) -> float | None:
    """Estimated seconds until a running run ends: at least those of its present training at the speed since it was first
    seen, and those by which other runs of its kind take longer. None where neither is known.

    usual: run → seconds, of `seconds_left_of_runs`. seen: run → its present training, and when and at which share of it
    it was first seen; written here.
    """
    training = _training(run)
    if training is None:
        return usual.get(run.id)
    if seen.get(run.id, ("",))[0] != training:
        seen[run.id] = (training, now, run.progress)
    _, since, share = seen[run.id]
    done = run.progress - share
    of_training = None if done < MIN_SHARE else (1 - run.progress) * (now - since) / done
    known = [value for value in (of_training, usual.get(run.id)) if value is not None]
    return max(known, default=None)


def _seen() -> dict[int, tuple[str, float, float]]:
    """The trainings that this session has seen."""
    found: dict[int, tuple[str, float, float]] = st.session_state.setdefault("progress:trainings", {})
    return found


def _training(run: RunProgress) -> str | None:
    """Name of the training that a run is in; None while it does something else."""
    found = re.fullmatch(r"(.*): epoch \d+ of \d+", run.doing or "")
    return found[1] if found else None


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
    left: float | None = None,
) -> None:
    """One unfinished run, with its progress and a button that cancels it.

    turn: position of a queued run, passed in because computing it for every line of every session would
    cost too much. timed: the run for which others are paused. left: estimated seconds.
    """
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        with st.container(gap=None):
            is_running = run.state == "running"
            clock = f" · {seconds(time.time() - run.started_at)}" if run.started_at else ""
            activity = f"paused while run {timed} is timed" if timed and _is_paused(run) else run.doing
            until = f", about {seconds(left)} left (estimate)" if left is not None and left >= 1 else ""
            doing = (activity or "starting") + clock + until if is_running else _wait(run, turn)
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
        now = time.time()
        usual = seconds_left_of_runs(_store.database, run.experiment_id, now)
        left = run_seconds_left(run, usual, now, _seen()) if run.state == "running" else None
        _line(_store, run, can_cancel, turn, left=left)


@st.fragment(run_every=2.0)
def follow_all(_store: Store) -> None:
    """One line about all running work, on the pages that are not about one experiment."""
    counts = count_states(_store.database)
    if counts["queued"] or counts["running"]:
        st.caption(f":material/progress_activity: {counts['running']} running, {counts['queued']} waiting")
