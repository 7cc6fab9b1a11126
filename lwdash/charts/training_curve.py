"""The loss of a fine-tuning, epoch by epoch, on the rows that it learns from and on held-out rows, and the sparsity."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from lwdash.charts.literal_text import names_as_text
from lwdash.charts.palette import BLUE, GREEN, GREY, VERMILION

LEARNT, HELD_OUT, SPARSITY = BLUE, VERMILION, GREEN
KINDS = {"loss": "learnt from", "held_out": "held out", "sparsity": "sparsity"}
"""List of points in the stored curve → the kind of its points."""
NAMES = {"learnt from": "training rows", "held out": "held-out rows"}
WIDE_RATIO = 20
"""Losses with a larger ratio of the largest to the smallest have a logarithmic axis."""


def training_curve(found: Mapping[str, Any]) -> pd.DataFrame:
    """One row per point: round, epoch (0 is before the fine-tuning), value, kind ("learnt from", "held out" or "sparsity",
    0-1). Epochs go on from round to round.

    found: the fact `training_curve` of a stage.
    """
    parts, before = [], 0
    for number, one in enumerate(_rounds(found), 1):
        for key, kind in KINDS.items():
            part = pd.DataFrame(one.get(key, []), columns=["epoch", "value"])
            parts.append(part.assign(kind=kind, round=number, epoch=part["epoch"] + before))
        before += one["loss"][-1][0]
    return pd.concat(parts, ignore_index=True)


def _rounds(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*found.get("earlier_rounds", ()), found]


@names_as_text
def plot_training_curve(stage: str, found: Mapping[str, Any]) -> go.Figure:
    """A line for the rows learnt from, markers for the held-out rows, and, of a stage that prunes, a dashed line for the
    sparsity with an axis at the right. Vertical lines separate rounds. stage: its name.
    """
    points = training_curve(found)
    losses, sparsity = points[points["kind"] != "sparsity"], points[points["kind"] == "sparsity"]
    figure = go.Figure()
    for kind, mode, colour, symbol in (
        ("learnt from", "lines", LEARNT, "circle"),
        ("held out", "markers", HELD_OUT, "diamond"),
    ):
        x, y = _with_gaps(losses[losses["kind"] == kind])
        if x:
            figure.add_scatter(
                x=x, y=y, mode=mode, name=NAMES[kind],
                line={"color": colour, "width": 2},
                marker={"color": colour, "symbol": symbol, "size": 9},
                hovertemplate="epoch %{x}<br>loss %{y:.4g}<extra></extra>",
            )  # fmt: skip
    if len(sparsity):
        x, y = _with_gaps(sparsity.assign(value=100 * sparsity["value"]))
        figure.add_scatter(
            x=x, y=y,
            mode="lines", name="sparsity", yaxis="y2", line={"color": SPARSITY, "width": 2, "dash": "dash"},
            hovertemplate="epoch %{x}<br>sparsity %{y:.1f} %<extra></extra>",
        )  # fmt: skip
        figure.update_layout(
            yaxis2={
                "title": "Zeros in pruned kernels (%)", "overlaying": "y", "side": "right", "range": [0, 102],
                "tickmode": "linear", "dtick": 25, "showgrid": False, "automargin": True,
            }
        )  # fmt: skip
    ends = losses.groupby("round")["epoch"].max()
    for end in ends.iloc[:-1]:
        figure.add_vline(end, line={"color": GREY, "width": 1, "dash": "dot"})
    last = int(ends.iloc[-1])
    positive = losses.loc[losses["value"] > 0, "value"]
    is_wide = len(positive) == len(losses) and positive.max() > WIDE_RATIO * positive.min()
    in_rounds = f", {len(ends)} rounds" if len(ends) > 1 else ""
    figure.update_layout(
        title=f"Loss{' and sparsity' if len(sparsity) else ''} of {stage}{in_rounds}",
        # A marker at epoch 0 is whole, and ticks are whole epochs.
        xaxis={"title": "Epoch", "range": [-0.02 * last, 1.03 * last], "dtick": max(1, round(last / 8))},
        yaxis={"title": "Loss", "type": "log" if is_wide else "linear", "automargin": True},
        legend={"orientation": "h", "y": 1.03, "yanchor": "bottom", "x": 0},
        height=340,
        margin={"t": 80, "b": 60, "l": 60, "r": 20},
    )
    return figure


def _with_gaps(points: pd.DataFrame) -> tuple[list[float | None], list[float | None]]:
    """Epochs and values, with an empty point between rounds, so that no line joins them."""
    x: list[float | None] = []
    y: list[float | None] = []
    for _, part in points.groupby("round"):
        x += [*([None] if x else []), *part["epoch"]]
        y += [*([None] if y else []), *part["value"]]
    return x, y


def describe_training_curve(stage: str, found: Mapping[str, Any]) -> str:
    """Text alternative of the figure."""
    rounds = _rounds(found)
    if len(rounds) == 1:
        return f"Loss of {stage} {_described(found)}"
    return f"Loss of {stage} in {len(rounds)} rounds; in the last of them {_described(found)}"


def _described(found: Mapping[str, Any]) -> str:
    """The points of one round."""
    learnt, held_out, sparsity = ([tuple(point) for point in found.get(key, ())] for key in KINDS)
    (first, start), (last, end) = learnt[0], learnt[-1]
    text = f"on the rows learnt from: {start:.4g} in epoch {first}, {end:.4g} in epoch {last}."
    if sparsity:
        text += f" Sparsity of the pruned kernels: {100 * sparsity[0][1]:.1f} % before the first epoch, "
        text += f"{100 * sparsity[-1][1]:.1f} % at the end."
    if not held_out:
        return text
    epoch, best = min(held_out, key=lambda point: point[1])
    before = f"{held_out[0][1]:.4g} without fine-tuning, " if held_out[0][0] == 0 else ""
    return f"{text} On held-out rows: {before}lowest {best:.4g} in epoch {epoch}."
