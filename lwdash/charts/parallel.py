"""Runs as lines through one axis a quantity: dragging along an axis picks the runs that pass there."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from lwdash.charts.families import FAMILIES
from lwdash.charts.literal import names_as_text
from lwdash.charts.measures import Measure
from lwdash.charts.tradeoff import GREY

BETTER_TO_WORSE = ("#3f8fd0", "#9b8f9b", "#e07b1a")
"""Blue to orange by way of grey: lines of one pixel that read on light and dark pages alike."""
LETTER = 6.5
"""Width of a letter on an axis, in pixels, on average."""
STEPS = [1, 1.5, 2, 3, 5, 7]


def complete_runs(runs: pd.DataFrame, measures: Sequence[Measure]) -> pd.DataFrame:
    """The runs that have all of these quantities: a line cannot leave out an axis."""
    columns = [measure.column for measure in measures]
    if not set(columns) <= set(runs):
        return runs.iloc[:0]
    return runs[runs[columns].notna().all(axis=1)]


@names_as_text
def plot_parallel(
    runs: pd.DataFrame, measures: Sequence[Measure], colour: Measure | None, log: frozenset[str] = frozenset()
) -> go.Figure:
    """One line a run of `complete_runs`, best at the top of every axis; colour: None colours by technique.

    log: columns whose axes are logarithmic; a column with values at or below zero stays linear. The lines' customdata
    are the runs' ids, for who listens to the brushes.
    """
    names = [name for name in FAMILIES if (runs["family"] == name).any()]
    place = {name: i for i, name in enumerate(names)}
    dimensions = [
        {
            "label": "Technique", "values": runs["family"].map(place).astype(float),
            "range": [-0.3, max(len(names) - 0.7, 0.3)],
            "tickvals": list(range(len(names))), "ticktext": [FAMILIES[name][0] for name in names],
        },
        *(_dimension(runs[m.column].astype(float) * m.factor, m, m.column in log) for m in measures),
    ]  # fmt: skip
    figure = go.Figure()
    line: dict[str, object]
    if colour is not None and colour.column in runs and runs[colour.column].notna().all():
        line = {
            "color": runs[colour.column].astype(float) * colour.factor,
            "colorscale": BETTER_TO_WORSE if not colour.is_higher_better else BETTER_TO_WORSE[::-1],
            "showscale": True, "colorbar": {"title": {"text": colour.title.replace(" (", "<br>(", 1)}, "thickness": 14},
        }  # fmt: skip
    else:
        shades = [FAMILIES[name][2] for name in names]
        edges = [(i / len(names), (i + 1) / len(names)) for i in range(len(names))]
        line = {
            "color": runs["family"].map(place).astype(float), "cmin": -0.5, "cmax": len(names) - 0.5, "showscale": False,
            "colorscale": [(end, shade) for ends, shade in zip(edges, shades, strict=True) for end in ends] or None,
        }  # fmt: skip
    figure.add_parcoords(
        dimensions=dimensions,
        line=line,
        customdata=runs["id"],
        unselected={"line": {"color": GREY, "opacity": 0.08}},
        labelside="top",
        labelfont={"size": 12},
        tickfont={"size": 11},
        # The ends of an axis would be written over its name, with more digits than were measured.
        rangefont={"size": 1, "color": "rgba(0,0,0,0)"},
    )
    longest = max((len(FAMILIES[name][0]) for name in names), default=0)
    figure.update_layout(
        title=f"{len(runs):,} {'run' if len(runs) == 1 else 'runs'}, an axis for each quantity",
        height=480,
        margin={"t": 110, "b": 30, "l": max(60, int(LETTER * longest) + 16), "r": 60},
    )
    return figure


def describe_parallel(runs: pd.DataFrame, measures: Sequence[Measure]) -> str:
    """The figure in words, for screen readers."""
    return f"Parallel coordinates of {len(runs):,} runs: technique, {', '.join(m.label for m in measures)}."


def _dimension(values: pd.Series, measure: Measure, is_log: bool) -> dict[str, object]:
    title = measure.title.replace(" of the .tflite", "").replace(" against the original", "")
    title = title.replace(" with the original", "")
    is_log = is_log and bool((values > 0).all())
    shown = np.log10(values) if is_log else values
    low, high = float(shown.min()), float(shown.max())
    if high - low < 1e-9:
        low, high = low - (abs(low) * 0.05 or 0.5), high + (abs(high) * 0.05 or 0.5)
    ends = [low, high] if measure.is_higher_better else [high, low]
    found: dict[str, object] = {"label": title, "values": shown, "range": ends}
    if is_log:
        ticks = [
            10.0**power * step for power in range(math.floor(low), math.ceil(high) + 1) for step in STEPS
        ]
        inside = [tick for tick in ticks if low <= math.log10(tick) <= high]
        found |= {
            "tickvals": [math.log10(t) for t in inside],
            "ticktext": [f"{t:,.4g}" for t in inside],
        }
    return found
