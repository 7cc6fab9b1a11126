"""The graph of a .tflite as DOT text, its operators coloured by a quantity."""

from collections.abc import Mapping, Sequence
from typing import Any

from lwdash.metrics.layer_metrics import QUANTITIES, Quantity, colour_of

EDGE = "#8794a0"


def graph_dot(
    graph: Mapping[str, Any],
    layers: Sequence[Mapping[str, Any]],
    quantity: Quantity,
    *,
    is_vertical: bool = True,
    with_shapes: bool = True,
) -> str:
    """A digraph: a box an operator with its type, layer and value; an oval an input or output.

    graph: of `analyses.graph_data.graph_of`. layers: operators as measured, for the values. Colours are explicit, so that
    the picture reads on light and dark pages alike.
    """
    values = operator_values(layers, quantity)
    known = [v for v in values.values() if v is not None]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    lines = [
        "digraph tflite {",
        f'graph [rankdir={"TB" if is_vertical else "LR"}, bgcolor="transparent", nodesep=0.25, ranksep=0.35];',
        'node [shape=box, style="filled,rounded", fontname="Helvetica", fontsize=11, penwidth=0, margin="0.14,0.07"];',
        f'edge [color="{EDGE}", fontcolor="{EDGE}", fontname="Helvetica", fontsize=9, arrowsize=0.6];',
    ]
    for port in graph["ports"]:
        label = _quoted(port["name"], flow_words(port))
        lines.append(
            f'{_quoted(port["id"])} [label={label}, shape=oval, style=filled, fillcolor="#e8edf1", fontcolor="#17212b"];'
        )
    for node in graph["nodes"]:
        value = values.get(node["index"])
        fill, text = colour_of(value, low, high)
        said = [node["type"], node["layer"] or "", "" if value is None else quantity.write(value)]
        tip = _quoted(
            f"operator {node['index']}", *filter(None, said[:2]), f"{quantity.label}: {quantity.write(value)}"
        )
        lines.append(
            f'{node["index"]} [label={_quoted(*filter(None, said))}, fillcolor="{fill}", fontcolor="{text}", tooltip={tip}];'
        )
    for edge in graph["edges"]:
        words = _quoted(flow_words(edge))
        label = f"label={words}, " if with_shapes else ""
        lines.append(f"{_node(edge['from'])} -> {_node(edge['to'])} [{label}tooltip={words}];")
    return "\n".join([*lines, "}"])


def operator_values(layers: Sequence[Mapping[str, Any]], quantity: Quantity) -> dict[int, float | None]:
    """Operator of the main graph → its value in the shown unit."""
    return {row["index"]: quantity.of(row) for row in layers if not row.get("subgraph")}


def operator_facts(
    graph: Mapping[str, Any], node: Mapping[str, Any], row: Mapping[str, Any]
) -> dict[str, str]:
    """All that is known of one operator of the graph, in words. row: of the operators as measured, empty where none."""
    index = node["index"]
    facts = {"Number": str(index), "Keras layer": node["layer"] or "–"}
    for name, end, other in (("Input", "to", "from"), ("Output", "from", "to")):
        flows = {flow_words(edge): None for edge in graph["edges"] if edge[end] == index}
        neighbours = [str(edge[other]) for edge in graph["edges"] if edge[end] == index]
        if neighbours:
            facts[name] = f"{', '.join(flows)} ({'from' if end == 'to' else 'to'} {', '.join(neighbours)})"
    if row.get("parameters"):
        facts["Parameters"] = f"{row['parameters']:,}"
    if row.get("weight_dtype"):
        facts["Type of the weights"] = row["weight_dtype"]
    if row.get("ms") is not None:
        facts["Time on its own"] = f"{1000 * row['ms']:,.2f} µs"
    for quantity in QUANTITIES.values():
        value = quantity.of(row)
        if value is not None:
            facts[quantity.label] = quantity.write(value)
    return facts


def flow_words(tensor: Mapping[str, Any]) -> str:
    """`1×140×16 int8`; `?` for a length that varies."""
    return f"{'×'.join('?' if n < 0 else str(n) for n in tensor['shape']) or 'scalar'} {tensor['dtype']}"


def describe_graph(graph: Mapping[str, Any]) -> str:
    """The picture in words."""
    kinds: dict[str, int] = {}
    for node in graph["nodes"]:
        kinds[node["type"]] = kinds.get(node["type"], 0) + 1
    named = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items(), key=lambda k: -k[1])[:8])
    return (
        f"The file's graph: {len(graph['nodes'])} operators ({named}) and {len(graph['edges'])} connections."
    )


def _node(identity: int | str) -> str:
    return str(identity) if isinstance(identity, int) else _quoted(identity)


def _quoted(*lines: str) -> str:
    """Lines of text as one DOT string."""
    clean = (str(line).replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") for line in lines)
    return '"' + "\\n".join(clean) + '"'
