"""The part of the page that answers at once to filters, axes and selections, and that follows what runs."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from lwdash.report.file_names import experiment_file_name
from lwdash.ui.results.export_panel import show_exports
from lwdash.ui.results.filters import HIDDEN, filter_runs, hidden_among
from lwdash.ui.results.limits_panel import show_best
from lwdash.ui.results.run_frame import results_frame
from lwdash.ui.results.run_table import show_table
from lwdash.ui.results.selection_actions import show_actions
from lwdash.ui.results.side_by_side import show_side_by_side
from lwdash.ui.results.table_columns import choose_columns
from lwdash.ui.results.trade_off_chart import choose_axes, default_axes, show_chart
from lwdash.ui.results.view_state import adopt_address, selected, settle_selection, write_address
from lwdash.ui.shared.access import owner
from lwdash.ui.shared.markdown_text import plain
from storage.frames import is_busy, progress_of
from storage.store import Store

MOST_NAMED = 8
FIRST_SECONDS, NEXT_SECONDS = 0.4, 2.0
"""How often the page looks for the first measured run, and for more."""


def show_results(store: Store, experiment: Mapping[str, Any], *, can_change: bool) -> None:
    """Everything below the progress: redrawn by itself as long as something runs.

    experiment: a row of `get_experiment`.
    """
    adopt_address(experiment["id"])
    every, is_first = None, False
    if is_busy(store.database, experiment["id"]):
        is_first = progress_of(store.database, experiment["id"])["succeeded"] == 0
        every = FIRST_SECONDS if is_first else NEXT_SECONDS
    st.fragment(_body, run_every=every)(store, experiment, can_change, is_first)


def _body(store: Store, experiment: Mapping[str, Any], can_change: bool, is_first: bool) -> None:
    """is_first: nothing was measured when the page was drawn; it is drawn anew, at its usual pace, when something is."""
    if is_first and progress_of(store.database, experiment["id"])["succeeded"]:
        st.rerun()
    number, limits = experiment["id"], experiment["limits"] or {}
    runs = results_frame(store, number)
    settle_selection(runs["id"])
    if runs.empty:
        st.info("Nothing has run here yet: start with recipes below.", icon=":material/playlist_add:")
        return
    is_measured = bool((runs["state"] == "succeeded").any())
    name = experiment_file_name(experiment["name"])
    show_best(runs, limits)
    shown = filter_runs(runs, limits)
    if is_measured:
        choose_axes(runs)
        if len(shown):  # that nothing passes is said in the place of the table
            show_chart(store, shown, limits, name)
    elif runs["state"].isin(["queued", "running"]).any():
        st.info("The chart appears with the first measured run.", icon=":material/hourglass_empty:")
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.header("Runs", width="content")
        with st.container(horizontal=True, width="content"):
            columns = choose_columns(store, owner(), runs, limits)
            show_exports(store, experiment, runs, shown)
    if len(shown) < len(runs):
        hidden = hidden_among(runs)
        them = (
            "is hidden: choose the tag “{}” to see it"
            if hidden == 1
            else "are hidden: choose the tag “{}” to see them"
        )
        note = f" {hidden:,} {them.format(HIDDEN)}." if hidden else ""
        st.caption(f"{len(shown):,} of {len(runs):,} runs pass the filters.{note}")
    show_actions(store, runs, shown, experiment_id=number, can_change=can_change)
    show_table(shown, columns, limits)
    _show_failures(shown)
    if is_measured:
        show_side_by_side(store, runs, selected(), limits, name)
    write_address(number, default_axes(runs) if is_measured else {})


def _show_failures(runs: pd.DataFrame) -> None:
    """What went wrong, each message once with the runs it ended."""
    failed = runs[runs["state"] == "failed"]
    for error, group in failed.groupby(failed["error"].fillna("it failed without a message"), sort=False):
        ids = [str(i) for i in group["id"].tail(MOST_NAMED)]
        more = f" and {len(group) - MOST_NAMED:,} more" if len(group) > MOST_NAMED else ""
        recipes = f" ({plain(group['recipe'].iloc[0])})" if len(group) == 1 else ""
        st.error(
            f"**{'Run' if len(group) == 1 else 'Runs'} {', '.join(ids)}{more}{recipes} failed:** {plain(str(error))}",
            icon=":material/error:",
        )
