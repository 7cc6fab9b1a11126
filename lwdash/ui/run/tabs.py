"""The tabs of a succeeded run's page: only the open one is computed, and the address names it."""

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from lwdash.settings import Settings
from lwdash.ui.run import advice_panel, bytes_tab, layers_tab, stages_log, weights_tab
from lwdash.ui.run.graph_loading import dissected
from lwdash.ui.run.graph_tab import show_graph
from lwdash.ui.run.predictions_tab import show_answers, show_confusion, show_flips
from lwdash.ui.run.sensitivity_tab import show_sensitivity
from lwdash.ui.run.waterfall_panel import show_waterfall
from storage.store import Store

OVERVIEW, BYTES, LAYERS, WEIGHTS, GRAPH, PREDICTIONS, STAGES = (
    "Overview", "Bytes", "Layers", "Weights", "Graph", "Predictions", "Stages and log",
)  # fmt: skip


def show_tabs(
    settings: Settings,
    store: Store,
    run: Mapping[str, Any],
    detail: Mapping[str, Any],
    experiment: Mapping[str, Any],
    *,
    may_start: bool,
) -> None:
    """Everything about a run that succeeded, below its figures."""
    measured, compressed = detail["measured"] or {}, detail["compressed"] or {}
    layers = measured.get("layers") or []

    def overview() -> None:
        evidence = advice_panel.evidence_of(run, detail, experiment)
        advice_panel.show_suggestions(store, run, evidence, may_start=may_start)
        advice_panel.show_findings(evidence)
        show_waterfall(measured)

    def layer_tab() -> None:
        found = dissected(settings, store, run["id"], experiment)
        layers_tab.show_layers(layers, found["weights"] if found else [])
        show_sensitivity(settings, store, run, may_start=may_start)

    def weight_tab() -> None:
        found = dissected(settings, store, run["id"], experiment)
        if found:
            weights_tab.show_weights(found["weights"], is_baseline=bool(run["is_baseline"]))

    def graph_tab() -> None:
        found = dissected(settings, store, run["id"], experiment)
        if found:
            show_graph(run["id"], found["graph"], layers)

    def prediction_tab() -> None:
        show_confusion(measured)
        show_answers(run, measured)
        show_flips(run, measured)

    def stage_tab() -> None:
        stages_log.show_stages(compressed)
        stages_log.show_log(settings, store, run["id"])

    sections: dict[str, Callable[[], None]] = {
        OVERVIEW: overview,
        BYTES: lambda: bytes_tab.show_bytes(run, measured),
        **({LAYERS: layer_tab} if layers else {}),
        WEIGHTS: weight_tab,
        **({GRAPH: graph_tab} if layers else {}),
        **({PREDICTIONS: prediction_tab} if run.get("agreement") is not None or run.get("targets") else {}),
        STAGES: stage_tab,
    }
    tabs = st.tabs(list(sections), key="tab", on_change="rerun", bind="query-params")
    for tab, show in zip(tabs, sections.values(), strict=True):
        if tab.open:
            with tab:
                show()
