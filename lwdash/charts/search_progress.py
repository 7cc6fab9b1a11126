"""The progress of a search: the metric of each run in order, and the best value until then."""

import pandas as pd
import plotly.graph_objects as go

from lwdash.charts.literal_text import names_as_text
from lwdash.metrics.run_metrics import Measure

KEPT, BROKEN, LINE = "#0072B2", "#D55E00", "#009E73"


@names_as_text
def plot_search(points: pd.DataFrame, measure: Measure, before: float | None) -> go.Figure:
    """Markers for runs, and the best so far as steps.

    points: one row a measured run, in order: number (from 1), run (id), name, value (of `measure`, stored unit), keeps
    (all limits), words (for the hover text), best (until then, NaN before there is one).
    before: the best that was there before the search, if any.
    """
    figure = go.Figure()
    for keeps, name, colour, symbol in (
        (True, "keeps all limits", KEPT, "circle"),
        (False, "breaks a limit", BROKEN, "x-thin-open"),
    ):
        some = points[points["keeps"] == keeps]
        if len(some):
            figure.add_scatter(
                x=some["number"], y=some["value"] * measure.factor, mode="markers", name=name,
                marker={"color": colour, "symbol": symbol, "size": 10, "line": {"width": 2, "color": colour}},
                customdata=some[["name", "words"]],
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
            y=before * measure.factor, line={"dash": "dot", "width": 1.5, "color": "#7f7f7f"},
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
    """The figure in words, for who cannot see it."""
    if points.empty:
        return "No run of the search was measured yet."
    text = f"{len(points):,} runs of the search, {int(points['keeps'].sum()):,} of which keep all limits."
    last = points["best"].iloc[-1]
    if last == last:
        text += f" The best of them: {measure.write(last)}."
    return text if before is None else f"{text} Before the search: {measure.write(before)}."
