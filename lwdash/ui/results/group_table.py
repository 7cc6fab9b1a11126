"""Groups above the table of runs: one row for each, folded, with the median or the best value of every column."""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from lwdash.metrics.offers import target_metric
from lwdash.metrics.run_groups import RunGroups
from lwdash.metrics.run_metrics import MEASURES
from lwdash.metrics.target_values import measure_of
from lwdash.ui.results.table_columns import column_config
from lwdash.ui.results.view_state import BEST, GROUP, GROUP_VALUES, MEDIAN, OPEN_GROUPS, settle
from lwdash.ui.shared.data_table import data_table
from lwdash.ui.shared.memo import remembered
from lwdash.ui.shared.number_text import NOTHING, counted

_KEY = "results:group_table"
_SHOWN = "results:shown_groups"


def choose_group(known: Mapping[str, RunGroups]) -> RunGroups | None:
    """The menu of groups; no menu where no fact differs among the runs."""
    settle(GROUP, ["", *known], "")
    settle(GROUP_VALUES, [MEDIAN, BEST], MEDIAN)
    if not known:
        return None
    with st.popover("Group", icon=":material/account_tree:"):
        st.selectbox(
            "Group rows by", ["", *known], key=GROUP, width=320,
            format_func=lambda key: known[key].label if key else "Nothing",
            on_change=lambda: st.session_state.update({OPEN_GROUPS: []}),
        )  # fmt: skip
        st.segmented_control(
            "Values of a group", [MEDIAN, BEST], key=GROUP_VALUES, required=True, format_func=str.capitalize,
            help="Best: the best value of each column on its own, which may be of different runs",
        )  # fmt: skip
    return known.get(st.session_state[GROUP])


def show_groups(runs: pd.DataFrame, groups: RunGroups, columns: Sequence[str]) -> pd.DataFrame:
    """Show one row for each group of these runs; return the runs of the ticked ones, of all where none is, by group.

    runs: those that match the filters, in the chosen order.
    """
    if runs.empty:
        return runs
    is_best = st.session_state[GROUP_VALUES] == BEST
    key = (runs, repr(groups), tuple(columns), is_best)
    table = remembered("group table", key, lambda: groups_table(runs, groups, columns, is_best=is_best))
    names = list(table["group"])
    settle(OPEN_GROUPS, names, [])
    chosen = st.session_state[OPEN_GROUPS]
    rows = sorted(names.index(name) for name in chosen)
    before = st.session_state.get(_KEY)
    if sorted(before["selection"]["rows"] if before else []) != rows:
        st.session_state[_KEY] = {"selection": {"rows": rows, "columns": [], "cells": []}}
    st.session_state[_SHOWN] = names
    data_table(
        table,
        hide_index=True,
        placeholder=NOTHING,
        on_select=_groups_selected,
        selection_mode="multi-row",
        key=_KEY,
        height=35 * (min(len(table), 12) + 1) + 3,
        alt=f"{counted(len(table), 'group')} of runs by {groups.label}",
        column_config={
            "group": st.column_config.TextColumn(groups.label, width=230, pinned=True),
            "runs": st.column_config.NumberColumn("Runs", format="localized", width=70),
            **column_config(runs, [column for column in columns if column in table]),
        },
    )
    st.caption(
        f"{'Best value' if is_best else 'Median'} of the runs in each group. Tick groups to list only their runs below."
    )
    return remembered("by group", (runs, repr(groups), tuple(chosen)), lambda: _listed(runs, groups, chosen))


def groups_table(
    runs: pd.DataFrame, groups: RunGroups, columns: Sequence[str], *, is_best: bool
) -> pd.DataFrame:
    """One row for each group: its name, the number of runs, and the median or the best value of each metric."""
    of_runs = groups.places_of(runs)
    table = pd.DataFrame({"runs": of_runs.value_counts().sort_index()})
    for column in columns:
        if column in MEASURES or target_metric(column) is not None:
            measure = measure_of(column)
            values = (pd.to_numeric(runs[column], errors="coerce") * measure.factor).groupby(of_runs)
            best = values.max() if measure.is_higher_better else values.min()
            table[column] = best if is_best else values.median()
    table.insert(0, "group", [groups.names[place] for place in table.index])
    return table


def _listed(runs: pd.DataFrame, groups: RunGroups, chosen: Sequence[str]) -> pd.DataFrame:
    places = groups.places_of(runs).sort_values(kind="stable")
    if chosen:
        places = places[places.isin([groups.names.index(name) for name in chosen])]
    return runs.loc[places.index]


def _groups_selected() -> None:
    names: list[str] = st.session_state[_SHOWN]
    rows = st.session_state[_KEY]["selection"]["rows"]
    st.session_state[OPEN_GROUPS] = [names[i] for i in sorted(rows) if i < len(names)]
