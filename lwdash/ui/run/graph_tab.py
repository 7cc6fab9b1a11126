"""The graph of a run's file, coloured by what was measured of its operators, and all that was measured of one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from lwdash.charts.graph_dot import describe_graph, graph_dot, operator_facts, operator_values
from lwdash.metrics.layer_metrics import QUANTITIES, SEQUENTIAL, measured_quantities
from lwdash.ui.shared.markdown_text import plain

HEIGHT = 680
_FRAME = "run-graph"
_FOLDER = Path(__file__).parent

_tools = st.components.v2.component(
    "lwdash_graph",
    html="""<div class="lwdash-graph-tools"><button type="button" data-format="svg">Save as SVG</button>
    <button type="button" data-format="png">Save as PNG</button></div>""",
    css=(_FOLDER / "graph.css").read_text(encoding="utf-8"),
    js=(_FOLDER / "graph.js").read_text(encoding="utf-8"),
    isolate_styles=False,
)


@st.fragment
def show_graph(run_id: int, graph: Mapping[str, Any], layers: Sequence[Mapping[str, Any]]) -> None:
    """Operators from input to output, in a frame to scroll; beside it everything about the one that is clicked."""
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
        chosen = _show_tools(run_id)
    if name is None:
        return
    quantity = QUANTITIES[name]
    known = [v for v in operator_values(layers, quantity).values() if v is not None]
    if known:
        st.html(_scale(quantity.write(min(known)), quantity.write(max(known))))
    st.caption(
        f"{quantity.meaning} Grey: nothing to measure. Click an operator, or reach it with the arrow keys and press "
        "Enter, for everything that was measured of it."
        + (
            ""
            if graph["subgraphs"] < 2
            else " 1 subgraph of the file (the body of a loop) is not drawn."
            if graph["subgraphs"] == 2
            else f" {graph['subgraphs'] - 1} subgraphs of the file (bodies of loops) are not drawn."
        )
    )
    dot = graph_dot(graph, layers, quantity, is_vertical=not is_whole, with_shapes=with_shapes)
    picture, side = st.columns([3, 1.25])
    with picture.container(border=True, height=HEIGHT, horizontal_alignment="center", key=_FRAME):
        size: Any = {"width": "stretch", "height": HEIGHT - 40} if is_whole else {}
        st.graphviz_chart(dot, alt=describe_graph(graph), **size)
    with side.container(border=True, height=HEIGHT):
        _show_operator(graph, layers, chosen)


def _show_tools(run_id: int) -> int | None:
    """The buttons that save the picture; returns the operator that was clicked last on this run's graph."""
    key = "run:graph_tools"
    kept: tuple[int, int] | None = st.session_state.get("run:operator")

    def picked() -> None:
        index = (st.session_state.get(key) or {}).get("picked")
        if isinstance(index, (int, float)):
            st.session_state["run:operator"] = (run_id, int(index))

    chosen = kept[1] if kept and kept[0] == run_id else None
    data = {"frame": _FRAME, "selected": chosen, "file_name": f"lwdash-run-{run_id}-graph"}
    _tools(key=key, data=data, on_picked_change=picked, width="content", height="content")
    return chosen


def _show_operator(graph: Mapping[str, Any], layers: Sequence[Mapping[str, Any]], index: int | None) -> None:
    node = next((node for node in graph["nodes"] if node["index"] == index), None)
    if node is None:
        st.caption("No operator is chosen yet: click one in the graph.")
        return
    st.markdown(f"**{plain(node['type'])}**")
    row = next((row for row in layers if row["index"] == index and not row.get("subgraph")), {})
    facts = operator_facts(graph, node, row)
    st.table(
        {"fact": list(facts), "value": list(facts.values())},
        hide_index=True,
        hide_header=True,
        border="horizontal",
        alt=f"What is known of operator {index}",
    )


def _scale(low: str, high: str) -> str:
    colours = ", ".join(SEQUENTIAL)
    return (
        '<div style="display:flex;align-items:center;gap:0.6rem;font-size:0.85rem">'
        f"<span>{low}</span>"
        f'<div style="width:220px;height:12px;border-radius:6px;background:linear-gradient(to right,{colours})"></div>'
        f"<span>{high}</span></div>"
    )
