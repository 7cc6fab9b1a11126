"""The table of runs, finished and running, with a selection shared with the chart's points."""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from lwdash.metrics.run_groups import RunGroups
from lwdash.ui.results.filters import PINNED, clear_filters
from lwdash.ui.results.table_columns import column_config, runs_table
from lwdash.ui.results.view_state import select, selected
from lwdash.ui.shared.addresses import run_url
from lwdash.ui.shared.data_table import data_table
from lwdash.ui.shared.memo import remembered
from lwdash.ui.shared.number_text import NOTHING, counted

_KEY = "results:table"
_SHOWN = "results:shown"


def show_table(
    runs: pd.DataFrame,
    columns: Sequence[str],
    limits: Mapping[str, float],
    *,
    best: int | None = None,
    groups: RunGroups | None = None,
) -> None:
    """One row per run, in the order of `runs`; a click on a heading sorts. groups: have a column.

    best: the recommended run, which stands above the others unless work is running, when another may become the best.
    The baseline and pinned runs follow it.
    """
    if runs.empty:
        st.info("No run matches the filters above.", icon=":material/filter_alt_off:")
        st.button("Clear the filters", icon=":material/filter_alt_off:", on_click=clear_filters)
        return
    runs = with_pinned_first(runs, best)
    ids = runs["id"].tolist()
    place = {run: i for i, run in enumerate(ids)}
    rows = sorted(place[run] for run in selected() if run in place)
    before = st.session_state.get(_KEY)
    if sorted(before["selection"]["rows"] if before else []) != rows:
        st.session_state[_KEY] = {"selection": {"rows": rows, "columns": [], "cells": []}}
    st.session_state[_SHOWN] = ids
    key = (runs, tuple(columns), tuple(limits.items()), run_url(0))
    data_table(
        remembered(
            "table",
            (*key, best, repr(groups)),
            lambda: runs_table(runs, columns, limits, best=best, groups=groups),
        ),
        hide_index=True,
        placeholder=NOTHING,
        on_select=_rows_selected,
        selection_mode="multi-row",
        key=_KEY,
        height=_height(len(runs)),
        alt=f"{counted(len(runs), 'run')} with their metrics",
        column_config=column_config(runs, columns, groups),
    )


def with_pinned_first(runs: pd.DataFrame, best: int | None) -> pd.DataFrame:
    """The same runs with the best one at the top, then the baseline and those with the tag PINNED, whatever the order of the
    others. While any run has not ended, the best is not moved.
    """
    if runs["state"].isin(["queued", "running"]).any():
        best = None
    return remembered("pinned first", (runs, best), lambda: _with_pinned_first(runs, best))


def _with_pinned_first(runs: pd.DataFrame, best: int | None) -> pd.DataFrame:
    is_pinned = runs["is_baseline"].astype(bool) | runs["tags"].map(lambda own: PINNED in (own or ()))
    rank = (~is_pinned).astype(int).mask(runs["id"] == best, -1)
    return runs if rank.is_monotonic_increasing else runs.loc[rank.sort_values(kind="stable").index]


def _rows_selected() -> None:
    """Selected runs that the table does not show stay selected."""
    ids: list[int] = st.session_state[_SHOWN]
    rows = st.session_state[_KEY]["selection"]["rows"]
    shown = set(ids)
    select([*(run for run in selected() if run not in shown), *(ids[i] for i in rows if i < len(ids))])


def _height(rows: int) -> int:
    """Up to twelve rows of 35 pixels each, and the heading."""
    return 35 * (min(rows, 12) + 1) + 3
