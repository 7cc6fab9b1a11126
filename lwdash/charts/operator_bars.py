"""One quantity of a run, layer by layer."""

import pandas as pd
import plotly.graph_objects as go

from lwdash.charts.literal_text import names_as_text
from lwdash.charts.palette import BLUE
from lwdash.metrics.layer_metrics import Quantity

MAX_LAYERS = 40
LONGEST_NAME = 28


@names_as_text
def plot_operator_bars(values: pd.Series, quantity: Quantity) -> go.Figure:
    """Bars of `layer_metrics.by_layer`, from top to bottom as in the model; of many layers, the largest values."""
    shown = values
    if len(values) > MAX_LAYERS:
        largest = values.nlargest(MAX_LAYERS) if quantity.joined != "min" else values.nsmallest(MAX_LAYERS)
        shown = values[values.index.isin(largest.index)]
    figure = go.Figure(
        go.Bar(
            y=shown.index, x=shown, orientation="h", marker={"color": BLUE, "line": {"width": 0}},
            text=[quantity.write(v) for v in shown], textposition="auto", cliponaxis=False,
            hovertemplate="<b>%{y}</b><br>" + quantity.label + ": %{text}<extra></extra>",
        )
    )  # fmt: skip
    which = "lowest" if quantity.joined == "min" else "largest"
    left_out = f", the {MAX_LAYERS} {which} of {len(values)}" if len(values) > MAX_LAYERS else ""
    figure.update_layout(
        title=f"{quantity.label}, layer by layer{left_out}",
        xaxis={"title": quantity.title, "rangemode": "tozero", "exponentformat": "none", "separatethousands": True},
        yaxis={
            "autorange": "reversed", "automargin": True, "type": "category",
            "tickvals": list(shown.index), "ticktext": [shortened(name) for name in shown.index],
        },
        height=140 + 26 * max(1, len(shown)),
        margin={"t": 50, "b": 20},
        showlegend=False,
    )  # fmt: skip
    return figure


def shortened(name: str) -> str:
    """The end of a long name, where nested layers differ: `…_depthwise/depthwise1`."""
    return name if len(name) <= LONGEST_NAME else f"…{name[1 - LONGEST_NAME :]}"


def describe_operator_bars(values: pd.Series, quantity: Quantity) -> str:
    """Text alternative of the figure."""
    if values.empty:
        return f"{quantity.label}: no layer has it."
    top = values.nlargest(3)
    named = ", ".join(f"{name} {quantity.write(value)}" for name, value in top.items())
    return f"{quantity.label} of {len(values)} layer{'s' * (len(values) != 1)}; the largest: {named}."
