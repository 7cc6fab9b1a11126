"""Bytes of each layer, run beside run."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
PATTERNS = ("", "/", "x", ".", "\\", "+")
QUANTITIES = {
    "weight_bytes": ("Weight bytes", "B", "What the weights take in the file, zeros and repeated values included."),
    "huffman_bytes": (
        "Weights Huffman-coded", "B", "What they would take coded by how often each value occurs, code book included.",
    ),
    "bits_per_weight": ("Bits a weight", "bit", "32 in float32, 16 in float16, 8 in int8; biases are counted in."),
    "sparsity": ("Sparsity", "share of zeros", "Zeros take as much room in a .tflite as any value: look at gzip."),
    "distinct_values": ("Distinct values", "", "How many different weights there are: clustering makes them few."),
}  # fmt: skip
"""Column of a layer → label, unit, what it means."""


def layer_values(layers: Mapping[str, Sequence[Mapping[str, Any]]], quantity: str) -> pd.DataFrame:
    """One row a layer with weights, one column a run; bytes add up over a layer's operators, the rest is averaged
    by parameters.

    layers: run label → its operators as measured.
    """
    columns = {}
    for run, rows in layers.items():
        totals: dict[str, list[tuple[float, float]]] = {}
        for row in rows:
            if row.get("parameters") and row.get(quantity) is not None:
                name = row.get("layer") or row["name"]
                totals.setdefault(name, []).append((row[quantity], row["parameters"]))
        if quantity.endswith("bytes"):
            columns[run] = {name: sum(v for v, _ in parts) for name, parts in totals.items()}
        else:
            columns[run] = {
                name: sum(v * n for v, n in parts) / sum(n for _, n in parts)
                for name, parts in totals.items()
            }
    return pd.DataFrame(columns)


def plot_layer_bars(values: pd.DataFrame, quantity: str) -> go.Figure:
    """Grouped bars of `layer_values`, the layers from top to bottom as in the model."""
    label, unit, _ = QUANTITIES[quantity]
    is_alone = len(values.columns) <= 1
    figure = go.Figure()
    for i, run in enumerate(values.columns):
        figure.add_bar(
            y=values.index, x=values[run], name=run, orientation="h",
            marker={
                "color": COLOURS[i % len(COLOURS)], "line": {"width": 0},
                "pattern": {"shape": PATTERNS[i % len(PATTERNS)], "fillmode": "overlay",
                            "fgcolor": "rgba(255,255,255,0.8)", "size": 7, "solidity": 0.2},
            },
            hovertemplate=f"<b>%{{y}}</b><br>{run}<br>{label}: %{{x:,.4~g}} {unit}<extra></extra>",
        )  # fmt: skip
    figure.update_layout(
        title=f"{label}, layer by layer",
        xaxis={"title": f"{label} ({unit})" if unit else label},
        yaxis={"autorange": "reversed", "title": "Layer", "automargin": True},
        barmode="group",
        height=(150 if is_alone else 200) + 24 * max(1, len(values)) * max(1, len(values.columns)),
        showlegend=not is_alone,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        margin={"t": 50 if is_alone else 60 + 22 * len(values.columns), "b": 20},
    )
    return figure
