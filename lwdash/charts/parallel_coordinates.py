"""Runs as lines across one axis per metric. Dragging along an axis selects the runs that pass there."""

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from lwdash.charts.literal_text import names_as_text
from lwdash.charts.palette import GREY
from lwdash.metrics.pareto_front import pareto
from lwdash.metrics.run_metrics import Measure
from lwdash.metrics.technique_families import FAMILIES

BETTER_TO_WORSE = ("#3f8fd0", "#9b8f9b", "#d8720f")
"""Blue to orange through grey: one-pixel lines that are readable on light and dark pages."""
LETTER = 6.5
"""Average width of a letter on an axis, in pixels."""
LABEL_LETTER = 7.0
"""Width of a letter of an axis' name, in pixels, in the wider of the usual fonts."""
LABEL_GAP = 12
"""Minimum distance between the names of two axes, in pixels."""
HEIGHT = 340
"""Height of an axis in pixels."""
STEPS = [1, 1.5, 2, 3, 5, 7]
MAX_LINES = 300
"""More lines than this cover each other."""
TECHNIQUE = "technique"
"""Name of the first axis, like a metric's column for its axis."""


def complete_runs(runs: pd.DataFrame, measures: Sequence[Measure]) -> pd.DataFrame:
    """The runs that have all of these metrics: a line cannot skip an axis."""
    columns = [measure.column for measure in measures]
    if not set(columns) <= set(runs):
        return runs.iloc[:0]
    return runs[runs[columns].notna().all(axis=1)]


def thinned_lines(runs: pd.DataFrame, x: Measure, y: Measure, wanted: Collection[int] = ()) -> pd.DataFrame:
    """At most MAX_LINES of these runs, in their order: the baseline and the Pareto front of x and y, then the
    `wanted` ids, then an even sample of the others.
    """
    if len(runs) <= MAX_LINES:
        return runs
    front = pareto(
        runs[x.column].astype(float), runs[y.column].astype(float),
        is_more_x_better=x.is_higher_better, is_more_y_better=y.is_higher_better,
    )  # fmt: skip
    kept = np.zeros(len(runs), dtype=bool)
    for first in (
        np.array(front) | (runs["family"] == "baseline"),
        runs["id"].isin(list(wanted)),
        ~kept,
    ):
        candidates = np.flatnonzero(np.asarray(first) & ~kept)
        room = min(MAX_LINES - int(kept.sum()), len(candidates))
        if room > 0:
            kept[candidates[np.linspace(0, len(candidates) - 1, room).astype(int)]] = True
    return runs[kept]


def brushed_runs(
    runs: pd.DataFrame,
    measures: Sequence[Measure],
    brushes: Mapping[str, Sequence[Sequence[float]]],
    log: frozenset[str] = frozenset(),
) -> list[int]:
    """The ids of `runs` that pass all brushes, drawn or not; none without a brush.

    brushes: a column or TECHNIQUE → [low, high] of each brush on its axis, in the axis' unit (its power of
    ten if it is logarithmic). measures, log: as for `plot_parallel`; runs: all runs that the drawn lines were
    chosen from.
    """
    values = {TECHNIQUE: runs["family"].map(_places(runs)).astype(float)}
    values |= {measure.column: _on_axis(runs, measure, log) for measure in measures}
    passes = pd.Series(True, index=runs.index)
    known = {name: spans for name, spans in brushes.items() if name in values and spans}
    for name, spans in known.items():
        passes &= np.logical_or.reduce([values[name].between(low, high) for low, high in spans])
    return [int(run) for run in runs.loc[passes, "id"]] if known else []


def _places(runs: pd.DataFrame) -> dict[str, int]:
    """The place of each technique family on its axis, for the families of these runs."""
    return {name: i for i, name in enumerate(name for name in FAMILIES if (runs["family"] == name).any())}


def _is_log(values: pd.Series, measure: Measure, log: frozenset[str]) -> bool:
    return measure.column in log and bool((values > 0).all())


def _on_axis(runs: pd.DataFrame, measure: Measure, log: frozenset[str]) -> pd.Series:
    values = runs[measure.column].astype(float) * measure.factor
    return np.log10(values) if _is_log(values, measure, log) else values


@names_as_text
def plot_parallel(
    runs: pd.DataFrame,
    measures: Sequence[Measure],
    colour: Measure | None,
    log: frozenset[str] = frozenset(),
    *,
    of: pd.DataFrame | None = None,
) -> go.Figure:
    """One line per run of `complete_runs`, best at the top of every axis; colour: None colours by technique.

    log: columns with logarithmic axes; a column with values at or below zero stays linear. of: all runs,
    where `runs` are `thinned_lines` of them: the axes are theirs. Each axis has its column as name, for
    callers that handle the brushes. `layout.meta` has the `min_width` in pixels: below it the axes' names
    would overlap, and the figure scrolls.
    """
    every = runs if of is None else of
    place = _places(every)
    names = list(place)
    dimensions = [
        {
            "label": "Technique", "name": TECHNIQUE, "values": runs["family"].map(place).astype(float),
            "range": [-0.3, max(len(names) - 0.7, 0.3)],
            "tickvals": list(range(len(names))), "ticktext": [FAMILIES[name][0] for name in names],
        },
        *(_dimension(runs, every, m, log) for m in measures),
    ]  # fmt: skip
    figure = go.Figure()
    line: dict[str, object]
    if colour is not None and colour.column in runs and runs[colour.column].notna().all():
        line = {
            "color": runs[colour.column].astype(float) * colour.factor,
            "colorscale": BETTER_TO_WORSE if not colour.is_higher_better else BETTER_TO_WORSE[::-1],
            "showscale": True,
            # Place the legend below: there it takes no room from the axes and is visible before a narrow
            # screen scrolls.
            "colorbar": {
                "title": {"text": colour.title, "side": "top", "font": {"size": 12}}, "orientation": "h", "thickness": 12,
                "x": 0.0, "xanchor": "left", "len": 190, "lenmode": "pixels", "y": -0.07, "yanchor": "top",
            },
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
        unselected={"line": {"color": GREY, "opacity": 0.08}},
        labelside="top",
        labelfont={"size": 12},
        tickfont={"size": 11},
        # The ends of an axis would overlap its name, and show more digits than were measured.
        rangefont={"size": 1, "color": "rgba(0,0,0,0)"},
    )
    longest = max((len(FAMILIES[name][0]) for name in names), default=0)
    labels = [_width(str(dimension["label"])) for dimension in dimensions]
    margin = {
        "t": 110, "b": 100 if line["showscale"] else 30,
        "l": max(60, int(LETTER * longest) + 16), "r": max(60, int(labels[-1] / 2) + 8),
    }  # fmt: skip
    step = max(((a + b) / 2 + LABEL_GAP for a, b in pairwise(labels)), default=0.0)
    figure.update_layout(
        title=f"{_count(runs, every)}, one axis per metric",
        height=HEIGHT + margin["t"] + margin["b"],
        margin=margin,
        meta={"min_width": int(margin["l"] + step * (len(dimensions) - 1) + margin["r"])},
    )
    return figure


def describe_parallel(runs: pd.DataFrame, measures: Sequence[Measure], of: pd.DataFrame | None = None) -> str:
    """Text alternative of the figure, for screen readers."""
    count = _count(runs, runs if of is None else of)
    return f"Parallel coordinates of {count}: technique, {', '.join(m.label for m in measures)}."


def _count(runs: pd.DataFrame, every: pd.DataFrame) -> str:
    """`9 runs`, `300 of 10,000 runs`."""
    part = f"{len(runs):,} of " if len(runs) < len(every) else ""
    return f"{part}{len(every):,} {'run' if len(every) == 1 else 'runs'}"


def _width(label: str) -> float:
    """Width of an axis' name in pixels, and its lines."""
    return LABEL_LETTER * max(len(line) for line in label.split("<br>"))


def _dimension(
    runs: pd.DataFrame, every: pd.DataFrame, measure: Measure, log: frozenset[str]
) -> dict[str, object]:
    title = measure.title.replace(" of the .tflite", "").replace(" against the original", "")
    title = title.replace(" with the original", "").replace(" (", "<br>(")
    is_log = _is_log(every[measure.column].astype(float), measure, log)
    shown = _on_axis(every, measure, log)
    low, high = float(shown.min()), float(shown.max())
    if high - low < 1e-9:
        low, high = low - (abs(low) * 0.05 or 0.5), high + (abs(high) * 0.05 or 0.5)
    ends = [low, high] if measure.is_higher_better else [high, low]
    found: dict[str, object] = {
        "label": title, "name": measure.column, "values": shown.loc[runs.index], "range": ends,
    }  # fmt: skip
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
