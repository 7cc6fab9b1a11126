"""The bytes of a .tflite as a treemap: by layer, then by category."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from lwdash.charts.literal_text import names_as_text
from lwdash.metrics.layer_metrics import layer_of

CATEGORIES = {
    "weights": ("Weights", "#0072B2", "Trained values, as stored."),
    "quantization": ("Scales", "#C47F00", "Scales, zero points and ranges of quantized tensors."),
    "graph": ("Graph", "#2F97D2", "Tables of the computation, with every length and offset."),
    "names": ("Names", "#CC79A7", "Names of tensors. A microcontroller does not need them."),
    "constants": ("Constants", "#009E73", "Shapes, axes and scalars."),
    "metadata": ("Metadata", "#D55E00", "Description, signatures and metadata entries."),
    "padding": ("Padding", "#808d99", "Zeros that align the next object."),
    "unreferenced": ("Unreferenced", "#9d9100", "Bytes that nothing in the file points to."),
}
"""Category of the ledger → label, colour, meaning."""
OF_LAYERS = {
    "weights": "weight_bytes", "quantization": "quantization_bytes", "graph": "graph_bytes", "names": "name_bytes",
    "constants": "constant_bytes",
}  # fmt: skip
NO_LAYER = "not of one layer"
FRAME, DARK, LIGHT = "#b8c4cd", "#17212b", "#ffffff"
LIGHT_ON = frozenset({"#0072B2", "#D55E00"})
"""Colours with white text. All colours are opaque, so that they are readable on light and dark pages."""


def ledger_parts(
    layers: Sequence[Mapping[str, Any]], ledger: Mapping[str, int], file_bytes: int
) -> pd.DataFrame:
    """One row per layer and category with bytes: columns layer, category, bytes. The bytes sum to the file's
    size.

    layers: measured operators. ledger: bytes by category of the whole file. The part of a category that
    belongs to no layer is listed under `NO_LAYER`. Older runs have no ledger: everything that is not known to
    be weights is "graph".
    """
    parts: dict[tuple[str, str], int] = {}
    for row in layers:
        known = {category: int(row.get(column) or 0) for category, column in OF_LAYERS.items()}
        known["graph"] += max(0, int(row.get("bytes") or 0) - sum(known.values()))
        for category, count in known.items():
            parts[layer_of(row), category] = parts.get((layer_of(row), category), 0) + count
    spent = pd.Series(dict.fromkeys(CATEGORIES, 0))
    for (_, category), count in parts.items():
        spent[category] += count
    totals = dict(ledger) or {**spent.to_dict(), "graph": int(spent["graph"]) + file_bytes - int(spent.sum())}
    for category, total in totals.items():
        if total > spent.get(category, 0):
            parts[NO_LAYER, category] = total - int(spent.get(category, 0))
    rows = [(layer, category, count) for (layer, category), count in parts.items() if count > 0]
    return pd.DataFrame(rows, columns=["layer", "category", "bytes"])


@names_as_text
def plot_ledger(parts: pd.DataFrame) -> go.Figure:
    """Treemap of `ledger_parts`: the file, its layers, and in each layer the categories."""
    total = int(parts["bytes"].sum())
    by_layer = parts.groupby("layer", sort=False)["bytes"].sum()
    ids = ["file", *(f"layer:{name}" for name in by_layer.index)]
    labels, parents = [".tflite", *by_layer.index], ["", *["file"] * len(by_layer)]
    values, colours = [total, *by_layer], [FRAME, *[FRAME] * len(by_layer)]
    for row in parts.itertuples():
        label, colour, _ = CATEGORIES[str(row.category)]
        ids.append(f"{row.category}:{row.layer}")
        labels.append(label)
        parents.append(f"layer:{row.layer}")
        values.append(row.bytes)
        colours.append(colour)
    figure = go.Figure(
        go.Treemap(
            ids=ids, labels=labels, parents=parents, values=values, branchvalues="total",
            marker={"colors": colours, "line": {"width": 1}}, pathbar={"visible": True},
            textfont={"color": [LIGHT if colour in LIGHT_ON else DARK for colour in colours]}, tiling={"pad": 2},
            texttemplate="%{label}<br>%{value:,} B",
            hovertemplate="<b>%{label}</b><br>%{value:,} B, %{percentRoot:.1%} of the file<extra></extra>",
        )
    )  # fmt: skip
    figure.update_layout(
        title="Bytes of the file",
        height=520,
        margin={"t": 50, "b": 10, "l": 0, "r": 0},
        uniformtext={"minsize": 9, "mode": "hide"},
    )
    return figure


def describe_ledger(parts: pd.DataFrame) -> str:
    """Text alternative of the figure."""
    total = int(parts["bytes"].sum())
    totals = parts.groupby("category")["bytes"].sum().sort_values(ascending=False)
    named = ", ".join(f"{CATEGORIES[str(c)][0].lower()} {n:,}" for c, n in totals.items())
    return f"The {total:,} bytes of the file by category: {named}."
