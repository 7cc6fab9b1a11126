"""The table of runs: what has ended and what is under way, selected together with the points of the chart."""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from lwdash.ui.results.filters import clear_filters
from lwdash.ui.results.table_columns import column_config, runs_table
from lwdash.ui.results.view_state import select, selected
from lwdash.ui.shared.addresses import run_url
from lwdash.ui.shared.memo import remembered
from lwdash.ui.shared.number_text import NOTHING, counted

_KEY = "results:table"
_SHOWN = "results:shown"


def show_table(runs: pd.DataFrame, columns: Sequence[str], limits: Mapping[str, float]) -> None:
    """One row a run, oldest first, so that new runs move none; a click on a heading sorts."""
    if runs.empty:
        st.info("No run passes the filters above.", icon=":material/filter_alt_off:")
        st.button("Clear the filters", icon=":material/filter_alt_off:", on_click=clear_filters)
        return
    ids = runs["id"].tolist()
    place = {run: i for i, run in enumerate(ids)}
    rows = sorted(place[run] for run in selected() if run in place)
    before = st.session_state.get(_KEY)
    if sorted(before["selection"]["rows"] if before else []) != rows:
        st.session_state[_KEY] = {"selection": {"rows": rows, "columns": [], "cells": []}}
    st.session_state[_SHOWN] = ids
    key = (runs, tuple(columns), tuple(limits.items()), run_url(0))
    st.dataframe(
        remembered("table", key, lambda: runs_table(runs, columns, limits)),
        hide_index=True,
        placeholder=NOTHING,
        on_select=_rows_selected,
        selection_mode="multi-row",
        key=_KEY,
        height=_height(len(runs)),
        alt=f"{counted(len(runs), 'run')} with their figures",
        column_config=column_config(runs, columns),
    )


def _rows_selected() -> None:
    """Selected runs that the table does not show stay selected."""
    ids: list[int] = st.session_state[_SHOWN]
    rows = st.session_state[_KEY]["selection"]["rows"]
    shown = set(ids)
    select([*(run for run in selected() if run not in shown), *(ids[i] for i in rows if i < len(ids))])


def _height(rows: int) -> int:
    """Up to twelve rows; 35 pixels each, and the heading."""
    return 35 * (min(rows, 12) + 1) + 3
