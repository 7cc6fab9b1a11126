"""One quantity of each layer, run beside run."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from lwdash.charts.literal_text import literal, names_as_text
from lwdash.charts.palette import SERIES
from lwdash.metrics.layer_metrics import QUANTITIES, by_layer

PATTERNS = ("", "/", "x", ".", "\\", "+")
LEGEND_A_LINE = 4
"""Number of runs whose names fill the width of the figure."""
MAX_LAYERS = 60
"""With more layers, only those in which the runs differ most are drawn."""


def layer_values(layers: Mapping[str, Sequence[Mapping[str, Any]]], quantity: str) -> pd.DataFrame:
    """One row per layer that has the quantity, in the order of the first run's file; one column per run, in
    shown units.

    layers: run label → its measured operators. See `layer_metrics` for how a layer's operators are combined.
    """
    columns = {run: by_layer(rows, QUANTITIES[quantity]) for run, rows in layers.items()}
    order = list(dict.fromkeys(name for column in columns.values() for name in column.index))
    return pd.DataFrame(
        {run: column.reindex(order) for run, column in columns.items()}, index=order, dtype=float
    )


def most_different(values: pd.DataFrame, most: int = MAX_LAYERS) -> pd.DataFrame:
    """At most `most` layers, those whose values differ most between the runs, in the model's order."""
    if len(values) <= most:
        return values
    spread = (values.max(axis=1) - values.min(axis=1)).fillna(0)
    largest = values.max(axis=1).fillna(0)
    order = pd.DataFrame({"spread": spread.to_numpy(), "largest": largest.to_numpy()})
    kept = order.sort_values(["spread", "largest"], ascending=False).index[:most].sort_values()
    return values.iloc[kept]


@names_as_text
def plot_layer_bars(values: pd.DataFrame, quantity: str) -> go.Figure:
    """Grouped bars of `layer_values`, the layers from top to bottom as in the model."""
    shown = QUANTITIES[quantity]
    is_alone = len(values.columns) <= 1
    figure = go.Figure()
    for i, run in enumerate(values.columns):
        figure.add_bar(
            y=values.index, x=values[run], name=run, orientation="h",
            marker={
                "color": SERIES[i % len(SERIES)], "line": {"width": 0},
                "pattern": {"shape": PATTERNS[i % len(PATTERNS)], "fillmode": "overlay",
                            "fgcolor": "rgba(255,255,255,0.8)", "size": 7, "solidity": 0.2},
            },
            hovertemplate=f"<b>%{{y}}</b><br>{literal(str(run))}<br>"
            f"{shown.label}: %{{x:,.{shown.digits}f}} {shown.unit}<extra></extra>",
        )  # fmt: skip
    figure.update_layout(
        title=f"{shown.label}, layer by layer",
        xaxis={"title": shown.title, "exponentformat": "none", "separatethousands": True},
        yaxis={"autorange": "reversed", "automargin": True},
        barmode="group",
        bargap=0.25,
        height=(150 if is_alone else 200) + (10 + 14 * max(1, len(values.columns))) * max(1, len(values)),
        showlegend=not is_alone,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "traceorder": "normal"},
        margin={"t": 50 if is_alone else 62 + 22 * -(-len(values.columns) // LEGEND_A_LINE), "b": 20},
    )
    return figure
