"""Layer sensitivity as bars: the noise of each layer quantized alone, and the gain from keeping it in float."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from lwdash.charts.literal_text import names_as_text
from lwdash.charts.palette import GREY, SKY, VERMILION

ALONE, GAIN, LINE = SKY, VERMILION, GREY
MAX_LAYERS = 60
MAX_NAME_LETTERS = 40


def sensitivity_bars(measured: Mapping[str, Any]) -> pd.DataFrame:
    """One row per measured layer: layer, label, alone_db, without_db, gain_db; NaN where no output differed.

    measured: result of the analysis. In the order of the model; of many layers, the MAX_LAYERS with the
    largest gain.
    """
    rows = [
        {
            "layer": layer["layer"],
            "label": _short(layer["layer"]),
            "alone_db": _number(layer["alone"]["sqnr_db"]),
            "without_db": _number(layer["without"]["sqnr_db"]),
            "gain_db": _number(layer["gain_db"]),
        }
        for layer in measured["layers"]
        if layer["alone"] and layer["without"]
    ]
    frame = pd.DataFrame(rows, columns=["layer", "label", "alone_db", "without_db", "gain_db"])
    if len(frame) > MAX_LAYERS:
        frame = frame[frame.index.isin(frame["gain_db"].fillna(math.inf).nlargest(MAX_LAYERS).index)]
    return frame


@names_as_text
def plot_sensitivity(measured: Mapping[str, Any]) -> go.Figure:
    """Two columns of bars: SQNR with only that layer quantized (short is bad), and dB gained by keeping it in float."""
    bars = sensitivity_bars(measured)
    everything = measured["everything"]["sqnr_db"]
    name = measured["format"]
    figure = make_subplots(
        1, 2, shared_yaxes=True, horizontal_spacing=0.04,
        subplot_titles=(f"Only this layer in {name}{_dotted(everything)}", "All but this layer: gain"),
    )  # fmt: skip
    for column, (values, colour) in enumerate(((bars["alone_db"], ALONE), (bars["gain_db"], GAIN)), start=1):
        figure.add_bar(
            y=bars["label"], x=values, orientation="h", marker={"color": colour, "line": {"width": 0}},
            text=["" if math.isnan(v) else f"{v:.1f}" for v in values], textposition="auto", textangle=0, cliponaxis=False,
            customdata=bars["layer"], hovertemplate="<b>%{customdata}</b><br>%{x:.2f} dB<extra></extra>",
            row=1, col=column,
        )  # fmt: skip
    if everything is not None:
        figure.add_vline(x=everything, line={"color": LINE, "dash": "dot", "width": 1.5}, row=1, col=1)
    figure.update_yaxes(autorange="reversed", automargin=True, type="category")
    figure.update_xaxes(title="SQNR (dB)", rangemode="tozero", row=1, col=1)
    figure.update_xaxes(title="SQNR gained (dB)", rangemode="tozero", row=1, col=2)
    figure.update_annotations(font_size=12)
    figure.update_layout(
        title=f"Each layer's share of the loss, on {measured['rows']:,} calibration rows",
        showlegend=False,
        height=170 + 24 * max(1, len(bars)),
        margin={"t": 90, "b": 20},
    )
    return figure


def describe_sensitivity(measured: Mapping[str, Any]) -> str:
    """Text alternative of the figure."""
    bars = sensitivity_bars(measured).dropna(subset="gain_db").nlargest(3, "gain_db")
    if bars.empty:
        return "No layer was measured alone."
    named = ", ".join(f"{row.layer} {row.gain_db:+.1f} dB" for row in bars.itertuples())
    return f"Largest gains from keeping single layers in float: {named}."


def _dotted(everything: float | None) -> str:
    return "" if everything is None else f" (dotted: all layers, {everything:.1f} dB)"


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _short(layer: str) -> str:
    return layer if len(layer) <= MAX_NAME_LETTERS else f"…{layer[-MAX_NAME_LETTERS + 1 :]}"
