"""The weights of one kernel before and after: bars for the run, a line for the baseline."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go

from lwdash.charts.literal_text import names_as_text
from lwdash.charts.palette import BLUE, ORANGE

RUN, BASELINE = BLUE, ORANGE


@names_as_text
def plot_weights(kernel: Mapping[str, Any]) -> go.Figure:
    """Histograms from one dict of `kernel_histograms`. Exact zeros are not in the bars; the caption counts them."""
    counts = np.asarray(kernel["counts"])
    edges = np.linspace(kernel["low"], kernel["high"], len(counts) + 1)
    centres, width = (edges[:-1] + edges[1:]) / 2, edges[1] - edges[0]
    figure = go.Figure(
        go.Bar(
            x=centres, y=counts, width=width, name="this run", marker={"color": RUN, "line": {"width": 0}},
            hovertemplate="%{x:.3g}: %{y:,} weights<extra>this run</extra>",
        )
    )  # fmt: skip
    before = kernel.get("baseline")
    if before:
        figure.add_scatter(
            x=centres, y=before["counts"], name="baseline", mode="lines",
            line={"color": BASELINE, "width": 2, "shape": "hvh"},
            hovertemplate="%{x:.3g}: %{y:,} weights<extra>baseline</extra>",
        )  # fmt: skip
    figure.update_layout(
        height=230, margin={"t": 10, "b": 45, "l": 50, "r": 5}, bargap=0, showlegend=False,
        xaxis={"nticks": 5, "zeroline": False, "title": "value"}, yaxis={"nticks": 4, "title": "weights"}, hovermode="x",
    )  # fmt: skip
    return figure


def weight_text(kernel: Mapping[str, Any]) -> str:
    """`2,560 weights, int8 · zeros 80.0 % (baseline 0.0 %) · distinct stored 473 (baseline 2,560)`."""
    before = kernel.get("baseline")

    def beside(key: str, write: str) -> str:
        if not before:
            return ""
        value = 100 * before[key] / before["values"] if key == "zeros" else before[key]
        return f" (baseline {write.format(value)})"

    zeros = 100 * kernel["zeros"] / kernel["values"]
    return (
        f"{kernel['values']:,} weights, {kernel['dtype']} · zeros {zeros:.1f} %{beside('zeros', '{:.1f} %')} · "
        f"distinct stored {kernel['distinct']:,}{beside('distinct', '{:,}')}"
    )
