"""The tabs of a succeeded run's page: only the open one is computed, and the address names it."""

from collections.abc import Callable, Mapping

import streamlit as st

from lwdash.settings import Settings
from lwdash.ui.run import advice_panel, stages_log
from lwdash.ui.run.map import bytes_tab, layers_tab, weights_tab
from lwdash.ui.run.map.graph_loading import dissected
from lwdash.ui.run.map.map_tab import show_map
from lwdash.ui.run.overview_tab import show_metrics
from lwdash.ui.run.precision_panel import show_by_layer, show_precision
from lwdash.ui.run.predictions_tab import show_confusion, show_flips, show_output_recalls
from lwdash.ui.run.sensitivity_tab import show_sensitivity
from lwdash.ui.run.waterfall_panel import show_waterfall
from lwdash.ui.run.where_it_runs_panel import show_where_it_runs
from storage.records import RunDetails, StoredExperiment, StoredRun
from storage.store import Store

OVERVIEW, MAP, PREDICTIONS, STAGES = "Overview", "Map", "Predictions", "Stages and log"
BYTES, LAYERS, WEIGHTS, SENSITIVITY = "Bytes", "Layers", "Weights", "Sensitivity"
"""Sections below the map; `server.opening` leads addresses of earlier versions, in which they were tabs, to them."""


def show_tabs(
    settings: Settings,
    store: Store,
    run: StoredRun,
    details: RunDetails,
    experiment: StoredExperiment,
    *,
    may_start: bool,
) -> None:
    """All metrics and details of a succeeded run."""
    measured, compressed = details.measured, details.compressed
    layers = measured.get("layers") or []

    def overview() -> None:
        show_metrics(run, compressed)
        evidence = advice_panel.evidence_of(run, details, experiment)
        advice_panel.show_suggestions(store, run, evidence, may_start=may_start)
        advice_panel.show_findings(evidence)
        show_where_it_runs(settings, store, run, measured, can_change=may_start)
        show_precision(compressed)
        show_by_layer(compressed)
        show_waterfall(measured)

    def map_tab() -> None:
        if layers:
            show_map(settings, store, run, measured, experiment, may_start=may_start)
        sections: dict[str, Callable[[], None]] = {
            BYTES: lambda: bytes_tab.show_bytes(run, measured),
            **({LAYERS: layer_section} if layers else {}),
            WEIGHTS: weight_section,
            SENSITIVITY: lambda: show_sensitivity(settings, store, run, may_start=may_start),
        }
        _show_open_tab(sections, "section")

    def layer_section() -> None:
        found = dissected(settings, store, run, experiment)
        layers_tab.show_layers(layers, found["weights"] if found else [])

    def weight_section() -> None:
        found = dissected(settings, store, run, experiment)
        if found:
            weights_tab.show_weights(found["weights"], is_baseline=run.is_baseline)

    def prediction_tab() -> None:
        show_confusion(measured)
        show_output_recalls(run, measured)
        show_flips(run, measured)

    def stage_tab() -> None:
        stages_log.show_stages(compressed)
        stages_log.show_log(settings, store, run.id)

    tabs: dict[str, Callable[[], None]] = {
        OVERVIEW: overview,
        MAP: map_tab,
        **({PREDICTIONS: prediction_tab} if run.agreement is not None or run.metrics.get("targets") else {}),
        STAGES: stage_tab,
    }
    _show_open_tab(tabs, "tab")


def _show_open_tab(sections: Mapping[str, Callable[[], None]], key: str) -> None:
    """Tabs whose open one is computed and in the address."""
    for tab, show in zip(
        st.tabs(list(sections), key=key, on_change="rerun", bind="query-params"),
        sections.values(),
        strict=True,
    ):
        if tab.open:
            with tab:
                show()
