"""All parts of a comparison: metrics, recipes, layers, classes and rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from lwdash.charts.layer_bars import layer_values, most_different
from lwdash.charts.layer_heatmap import plot_layer_heatmap
from lwdash.charts.metric_bars import describe_metric_bars, plot_metric_bars
from lwdash.metrics.layer_metrics import QUANTITIES, measured_quantities
from lwdash.metrics.run_metrics import MEASURES
from lwdash.metrics.technique_families import short_recipe
from lwdash.report.file_names import experiment_file_name
from lwdash.ui.compare.chosen_runs import chosen_caption
from lwdash.ui.compare.class_differences import show_classes
from lwdash.ui.compare.graph_difference import show_graph_difference
from lwdash.ui.compare.metric_table import MAIN_METRICS, metric_table
from lwdash.ui.compare.recipe_difference import recipe_difference
from lwdash.ui.results.view_state import settle
from lwdash.ui.shared.figure import show_figure
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.number_text import counted
from storage import run_rows
from storage.records import StoredExperiment
from storage.result_frames import figures_of
from storage.store import Store

MAX_PLOTS = 6
_LAYER = "compare:layer"


def show_comparison(store: Store, experiment: StoredExperiment, chosen: pd.DataFrame, reference: int) -> None:
    """All sections of the comparison.

    chosen: two to six measured runs, in the order of the columns. reference: the id of one of them.
    """
    name, limits = experiment_file_name(experiment.name), experiment.limits
    ids = [int(run) for run in chosen["id"]]
    headings = [f"{run.id} · {short_recipe(str(run.name))}" for run in chosen.itertuples(index=False)]
    details = [run_rows.get_detail(store.database, run).measured for run in ids]
    metrics = figures_of(store.database, ids)
    st.caption(chosen_caption(chosen, reference))
    _show_bars(chosen, reference, name)
    is_whole = st.toggle("Also metrics that are equal", key="compare:whole")
    verdicts = [metrics.get(run, {}).get("verdict_details") for run in ids]
    table, alike = metric_table(chosen, reference, verdicts, limits, is_whole=is_whole)
    st.table(table, border="horizontal")
    if alike:
        st.caption(f"Equal in all runs: {plain(', '.join(alike))}.")
    _show_recipes(chosen, headings)
    measured = dict(zip(headings, details, strict=True))
    layers = {heading: one.get("layers", []) for heading, one in measured.items()}
    _show_layers(layers, name)
    place = ids.index(reference)
    show_graph_difference(layers, headings[place])
    show_classes(measured, headings[place], name, is_baseline=bool(chosen.iloc[place]["is_baseline"]))


def _show_bars(chosen: pd.DataFrame, reference: int, name: str) -> None:
    measures = [
        MEASURES[column]
        for column in MAIN_METRICS
        if column in chosen and chosen[column].notna().all() and chosen[column].nunique() > 1
    ]
    comparable = [m for m in measures if not m.is_of_host or chosen["host_name"].nunique() < 2][:MAX_PLOTS]
    if comparable:
        show_figure(
            plot_metric_bars(chosen, comparable, reference),
            key="compare:bars",
            alt=describe_metric_bars(chosen, comparable),
            file_name=f"{name}-metrics",
        )


def _show_recipes(chosen: pd.DataFrame, headings: Sequence[str]) -> None:
    table = recipe_difference(list(chosen["recipe"]))
    if table is None:
        st.caption("One of these runs has no recipe that this version can read.")
    elif table.empty:
        st.caption("These runs have the same recipe.")
    else:
        st.header("Recipes", anchor=False)
        st.table(
            table.map(plain).set_axis([plain(h) for h in headings], axis=1).rename(index=plain),
            border="horizontal",
        )


def _show_layers(layers: Mapping[str, Sequence[Mapping[str, Any]]], name: str) -> None:
    offered = measured_quantities([row for rows in layers.values() for row in rows])
    st.header("Layers", anchor=False)
    if not offered:
        st.caption("The layers of these runs were not measured.")
        return
    settle(
        _LAYER,
        offered,
        st.query_params.get("layer") if st.query_params.get("layer") in offered else offered[0],
    )
    quantity = st.selectbox(
        "Quantity", offered, key=_LAYER, format_func=lambda q: QUANTITIES[q].label, width=320
    )
    st.query_params["layer"] = quantity
    whole = layer_values(layers, quantity)
    values = most_different(whole)
    st.caption(QUANTITIES[quantity].meaning)
    if len(values) < len(whole):
        st.caption(f"The {len(values)} of {len(whole)} layers in which the runs differ most.")
    show_figure(
        plot_layer_heatmap(values, quantity),
        key="compare:layers",
        alt=f"{QUANTITIES[quantity].label} of {counted(len(values), 'layer')} for {counted(len(layers), 'run')}.",
        file_name=f"{name}-layers-{quantity}",
    )
