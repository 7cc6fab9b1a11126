"""Operators that the compared files have more, fewer, or with other number types than the reference, layer by layer."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from lwdash.metrics.layer_metrics import layer_of
from lwdash.ui.shared.data_table import data_table
from lwdash.ui.shared.number_text import counted

Rows = Sequence[Mapping[str, Any]]


def show_graph_difference(layers: Mapping[str, Rows], reference: str) -> None:
    """The layers whose operators or number types differ between runs.

    layers: heading of a run → its measured operators. reference: the heading of the run that others are compared with.
    """
    if not all(layers.values()):
        return
    table = graph_difference(layers, reference)
    st.header("Graph", anchor=False)
    if table.empty:
        st.caption("All files have the same operators with the same number types.")
        return
    place = st.expander(
        f"Layers whose operators differ: {len(table):,}",
        icon=":material/account_tree:",
        key="compare:graph",
        on_change="rerun",
    )
    if not place.open:
        return
    counts = "; ".join(f"{heading}: {counted(len(rows), 'operator')}" for heading, rows in layers.items())
    with place:
        st.caption(
            f"{counts}. + operators that only this file has, − operators that only the reference has, → other number types "
            "of the output. An empty cell: the same as in the reference."
        )
        data_table(table, hide_index=True, height="auto" if len(table) <= 12 else 460)


def graph_difference(layers: Mapping[str, Rows], reference: str) -> pd.DataFrame:
    """One row per layer in which any file differs from the reference: Layer, the reference's operators, the changes of
    each other run as text. In the order of the reference's file, then layers that only others have.
    """
    grouped = {heading: _by_layer(rows) for heading, rows in layers.items()}
    before = grouped[reference]
    others = [heading for heading in layers if heading != reference]
    names = dict.fromkeys([*before, *(name for heading in others for name in grouped[heading])])
    table = []
    for name in names:
        own = before.get(name, [])
        changes = {heading: _change(own, grouped[heading].get(name, [])) for heading in others}
        if any(changes.values()):
            table.append({"Layer": name, reference: _listed(Counter(row["type"] for row in own)), **changes})
    return pd.DataFrame(table, columns=["Layer", reference, *others])


def _by_layer(rows: Rows) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(layer_of(row), []).append(row)
    return found


def _change(before: Rows, after: Rows) -> str:
    """`+ QUANTIZE, − RELU, float32 → int8`; empty where nothing differs."""
    one, other = (Counter(row["type"] for row in rows) for rows in (before, after))
    parts = [f"{sign} {_listed(more)}" for sign, more in (("+", other - one), ("−", one - other)) if more]
    types = [
        ", ".join(dict.fromkeys(row["output_dtype"] for row in rows if row.get("output_dtype")))
        for rows in (before, after)
    ]
    if all(types) and types[0] != types[1]:
        parts.append(f"{types[0]} → {types[1]}")
    return ", ".join(parts)


def _listed(types: Counter[str]) -> str:
    return ", ".join(kind if times == 1 else f"{kind} ×{times}" for kind, times in types.items())
