"""The part of the page that reacts to filters, axes and selections, and that follows running work."""

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd
import streamlit as st

from lwdash.metrics.limits import limits_summary
from lwdash.metrics.target_values import names_in
from lwdash.report.file_names import experiment_file_name
from lwdash.settings import Settings
from lwdash.ui.results.board_matrix import DEFAULT_BOARDS, show_board_matrix
from lwdash.ui.results.export_panel import show_exports
from lwdash.ui.results.filters import HIDDEN, filter_runs, hidden_among
from lwdash.ui.results.group_table import choose_group, show_groups
from lwdash.ui.results.recommendation_card import recommended, show_recommendation
from lwdash.ui.results.run_frame import results_frame
from lwdash.ui.results.run_grouping import known_groups
from lwdash.ui.results.run_table import show_table
from lwdash.ui.results.saved_views import show_views
from lwdash.ui.results.selection_actions import show_actions
from lwdash.ui.results.table_columns import choose_columns, sorted_rows
from lwdash.ui.results.trade_off_chart import (
    choose_axes,
    chosen_axes,
    default_axes,
    show_chart,
    undominated,
)
from lwdash.ui.results.view_state import (
    CHOSEN_BOARDS,
    FRONT_ONLY,
    VIEW_LIMITS,
    adopt_address,
    settle_selection,
    write_address,
)
from lwdash.ui.shared.access import owner
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.memo import remembered
from lwdash.ui.shared.progress import show_progress
from storage.device_tasks import has_open_tasks
from storage.frames import is_busy, progress_of
from storage.records import StoredExperiment
from storage.store import Store
from storage.target_results import is_measuring

MAX_NAMED_RUNS = 8
FIRST_SECONDS, NEXT_SECONDS = 0.4, 1.0
"""Intervals at which the page shows progress before the first run is measured, and after it."""
TARGETS_SECONDS = 5.0
"""Interval at which it looks for results on targets, which follow the last run."""


def show_results(settings: Settings, store: Store, experiment: StoredExperiment, *, can_change: bool) -> None:
    """Progress, recommendation, chart and table. While work is running they are redrawn together, so that they agree.

    experiment: a row of `get_experiment`.
    """
    adopt_address(experiment.id)
    every, is_first = None, False
    if was_busy := is_busy(store.database, experiment.id):
        is_first = progress_of(store.database, experiment.id)["succeeded"] == 0
        every = FIRST_SECONDS if is_first else NEXT_SECONDS
    elif is_measuring(store.database, experiment.id) or has_open_tasks(store.database, experiment.id):
        every = TARGETS_SECONDS
    st.fragment(_body, run_every=every)(settings, store, experiment, can_change, is_first, was_busy)


def _body(
    settings: Settings,
    store: Store,
    experiment: StoredExperiment,
    can_change: bool,
    is_first: bool,
    was_busy: bool,
) -> None:
    """Everything below the title, drawn again while work is running.

    is_first, was_busy: no run was measured, or work was running, when the page was drawn. When that has changed, it
    is drawn again, at the interval for its state.
    """
    number, stored_limits = experiment.id, experiment.limits
    experiment = replace(experiment, limits=stated_limits(stored_limits))
    limits = experiment.limits
    if was_busy and not is_busy(store.database, number):
        st.rerun()
    if is_first and progress_of(store.database, number)["succeeded"]:
        st.rerun()
    with st.container():
        if was_busy:
            show_progress(store, number, can_cancel=can_change)
    runs = results_frame(store, number)
    settle_selection(runs["id"])
    if runs.empty:
        st.info("No runs yet. Start with the recipes below.", icon=":material/playlist_add:")
        return
    is_measured = bool((runs["state"] == "succeeded").any())
    name = experiment_file_name(experiment.name)
    if limits != stored_limits:
        _show_other_limits(limits, names_in(runs))
    show_recommendation(store, experiment, runs, can_change=can_change)
    shown = filter_runs(runs, limits)
    if is_measured:
        choose_axes(runs)
        if st.session_state.get(FRONT_ONLY):
            matching, axes = shown, chosen_axes(runs)
            shown = remembered("front", (matching, repr(axes)), lambda: undominated(matching, axes))
        if len(shown):  # if no run matches, the table's place has the message
            show_chart(store, shown, limits, name, every=runs)
    elif runs["state"].isin(["queued", "running"]).any():
        st.info("The chart appears with the first measured run.", icon=":material/hourglass_empty:")
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.header("Runs", width="content")
        with st.container(horizontal=True, width="content"):
            show_views(store, owner(), number, limits)
            groups = choose_group(known_groups(runs))
            columns = choose_columns(store, owner(), runs, limits)
            show_exports(store, experiment, runs, shown)
    if len(shown) < len(runs):
        hidden = hidden_among(runs)
        them = (
            "is hidden. Choose the tag “{}” to see it"
            if hidden == 1
            else "are hidden. Choose the tag “{}” to see them"
        )
        note = f" {hidden:,} {them.format(HIDDEN)}." if hidden else ""
        st.caption(f"{len(shown):,} of {len(runs):,} runs match the filters.{note}")
    best = recommended(runs, limits)
    rows = sorted_rows(shown)
    if groups is not None:
        rows = show_groups(rows, groups, columns)
    show_table(rows, columns, limits, best=best.run if best else None, groups=groups)
    _show_failures(shown)
    show_actions(store, runs, shown, experiment_id=number, can_change=can_change)
    if is_measured:
        show_board_matrix(settings, store, shown, number)
    defaults = {
        CHOSEN_BOARDS: list(DEFAULT_BOARDS),
        VIEW_LIMITS: dict(stored_limits),
    }
    write_address(number, {**defaults, **default_axes(runs)} if is_measured else defaults)


def stated_limits(stored: Mapping[str, float]) -> Mapping[str, float]:
    """The limits in the address, as of a saved view, otherwise those of the experiment."""
    stated: Mapping[str, float] | None = st.session_state.get(VIEW_LIMITS)
    return stored if stated is None else stated


def _show_other_limits(limits: Mapping[str, float], names: Mapping[str, str]) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f":material/rule: This view has limits of its own: {plain(limits_summary(limits, names)) or 'none'}.",
            width="content",
        )
        st.button(
            "Use the experiment's limits", key="results:own_limits", icon=":material/undo:",
            on_click=lambda: st.session_state.update({VIEW_LIMITS: None}),
        )  # fmt: skip


def _show_failures(runs: pd.DataFrame) -> None:
    """Show error messages, each once with the runs it ended."""
    failed = runs[runs["state"] == "failed"]
    for error, group in failed.groupby(failed["error"].fillna("it failed without a message"), sort=False):
        ids = [str(i) for i in group["id"].tail(MAX_NAMED_RUNS)]
        more = f" and {len(group) - MAX_NAMED_RUNS:,} more" if len(group) > MAX_NAMED_RUNS else ""
        recipes = f" ({plain(group['recipe'].iloc[0])})" if len(group) == 1 else ""
        st.error(
            f"**{'Run' if len(group) == 1 else 'Runs'} {', '.join(ids)}{more}{recipes} failed:** {plain(str(error))}",
            icon=":material/error:",
        )
