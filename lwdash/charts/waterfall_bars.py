"""The accuracy waterfall of a run: the task's metric after each stage, with the outputs' SQNR below it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from lwdash.charts.literal_text import names_as_text
from lwdash.charts.palette import BLUE, GREY, VERMILION
from lwdash.metrics.run_metrics import ACCURACY, AGREEMENT, ERRORS, SQNR, Measure

MEASURES: dict[str, Measure] = {m.column: m for m in (ACCURACY, AGREEMENT, *ERRORS, SQNR)}
LEVEL, GAIN, LOSS = GREY, BLUE, VERMILION
"""Blue and vermilion, which colour-blind readers can distinguish."""
MIN_SPAN = 0.01
"""Minimum span of the axis as a share of the value, so that tiny changes do not look large."""


def waterfall_bars(stages: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per stage: stage, value and change in the shown unit, low and high of the change's interval
    (NaN without), sqnr_db (NaN where nothing differs), text.

    stages: as measured, `measured["waterfall"]` of a run.
    """
    rows = []
    for stage in stages:
        measure = MEASURES[stage["measure"]]
        value, change = stage["value"], stage["change"]
        interval = stage["change_ci"] or (math.nan, math.nan)
        rows.append(
            {
                "stage": stage["stage"],
                "value": math.nan if value is None else value * measure.factor,
                "change": math.nan if change is None else change * measure.factor,
                "low": interval[0] * measure.factor,
                "high": interval[1] * measure.factor,
                "sqnr_db": math.nan if stage["sqnr_db"] is None else stage["sqnr_db"],
                "text": change_text(stage),
            }
        )
    return pd.DataFrame(rows, columns=["stage", "value", "change", "low", "high", "sqnr_db", "text"])


def change_text(stage: Mapping[str, Any]) -> str:
    """`−0.4 points`, `no change`, `+0.0031`; the value itself for the first stage."""
    measure = MEASURES[stage["measure"]]
    if stage["value"] is None:
        return ""
    if stage["change"] is None:
        shown = stage["value"] * measure.factor
        return f"{shown:.2f} %" if measure.unit == "%" else f"{shown:.4g}"
    change = stage["change"] * measure.factor
    if change == 0:
        return "no change"
    text = f"{change:+.2f} points" if measure.unit == "%" else f"{change:+.3g}"
    return text.replace("-", "−")


@names_as_text
def plot_waterfall(stages: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Bars from the value before to the value after each stage, a line for the first value; SQNR below, in dB."""
    bars = waterfall_bars(stages)
    measure = MEASURES[stages[0]["measure"]]
    has_values = bars["value"].notna().any()
    figure = make_subplots(
        2 if has_values else 1, 1, shared_xaxes=True, vertical_spacing=0.08,
        row_heights=[0.6, 0.4] if has_values else None,
    )  # fmt: skip
    if has_values:
        _add_levels(figure, bars, measure)
    row = 2 if has_values else 1
    figure.add_bar(
        x=bars["stage"], y=bars["sqnr_db"], marker={"color": LEVEL},
        text=["" if math.isnan(v) else f"{v:.0f} dB" for v in bars["sqnr_db"]], textposition="outside",
        cliponaxis=False, hovertemplate="%{x}<br>SQNR %{y:.1f} dB<extra></extra>", row=row, col=1,
    )  # fmt: skip
    figure.update_yaxes(title="SQNR (dB)", rangemode="tozero", row=row, col=1)
    figure.update_xaxes(type="category", automargin=True)
    rows = stages[0]["rows"]
    figure.update_layout(
        title=f"Loss of each stage, on {rows:,} evaluation rows",
        showlegend=False,
        height=480 if has_values else 280,
        margin={"t": 60, "b": 20},
        bargap=0.35,
    )
    return figure


def _add_levels(figure: go.Figure, bars: pd.DataFrame, measure: Measure) -> None:
    values = bars["value"]
    low, high = float(values.min()), float(values.max())
    span = max(high - low, MIN_SPAN * max(abs(low), abs(high), 1e-9))
    floor = low - 0.6 * span if low - 0.6 * span > 0 or low < 0 else 0.0
    before = values.shift(1)
    is_first = bars["change"].isna()
    base = before.where(~is_first, values)  # no bar: from the cropped axis, its length would mean nothing
    is_better = (bars["change"] > 0) == measure.is_higher_better
    colours = [
        LEVEL if first else (GAIN if better else LOSS)
        for first, better in zip(is_first, is_better, strict=True)
    ]
    figure.add_bar(
        x=bars["stage"], y=values - base, base=base, marker={"color": colours},
        text=bars["text"], textposition="outside", cliponaxis=False, customdata=values,
        hovertemplate=f"<b>%{{x}}</b><br>{measure.label}: %{{customdata:.4g}} {measure.unit}<br>%{{text}}<extra></extra>",
        row=1, col=1,
    )  # fmt: skip
    figure.add_shape(
        type="line",
        x0=-0.33,
        x1=0.33,
        y0=values[0],
        y1=values[0],
        line={"color": LEVEL, "width": 4},
        row=1,
        col=1,
    )
    for i in range(1, len(bars)):
        figure.add_shape(
            type="line", x0=i - 1, x1=i, y0=values[i - 1], y1=values[i - 1],
            line={"color": LEVEL, "width": 1, "dash": "dot"}, row=1, col=1,
        )  # fmt: skip
    figure.update_yaxes(title=measure.title, range=[floor, high + 0.35 * span], row=1, col=1)
