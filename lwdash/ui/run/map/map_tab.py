"""The map of a run's file: graph, treemap and table of its layers, which select each other, and the selected layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from lwdash.charts.map.graph_changes import ADDED, GONE, OTHER_TYPES, SAME, Mark, operator_marks
from lwdash.charts.map.graph_folds import BLOCKS, LAYERS, OPERATORS, Level, default_level
from lwdash.charts.map.model_map import graph_boxes, layer_table, layer_tiles, parts_of, value_range
from lwdash.charts.map.operator_facts import describe_graph
from lwdash.metrics.layer_metrics import (
    QUANTITIES,
    SEQUENTIAL,
    Quantity,
    measured_quantities,
    with_layer_measurements,
)
from lwdash.settings import Settings
from lwdash.ui.run.map.file_map import FileMap
from lwdash.ui.run.map.graph_loading import dissected
from lwdash.ui.run.map.layer_panel import show_layer
from storage import run_rows
from storage.analyses import SENSITIVITY, analysis_of
from storage.frames import baseline_run
from storage.records import StoredExperiment, StoredRun
from storage.store import Store

PANEL_HEIGHT = 602
"""Of the selected layer's values: as high as the graph with its tools."""
LEVELS: Mapping[Level, str] = {OPERATORS: "Operators", LAYERS: "Layers", BLOCKS: "Blocks"}
LAYER, COLOUR, SIDE, LEVEL, OPENED = "layer", "colour", "file", "graph", "opened"
"""Keys in the session and names in the address."""
THIS, BASELINE, BOTH = "This run", "Baseline", "Side by side"
OWN_GRAPH, BASELINE_GRAPH = "run:graph", "run:graph-before"
_LEVEL_OF = "run:level-of"
"""In the session: the run that the level was chosen for."""
_FOLDER = Path(__file__).parent


def _text(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


_graph_view = st.components.v2.component(
    "lwdash_graph", html=_text("graph_view.html"), css=_text("graph_view.css"), js=_text("graph_view.js"),
    isolate_styles=False,
)  # fmt: skip
_layer_view = st.components.v2.component(
    "lwdash_layers", html='<div class="lwdash-layers"></div>', css=_text("layer_view.css"), js=_text("layer_view.js"),
    isolate_styles=False,
)  # fmt: skip


def show_map(
    settings: Settings,
    store: Store,
    run: StoredRun,
    measured: Mapping[str, Any],
    experiment: StoredExperiment,
    *,
    may_start: bool,
) -> None:
    """The linked views; nothing but the reason where the file cannot be read."""
    found = dissected(settings, store, run, experiment)
    if found is None:
        return
    sensitivity = analysis_of(store.database, run.id, SENSITIVITY)
    own = _file_map(found, measured, sensitivity.measured if sensitivity else None)
    before = _baseline(settings, store, run, experiment)
    _views(store, run, experiment, own, before, may_start=may_start)


def _file_map(found: Mapping[str, Any], measured: Mapping[str, Any], sensitivity: Any) -> FileMap:
    rows = with_layer_measurements(measured.get("layers") or [], measured.get("targets") or {}, sensitivity)
    return FileMap(found["graph"], found["weights"], rows)


def _baseline(
    settings: Settings, store: Store, run: StoredRun, experiment: StoredExperiment
) -> FileMap | None:
    """The experiment's baseline, to show before and after; None for the baseline itself and before it is measured."""
    number = baseline_run(store.database, experiment.id)
    before = run_rows.get_run(store.database, number) if number not in (None, run.id) else None
    found = dissected(settings, store, before, experiment) if before and before.has_succeeded else None
    if before is None or found is None:
        return None
    return _file_map(found, run_rows.get_detail(store.database, before.id).measured, None)


@st.fragment
def _views(
    store: Store,
    run: StoredRun,
    experiment: StoredExperiment,
    own: FileMap,
    before: FileMap | None,
    *,
    may_start: bool,
) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", key="map-fields"):
        side = THIS if before is None else _choose_side()
        file = before if side == BASELINE and before is not None else own
        quantity = _choose_quantity(file.rows)
        parts = parts_of(file.graph, file.rows)
        if side == BOTH and before is not None:
            parts = list(dict.fromkeys([*parts, *parts_of(before.graph, before.rows)]))
        selected = _choose_layer(parts)
        level = _choose_level(run.id, file.graph)
        if side == BOTH:
            st.html(MARKS, width="content")
        elif between := value_range(file.rows, quantity):
            st.html(_scale(*between), width="content")
    if side == BOTH and before is not None:
        left, right = st.columns(2, gap="small")
        for place, name, key, one, other, only in (
            (left, BASELINE, BASELINE_GRAPH, before, own, GONE),
            (right, THIS, OWN_GRAPH, own, before, ADDED),
        ):
            marks = operator_marks(one.graph, one.rows, other.graph, other.rows, only=only)
            with place:
                st.markdown(f"**{name}**")
                _show_graph(run, one, quantity, level, selected, key=key, marks=marks)
        panel = st.container(border=True, key="run-layer")
    else:
        left, right = st.columns([1.9, 1], gap="small")
        with left:
            _show_graph(
                run, file, quantity, level, selected, key=BASELINE_GRAPH if side == BASELINE else OWN_GRAPH
            )
        panel = right.container(border=True, height=PANEL_HEIGHT, key="run-layer")
    with panel:
        show_layer(store, run, experiment, selected, own, before, may_start=may_start)
    _show_meaning(file, quantity)
    table = layer_table(file.rows, quantity)
    data = {"tiles": layer_tiles(file.rows, quantity), **table, "selected": selected}
    _layer_view(
        key="run:layers", data=data, width="stretch", height="content",
        on_picked_change=lambda: _picked("run:layers"),
    )  # fmt: skip


def _show_graph(
    run: StoredRun,
    file: FileMap,
    quantity: Quantity,
    level: Level,
    selected: str | None,
    *,
    key: str,
    marks: Mapping[int, Mark] | None = None,
) -> None:
    """key: OWN_GRAPH or BASELINE_GRAPH. marks: see `graph_boxes`."""
    opened = _opened_boxes(key)
    data = {
        **graph_boxes(file.graph, file.rows, quantity, level, opened, marks),
        "shape": f"{run.id}:{key}:{level}:{marks is not None}:{','.join(opened)}",
        "selected": selected,
        "alt": describe_graph(file.graph),
        "file_name": f"lwdash-{key.replace(':', f'-{run.id}-')}",
    }
    _graph_view(
        key=key, data=data, width="stretch", height="content", on_picked_change=lambda: _picked(key),
        on_opened_change=lambda: _opened(key),
    )  # fmt: skip


def _opened_boxes(key: str) -> list[str]:
    """The unfolded blocks of one graph; those of the baseline's have a minus before them in the address."""
    ids = st.query_params.get(OPENED, "").split(",")
    return [one.lstrip("-") for one in ids if one and one.startswith("-") == (key == BASELINE_GRAPH)]


def _picked(key: str) -> None:
    part = (st.session_state.get(key) or {}).get("picked")
    if isinstance(part, str):
        st.session_state[LAYER] = part


def _opened(key: str) -> None:
    box = (st.session_state.get(key) or {}).get("opened")
    if isinstance(box, str):
        before = [one for one in st.query_params.get(OPENED, "").split(",") if one]
        st.query_params[OPENED] = ",".join([*before, f"-{box}" if key == BASELINE_GRAPH else box])


def _fold_all() -> None:
    if OPENED in st.query_params:
        del st.query_params[OPENED]


def _choose_side() -> str:
    chosen = st.segmented_control(
        "File", [THIS, BASELINE, BOTH], default=THIS, required=True, key=SIDE, bind="query-params", wrap=True
    )
    return chosen or THIS


def _choose_quantity(rows: Sequence[Mapping[str, Any]]) -> Quantity:
    offered = measured_quantities(rows) or ["bytes"]
    if st.session_state.get(COLOUR) not in offered:
        st.session_state.pop(COLOUR, None)
    name = st.selectbox(
        "Colour by",
        offered,
        format_func=lambda q: QUANTITIES[q].label,
        key=COLOUR,
        bind="query-params",
        width=210,
    )
    return QUANTITIES[name or offered[0]]


def _choose_layer(parts: Sequence[str]) -> str | None:
    if st.session_state.get(LAYER) not in (None, *parts):
        st.session_state.pop(LAYER)
    return st.selectbox(
        "Layer", parts, index=None, key=LAYER, bind="query-params", placeholder="none selected", width=210,
        help="Or click it in the graph, the treemap or the table",
    )  # fmt: skip


def _choose_level(run_id: int, graph: Mapping[str, Any]) -> Level:
    if st.session_state.get(_LEVEL_OF) not in (None, run_id):
        st.session_state.pop(LEVEL, None)
    st.session_state[_LEVEL_OF] = run_id
    chosen = st.segmented_control(
        "Graph of", list(LEVELS), default=default_level(graph), format_func=LEVELS.__getitem__, required=True, key=LEVEL,
        on_change=_fold_all, bind="query-params", wrap=True,
        help="Blocks: layers that repeat are folded into one box with their count; click it to unfold",
    )  # fmt: skip
    return chosen or OPERATORS


def _show_meaning(file: FileMap, quantity: Quantity) -> None:
    """The meaning of colours and gestures, and the parts of the file that are not drawn."""
    loops = file.graph["subgraphs"] - 1
    not_drawn = (
        ""
        if loops < 1
        else " 1 subgraph of the file (the body of a loop) is not drawn."
        if loops == 1
        else f" {loops} subgraphs of the file (bodies of loops) are not drawn."
    )
    st.caption(
        f"{quantity.meaning} Grey: not measured. Zoom: pinch, or click and scroll; drag to move.{not_drawn}"
    )


def _squares(*marks: tuple[str, Mark]) -> str:
    """A legend of marks."""
    entries = "".join(
        f'<span style="display:inline-block;width:12px;height:12px;border-radius:3px;background:{mark.fill};'
        f'border:1px solid #8794a0"></span><span>{text}</span>'
        for text, mark in marks
    )
    return (
        '<div style="display:flex;flex-wrap:wrap;align-items:center;gap:0.2rem 0.4rem;font-size:0.85rem;min-height:2rem">'
        f"{entries}</div>"
    )


MARKS = _squares(("equal", SAME), ("other types", OTHER_TYPES), ("only left", GONE), ("only right", ADDED))


def _scale(low: str, high: str) -> str:
    colours = ", ".join(SEQUENTIAL)
    return (
        '<div style="display:flex;align-items:center;gap:0.5rem;font-size:0.85rem;height:2rem">'
        f"<span>{low}</span>"
        f'<div style="width:120px;height:12px;border-radius:6px;background:linear-gradient(to right,{colours})"></div>'
        f"<span>{high}</span></div>"
    )
