"""The selected layer on a run's map: its values before and after, its weights, its operators, and recipes for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from lwdash.advice.layer_recipes import layer_recipes
from lwdash.charts.map.operator_facts import operator_facts
from lwdash.charts.weight_histograms import plot_weights, weight_text
from lwdash.metrics.layer_metrics import QUANTITIES, joined_value, layer_of
from lwdash.recipe import parse_recipe
from lwdash.ui.run.map.file_map import FileMap
from lwdash.ui.run.try_recipe import try_recipe
from lwdash.ui.shared.figure import show_figure
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.number_text import NOTHING
from storage.file_runs import is_file_recipe
from storage.neighbours import runs_of_recipes
from storage.records import StoredExperiment, StoredRun
from storage.store import Store

Rows = Sequence[Mapping[str, Any]]


def show_layer(
    store: Store,
    run: StoredRun,
    experiment: StoredExperiment,
    part: str | None,
    own: FileMap,
    before: FileMap | None,
    *,
    may_start: bool,
) -> None:
    """All that is known of one layer; a hint where none is selected."""
    if part is None:
        st.caption("No layer is selected. Click one in the graph, the treemap or the table.")
        return
    rows = [row for row in own.rows if layer_of(row) == part]
    old = [row for row in before.rows if layer_of(row) == part] if before else []
    types = ", ".join(dict.fromkeys(row["type"] for row in rows or old))
    st.markdown(f"**{plain(part)}**  \n:small[{plain(types)}]")
    if not rows and before:
        st.caption("This run's file has no such layer: it was removed, or fused into another.")
    indices = {row["index"] for row in rows if not row.get("subgraph")}
    kernels = [kernel for kernel in own.kernels if kernel["index"] in indices]
    _show_actions(store, run, experiment, part, rows, is_trainable=bool(kernels), may_start=may_start)
    _show_values(rows, old, has_baseline=before is not None)
    for kernel in kernels:
        shown = {**kernel, "baseline": None} if run.is_baseline else kernel
        st.caption(weight_text(shown))
        show_figure(
            plot_weights(shown), key=f"run:layer:{kernel['name']}", file_name=f"weights-{part}",
            alt=f"Histogram of the weights of {part}: {weight_text(shown)}",
        )  # fmt: skip
    _show_operators(own.graph, rows)


def layer_values(rows: Rows, old: Rows) -> list[dict[str, str]]:
    """One row per quantity that the layer has in this run or in the baseline, as text; then its types."""
    found = []
    for quantity in QUANTITIES.values():
        values = [joined_value(own, quantity) for own in (old, rows)]
        if values != [None, None]:
            before, after = (quantity.write(value) for value in values)
            found.append({"Value": quantity.label, "Baseline": before, "This run": after})
    times = [[row["ms"] for row in own if row.get("ms") is not None] for own in (old, rows)]
    if any(times):
        before, after = (f"{1000 * sum(t):,.2f} µs" if t else NOTHING for t in times)
        found.append({"Value": "Time alone", "Baseline": before, "This run": after})
    for column, label in (("weight_dtype", "Type of the weights"), ("output_dtype", "Type of the output")):
        named = [
            ", ".join(dict.fromkeys(row[column] for row in own if row.get(column))) for own in (old, rows)
        ]
        if any(named):
            before, after = (text or NOTHING for text in named)
            found.append({"Value": label, "Baseline": before, "This run": after})
    return found


def _show_values(rows: Rows, old: Rows, *, has_baseline: bool) -> None:
    found = layer_values(rows, old)
    if not found:
        return
    if not has_baseline:
        found = [{key: value for key, value in row.items() if key != "Baseline"} for row in found]
    columns = {key: [plain(row[key]) for row in found] for key in found[0]}
    st.table(columns, hide_index=True, border="horizontal", alt="Values of the selected layer")


def _show_actions(
    store: Store,
    run: StoredRun,
    experiment: StoredExperiment,
    part: str,
    rows: Rows,
    *,
    is_trainable: bool,
    may_start: bool,
) -> None:
    """One button per recipe that treats this layer in another way."""
    is_layer = any(row.get("layer") == part for row in rows)
    if not is_layer or is_file_recipe(run.recipe):
        return
    can_train = is_trainable and experiment.model_facts.get("library") != "none"
    found = layer_recipes(parse_recipe(run.recipe), part, is_trainable=can_train)
    if not found:
        return
    tried = runs_of_recipes(store.database, run.experiment_id, [one.recipe for one in found])
    with st.container(horizontal=True, gap="small"):
        for one in found:
            try_recipe(store, run, one.recipe, tried, may_start=may_start, label=one.title)


def _show_operators(graph: Mapping[str, Any], rows: Rows) -> None:
    """All facts of each operator of the layer."""
    known = {row["index"]: row for row in rows if not row.get("subgraph")}
    nodes = [node for node in graph["nodes"] if node["index"] in known]
    for node in nodes:
        facts = operator_facts(graph, node, known[node["index"]])
        with st.expander(plain(f"Operator {node['index']}: {node['type']}"), expanded=len(nodes) == 1):
            st.table(
                {"fact": list(facts), "value": [plain(value) for value in facts.values()]},
                hide_index=True,
                hide_header=True,
                border="horizontal",
                alt=f"All values of operator {node['index']}",
            )
