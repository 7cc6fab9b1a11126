"""Every byte of a .tflite as area: by layer, then by what it is."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from lwdash.charts.literal_text import names_as_text
from lwdash.metrics.layer_metrics import layer_of

CATEGORIES = {
    "weights": ("Weights", "#0072B2", "Trained values, as stored."),
    "quantization": ("Scales", "#E69F00", "Scales, zero points and ranges of quantized tensors."),
    "graph": ("Graph", "#56B4E9", "Tables that say what is computed, with every length and offset."),
    "names": ("Names", "#CC79A7", "Names of tensors; a microcontroller does not need them."),
    "constants": ("Constants", "#009E73", "Shapes, axes and scalars."),
    "metadata": ("Metadata", "#D55E00", "Description, signatures and metadata entries."),
    "padding": ("Padding", "#999999", "Zeros that align what follows."),
    "unreferenced": ("Unreferenced", "#F0E442", "Bytes that nothing in the file points to."),
}
"""Category of the ledger → label, colour, meaning."""
OF_LAYERS = {
    "weights": "weight_bytes", "quantization": "quantization_bytes", "graph": "graph_bytes", "names": "name_bytes",
    "constants": "constant_bytes",
}  # fmt: skip
NO_LAYER = "not of one layer"
FRAME, DARK, LIGHT = "#b8c4cd", "#17212b", "#ffffff"
LIGHT_ON = frozenset({"#0072B2", "#D55E00"})
"""Colours on which text is white; all colours are opaque, so that they read on light and dark pages alike."""


def ledger_parts(
    layers: Sequence[Mapping[str, Any]], ledger: Mapping[str, int], file_bytes: int
) -> pd.DataFrame:
    """One row a layer and category with bytes: columns layer, category, bytes. The bytes add up to the file's size.

    layers: operators as measured. ledger: bytes by category of the whole file; what no layer has of a category is
    `NO_LAYER`'s. Where an older run has no ledger, all that is not known to be weights is "graph".
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
    """Treemap of `ledger_parts`: the file, its layers, and in each what the bytes are."""
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
        title="Where every byte is",
        height=520,
        margin={"t": 50, "b": 10, "l": 0, "r": 0},
        uniformtext={"minsize": 9, "mode": "hide"},
    )
    return figure


def describe_ledger(parts: pd.DataFrame) -> str:
    """The figure in words."""
    total = int(parts["bytes"].sum())
    totals = parts.groupby("category")["bytes"].sum().sort_values(ascending=False)
    named = ", ".join(f"{CATEGORIES[str(c)][0].lower()} {n:,}" for c, n in totals.items())
    return f"The {total:,} bytes of the file by what they are: {named}."
