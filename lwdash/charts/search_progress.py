"""The progress of a search: the metric of each run in order, and the best value until then."""

import pandas as pd
import plotly.graph_objects as go

from lwdash.charts.literal_text import names_as_text
from lwdash.charts.palette import BLUE, GREEN, GREY, VERMILION
from lwdash.metrics.run_metrics import Measure

KEPT, BROKEN, LINE = BLUE, VERMILION, GREEN


@names_as_text
def plot_search(points: pd.DataFrame, measure: Measure, before: float | None) -> go.Figure:
    """Markers for runs, and the best value so far as steps.

    points: one row per measured run, in order: number (from 1), run (id), name, value (of `measure`, stored
    unit), keeps (True if all limits are met), hover (hover text), best (until then, NaN if there is none
    yet).
    before: the best value before the search, if any.
    """
    figure = go.Figure()
    for keeps, name, colour, symbol in (
        (True, "meets all limits", KEPT, "circle"),
        (False, "exceeds a limit", BROKEN, "x-thin-open"),
    ):
        some = points[points["keeps"] == keeps]
        if len(some):
            figure.add_scatter(
                x=some["number"], y=some["value"] * measure.factor, mode="markers", name=name,
                marker={"color": colour, "symbol": symbol, "size": 10, "line": {"width": 2, "color": colour}},
                customdata=some[["name", "hover"]],
                hovertemplate="<b>%{customdata[0]}</b><br>%{customdata[1]}<extra></extra>",
            )  # fmt: skip
    best = points.dropna(subset="best")
    if len(best):
        figure.add_scatter(
            x=best["number"], y=best["best"] * measure.factor, mode="lines", name="best so far",
            line={"shape": "hv", "color": LINE, "width": 2}, hoverinfo="skip",
        )  # fmt: skip
    if before is not None:
        figure.add_hline(
            y=before * measure.factor, line={"dash": "dot", "width": 1.5, "color": GREY},
            annotation_text=f"before the search: {measure.write(before)}", annotation_font_size=12,
        )  # fmt: skip
    figure.update_xaxes(
        title="Run of the search", range=[0.5, len(points) + 0.5], dtick=max(1, len(points) // 12)
    )
    figure.update_yaxes(title=measure.title, automargin=True)
    figure.update_layout(
        title=f"{measure.label}, run by run",
        height=380,
        margin={"t": 60, "b": 20},
        legend={"orientation": "h", "y": -0.2, "yanchor": "top", "x": 0},
    )
    return figure


def describe_search(points: pd.DataFrame, measure: Measure, before: float | None) -> str:
    """Text alternative of the figure."""
    if points.empty:
        return "No run of the search was measured yet."
    text = f"{len(points):,} runs of the search, {int(points['keeps'].sum()):,} of which meet all limits."
    last = points["best"].iloc[-1]
    if last == last:
        text += f" The best of them: {measure.write(last)}."
    return text if before is None else f"{text} Before the search: {measure.write(before)}."
