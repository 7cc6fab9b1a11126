"""Metrics of a few runs as small plots: a bar or a point per run, with its 95 % interval."""

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from lwdash.charts.literal_text import names_as_text
from lwdash.charts.palette import BLUE, GREY
from lwdash.metrics.run_metrics import INTERVALS, Measure
from lwdash.metrics.technique_families import short_recipe

PLOTS_A_ROW = 3
LETTER, PLOT = 6.8, 170
"""Width of a letter of a name, and least width of one plot, in pixels."""
FROM_ZERO = ("kB", "µs")
"""Units whose values are bars from zero; others are points on a cropped axis."""


@names_as_text
def plot_metric_bars(runs: pd.DataFrame, measures: Sequence[Measure], reference: int) -> go.Figure:
    """One small plot per metric, one line per run in the order of `runs`; the reference is grey.

    runs: at least id, recipe, the metrics and, where there is one, the column of their interval (see `INTERVALS`).
    """
    columns = min(PLOTS_A_ROW, max(1, len(measures)))
    lines = -(-len(measures) // columns)
    figure = make_subplots(
        max(1, lines), columns, shared_yaxes=True, horizontal_spacing=0.05, vertical_spacing=0.34 / max(1, lines),
        subplot_titles=[measure.title for measure in measures],
    )  # fmt: skip
    labels = [f"{run.id} · {short_recipe(str(run.recipe))}" for run in runs.itertuples()]
    colours = [GREY if int(run) == reference else BLUE for run in runs["id"]]
    for i, measure in enumerate(measures):
        values = runs[measure.column].astype(float) * measure.factor
        spread = _interval(runs, measure, values)
        place = {"row": i // columns + 1, "col": i % columns + 1}
        hover = [
            f"{label}<br>{measure.label}: {measure.write(v)}"
            for label, v in zip(labels, runs[measure.column], strict=True)
        ]
        if measure.unit in FROM_ZERO:
            figure.add_bar(
                x=values, y=labels, orientation="h", marker={"color": colours}, error_x=spread, showlegend=False,
                hovertext=hover, hovertemplate="%{hovertext}<extra></extra>", **place,
            )  # fmt: skip
        else:
            figure.add_scatter(
                x=values, y=labels, mode="markers", marker={"color": colours, "size": 11}, error_x=spread, showlegend=False,
                hovertext=hover, hovertemplate="%{hovertext}<extra></extra>", **place,
            )  # fmt: skip
    figure.update_yaxes(autorange="reversed", automargin=True, type="category")
    figure.update_annotations(font_size=13)
    figure.update_layout(
        height=60 + max(1, lines) * (70 + 28 * len(runs)),
        margin={"t": 40, "b": 20, "r": 10},
        showlegend=False,
        # Narrower, long names would leave no room for the plots: the figure scrolls then.
        meta={"min_width": int(LETTER * max(map(len, labels), default=0)) + PLOT * columns},
    )
    return figure


def describe_metric_bars(runs: pd.DataFrame, measures: Sequence[Measure]) -> str:
    """Text alternative of the figure."""
    parts = [
        f"run {run['id']}: " + ", ".join(f"{m.label} {m.write(run[m.column])}" for m in measures)
        for run in runs.to_dict("records")
    ]
    return "; ".join(parts)


def _interval(runs: pd.DataFrame, measure: Measure, values: pd.Series) -> dict[str, object] | None:
    column = INTERVALS.get(measure.column)
    if column is None or column not in runs:
        return None
    pairs = [p if isinstance(p, (list, tuple)) else (None, None) for p in runs[column]]
    low = pd.Series([p[0] for p in pairs], index=runs.index, dtype=float) * measure.factor
    high = pd.Series([p[1] for p in pairs], index=runs.index, dtype=float) * measure.factor
    return {
        "type": "data", "symmetric": False, "array": (high - values).fillna(0), "arrayminus": (values - low).fillna(0),
        "color": GREY, "thickness": 1.5, "width": 4,
    }  # fmt: skip
