"""The graph of a run's file, coloured by what was measured of its operators."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from lwdash.charts.graph_view import describe_graph, graph_dot, operator_values
from lwdash.charts.layer_quantities import QUANTITIES, SEQUENTIAL, measured_quantities

HEIGHT = 680


def show_graph(graph: Mapping[str, Any], layers: Sequence[Mapping[str, Any]]) -> None:
    """Operators from input to output, in a frame to scroll."""
    offered = measured_quantities(layers)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox(
            "Colour by", offered, format_func=lambda q: QUANTITIES[q].label, key="run:colour", width=260
        )
        is_whole = st.toggle(
            "Whole graph", key="run:whole", help="As small as it must be to fit into the frame"
        )
        with_shapes = st.toggle(
            "Shapes", len(graph["nodes"]) <= 60, key="run:shapes", help="Shape and type of each tensor"
        )
    if name is None:
        return
    quantity = QUANTITIES[name]
    known = [v for v in operator_values(layers, quantity).values() if v is not None]
    if known:
        st.html(_scale(quantity.write(min(known)), quantity.write(max(known))))
    st.caption(
        f"{quantity.meaning} Grey: nothing to measure. Pointing at an operator tells its number and value."
        + (
            ""
            if graph["subgraphs"] < 2
            else " 1 subgraph of the file (the body of a loop) is not drawn."
            if graph["subgraphs"] == 2
            else f" {graph['subgraphs'] - 1} subgraphs of the file (bodies of loops) are not drawn."
        )
    )
    dot = graph_dot(graph, layers, quantity, is_vertical=not is_whole, with_shapes=with_shapes)
    with st.container(border=True, height=HEIGHT, horizontal_alignment="center"):
        size: Any = {"width": "stretch", "height": HEIGHT - 40} if is_whole else {}
        st.graphviz_chart(dot, alt=describe_graph(graph), **size)


def _scale(low: str, high: str) -> str:
    colours = ", ".join(SEQUENTIAL)
    return (
        '<div style="display:flex;align-items:center;gap:0.6rem;font-size:0.85rem">'
        f"<span>{low}</span>"
        f'<div style="width:220px;height:12px;border-radius:6px;background:linear-gradient(to right,{colours})"></div>'
        f"<span>{high}</span></div>"
    )
