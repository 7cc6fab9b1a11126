"""The loss of a fine-tuning, epoch by epoch, on the rows that it learns from and on held-out rows, and the sparsity."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from lwdash.charts.literal_text import names_as_text
from lwdash.charts.palette import BLUE, GREEN, VERMILION

LEARNT, HELD_OUT, SPARSITY = BLUE, VERMILION, GREEN
NAMES = {"learnt from": "training rows", "held out": "held-out rows"}
WIDE_RATIO = 20
"""Losses with a larger ratio of the largest to the smallest have a logarithmic axis."""


def training_curve(found: Mapping[str, Any]) -> pd.DataFrame:
    """One row per point: epoch (0 is before the fine-tuning), loss, rows ("learnt from" or "held out").

    found: the fact `training_curve` of a stage.
    """
    parts = [
        pd.DataFrame(found[key], columns=["epoch", "loss"]).assign(rows=rows)
        for key, rows in (("loss", "learnt from"), ("held_out", "held out"))
    ]
    return pd.concat(parts, ignore_index=True)


@names_as_text
def plot_training_curve(stage: str, found: Mapping[str, Any]) -> go.Figure:
    """A line for the rows learnt from, markers for the held-out rows, and, of a stage that prunes, a dashed line for the
    sparsity with an axis at the right. stage: its name.
    """
    points = training_curve(found)
    figure = go.Figure()
    for rows, mode, colour, symbol in (
        ("learnt from", "lines", LEARNT, "circle"),
        ("held out", "markers", HELD_OUT, "diamond"),
    ):
        part = points[points["rows"] == rows]
        if len(part):
            figure.add_scatter(
                x=part["epoch"], y=part["loss"], mode=mode, name=NAMES[rows],
                line={"color": colour, "width": 2},
                marker={"color": colour, "symbol": symbol, "size": 9},
                hovertemplate="epoch %{x}<br>loss %{y:.4g}<extra></extra>",
            )  # fmt: skip
    sparsity = found.get("sparsity")
    if sparsity:
        figure.add_scatter(
            x=[epoch for epoch, _ in sparsity], y=[100 * share for _, share in sparsity],
            mode="lines", name="sparsity", yaxis="y2", line={"color": SPARSITY, "width": 2, "dash": "dash"},
            hovertemplate="epoch %{x}<br>sparsity %{y:.1f} %<extra></extra>",
        )  # fmt: skip
        figure.update_layout(
            yaxis2={
                "title": "Zeros in pruned kernels (%)", "overlaying": "y", "side": "right", "range": [0, 102],
                "tickmode": "linear", "dtick": 25, "showgrid": False, "automargin": True,
            }
        )  # fmt: skip
    last = int(points["epoch"].max())
    positive = points.loc[points["loss"] > 0, "loss"]
    is_wide = len(positive) == len(points) and positive.max() > WIDE_RATIO * positive.min()
    figure.update_layout(
        title=f"Loss{' and sparsity' if sparsity else ''} of {stage}",
        # A marker at epoch 0 is whole, and ticks are whole epochs.
        xaxis={"title": "Epoch", "range": [-0.02 * last, 1.03 * last], "dtick": max(1, round(last / 8))},
        yaxis={"title": "Loss", "type": "log" if is_wide else "linear", "automargin": True},
        legend={"orientation": "h", "y": 1.03, "yanchor": "bottom", "x": 0},
        height=340,
        margin={"t": 80, "b": 60, "l": 60, "r": 20},
    )
    return figure


def describe_training_curve(stage: str, found: Mapping[str, Any]) -> str:
    """Text alternative of the figure."""
    points = training_curve(found)
    learnt, held_out = (points[points["rows"] == rows] for rows in ("learnt from", "held out"))
    text = f"Loss of {stage} on the rows learnt from: {learnt['loss'].iloc[0]:.4g} in epoch {learnt['epoch'].iloc[0]}"
    text += f", {learnt['loss'].iloc[-1]:.4g} in epoch {learnt['epoch'].iloc[-1]}."
    if found.get("sparsity"):
        first, last = found["sparsity"][0][1], found["sparsity"][-1][1]
        text += f" Sparsity of the pruned kernels: {100 * first:.1f} % before the first epoch, "
        text += f"{100 * last:.1f} % at the end."
    if held_out.empty:
        return text
    best = held_out.loc[held_out["loss"].idxmin()]
    before = held_out[held_out["epoch"] == 0]
    start = f"{before['loss'].iloc[0]:.4g} without fine-tuning, " if len(before) else ""
    return f"{text} On held-out rows: {start}lowest {best['loss']:.4g} in epoch {best['epoch']:.0f}."
