"""The files that `auto` tried: size against the error of the outputs."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from lwdash.charts.literal_text import names_as_text
from lwdash.charts.palette import BLUE, GREY, VERMILION

TRIED, FRONT, CHOSEN = GREY, BLUE, VERMILION


def precision_steps(found: Mapping[str, Any]) -> pd.DataFrame:
    """One row per file: recipe, kb, sqnr_db (NaN without any error), changed (%), is_front, is_chosen; by size.

    found: the fact `auto` of a stage. is_front: no smaller file has as high an SQNR.
    """
    frame = pd.DataFrame(found["attempts"]).sort_values("size_bytes", kind="stable", ignore_index=True)
    sqnr = pd.to_numeric(frame["sqnr_db"])
    best_before = sqnr.fillna(float("inf")).cummax().shift(fill_value=-float("inf"))
    return pd.DataFrame(
        {
            "recipe": frame["recipe"],
            "kb": frame["size_bytes"] / 1000,
            "sqnr_db": sqnr,
            "changed": 100 * frame["changed"],
            "is_front": sqnr.fillna(float("inf")) > best_before,
            "is_chosen": frame["recipe"] == found["recipe"],
        }
    )


@names_as_text
def plot_precision_steps(found: Mapping[str, Any]) -> go.Figure:
    """Points of `precision_steps`, the Pareto front joined by a line, the chosen file marked."""
    steps = precision_steps(found).dropna(subset="sqnr_db")
    front, chosen = steps[steps["is_front"]], steps[steps["is_chosen"]]
    figure = go.Figure()
    hover = "<b>%{x:.1f} kB</b><br>%{y:.1f} dB<br>%{customdata:.2f} % of rows changed<extra></extra>"
    for name, part, colour, mode, size in (
        ("tried", steps, TRIED, "markers", 7),
        ("Pareto front", front, FRONT, "lines+markers", 7),
        ("chosen", chosen, CHOSEN, "markers", 13),
    ):
        figure.add_scatter(
            x=part["kb"], y=part["sqnr_db"], customdata=part["changed"], mode=mode, name=name,
            marker={"color": colour, "size": size}, line={"color": colour, "width": 1.5},
            hovertemplate=hover,
        )  # fmt: skip
    figure.update_layout(
        title="Files that auto made",
        xaxis={"title": "Size (kB)"},
        yaxis={"title": "SQNR (dB)"},
        legend={"orientation": "h", "y": 1.12, "x": 0},
        height=320,
    )
    return figure


def describe_precision_steps(found: Mapping[str, Any]) -> str:
    """Text alternative of the figure."""
    steps = precision_steps(found)
    one = steps[steps["is_chosen"]].iloc[0]
    error = "equal outputs" if pd.isna(one["sqnr_db"]) else f"{one['sqnr_db']:.1f} dB"
    return (
        f"{len(steps)} files of {steps['kb'].min():.1f} to {steps['kb'].max():.1f} kB; the chosen one has "
        f"{one['kb']:.1f} kB and {error}, and changes {one['changed']:.2f} % of the calibration rows."
    )
