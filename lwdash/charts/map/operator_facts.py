"""Values of operators as text: tensors, facts of one operator, and a description of the whole graph."""

from collections.abc import Mapping
from typing import Any

from lwdash.metrics.layer_metrics import QUANTITIES


def operator_facts(
    graph: Mapping[str, Any], node: Mapping[str, Any], row: Mapping[str, Any]
) -> dict[str, str]:
    """All known facts of one operator of the graph, as text. row: its measured values, empty if there are none."""
    index = node["index"]
    facts = {"Number": str(index), "Keras layer": node["layer"] or "–"}
    for name, end, other in (("Input", "to", "from"), ("Output", "from", "to")):
        flows = {flow_text(edge): None for edge in graph["edges"] if edge[end] == index}
        neighbours = [str(edge[other]) for edge in graph["edges"] if edge[end] == index]
        if neighbours:
            facts[name] = f"{', '.join(flows)} ({'from' if end == 'to' else 'to'} {', '.join(neighbours)})"
    if row.get("parameters"):
        facts["Parameters"] = f"{row['parameters']:,}"
    if row.get("weight_dtype"):
        facts["Type of the weights"] = row["weight_dtype"]
    if row.get("ms") is not None:
        facts["Time alone"] = f"{1000 * row['ms']:,.2f} µs"
    for quantity in QUANTITIES.values():
        value = quantity.of(row)
        if value is not None:
            facts[quantity.label] = quantity.write(value)
    return facts


def flow_text(tensor: Mapping[str, Any]) -> str:
    """`1×140×16 int8`; `?` for a variable length."""
    return f"{'×'.join('?' if n < 0 else str(n) for n in tensor['shape']) or 'scalar'} {tensor['dtype']}"


def describe_graph(graph: Mapping[str, Any]) -> str:
    """Text alternative of the graph."""
    kinds: dict[str, int] = {}
    for node in graph["nodes"]:
        kinds[node["type"]] = kinds.get(node["type"], 0) + 1
    named = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items(), key=lambda k: -k[1])[:8])
    return (
        f"The file's graph: {len(graph['nodes'])} operators ({named}) and {len(graph['edges'])} connections."
    )
