"""Runs as lines across one axis per metric or group. Dragging along an axis selects the runs that pass there."""

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from lwdash.charts.group_colours import colours_of
from lwdash.charts.literal_text import literal, names_as_text
from lwdash.charts.palette import GREY
from lwdash.metrics.pareto_front import pareto
from lwdash.metrics.run_groups import RunGroups
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

Axis = Measure | RunGroups


def complete_runs(runs: pd.DataFrame, axes: Sequence[Axis]) -> pd.DataFrame:
    """The runs that have all of these metrics: a line cannot skip an axis."""
    columns = [axis.column for axis in axes if isinstance(axis, Measure)]
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
    axes: Sequence[Axis],
    brushes: Mapping[str, Sequence[Sequence[float]]],
    log: frozenset[str] = frozenset(),
) -> list[int]:
    """The ids of `runs` that pass all brushes, drawn or not; none without a brush.

    brushes: the name of an axis → [low, high] of each brush on it, in the axis' unit (its power of ten if it is
    logarithmic). axes, log: as for `plot_parallel`; runs: all runs that the drawn lines were chosen from.
    """
    values = {TECHNIQUE: _techniques(runs).places_of(runs)}
    for axis in axes:
        if isinstance(axis, RunGroups):
            values[axis.key] = axis.places_of(runs)
        else:
            values[axis.column] = _on_axis(runs, axis, log)
    passes = pd.Series(True, index=runs.index)
    known = {name: spans for name, spans in brushes.items() if name in values and spans}
    for name, spans in known.items():
        passes &= np.logical_or.reduce([values[name].between(low, high) for low, high in spans])
    return [int(run) for run in runs.loc[passes, "id"]] if known else []


def _techniques(runs: pd.DataFrame) -> RunGroups:
    """The technique families of these runs as groups, in the order of FAMILIES."""
    used = [name for name in FAMILIES if (runs["family"] == name).any()]
    places = runs.set_index("id")["family"].map({name: i for i, name in enumerate(used)})
    return RunGroups(TECHNIQUE, "Technique", tuple(used), places)


def _is_log(values: pd.Series, measure: Measure, log: frozenset[str]) -> bool:
    return measure.column in log and bool((values > 0).all())


def _on_axis(runs: pd.DataFrame, measure: Measure, log: frozenset[str]) -> pd.Series:
    values = runs[measure.column].astype(float) * measure.factor
    return np.log10(values) if _is_log(values, measure, log) else values


@names_as_text
def plot_parallel(
    runs: pd.DataFrame,
    axes: Sequence[Axis],
    colour: Axis | None,
    log: frozenset[str] = frozenset(),
    *,
    of: pd.DataFrame | None = None,
) -> go.Figure:
    """One line per run of `complete_runs`, best at the top of every axis; colour: None colours by technique.

    log: columns with logarithmic axes; a column with values at or below zero stays linear. of: all runs,
    where `runs` are `thinned_lines` of them: the axes are theirs. Each axis has its column or key as name, for
    callers that handle the brushes. `layout.meta` has the `min_width` in pixels: below it the axes' names
    would overlap, and the figure scrolls.
    """
    every = runs if of is None else of
    techniques = _techniques(every)
    dimensions = [
        _group_axis(runs, techniques, [FAMILIES[name][0] for name in techniques.names]),
        *(
            _group_axis(runs, axis, axis.names)
            if isinstance(axis, RunGroups)
            else _dimension(runs, every, axis, log)
            for axis in axes
        ),
    ]
    figure = go.Figure()
    line: dict[str, object]
    if isinstance(colour, Measure) and colour.column in runs and runs[colour.column].notna().all():
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
    elif isinstance(colour, RunGroups):
        line = _stepped(colour.places_of(runs), colours_of(colour))
    else:
        line = _stepped(techniques.places_of(runs), [FAMILIES[name][2] for name in techniques.names])
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
    if isinstance(colour, RunGroups):
        _legend(figure, colour, set(colour.places_of(runs)))
    labels = [_width(str(dimension["label"])) for dimension in dimensions]
    ticks = [_ticks_width(dimension) for dimension in dimensions]
    margin = {
        "t": 110, "b": 100 if line["showscale"] or isinstance(colour, RunGroups) else 30,
        "l": max(60, int(ticks[0]) + 16), "r": max(60, int(labels[-1] / 2) + 8),
    }  # fmt: skip
    steps = [(a + b) / 2 + LABEL_GAP for a, b in pairwise(labels)]
    step = max([*steps, *(width + LABEL_GAP for width in ticks[1:])], default=0.0)
    figure.update_layout(
        title=f"{_count(runs, every)}, one axis per metric",
        height=HEIGHT + margin["t"] + margin["b"],
        margin=margin,
        meta={"min_width": int(margin["l"] + step * (len(dimensions) - 1) + margin["r"])},
    )
    return figure


def describe_parallel(runs: pd.DataFrame, axes: Sequence[Axis], of: pd.DataFrame | None = None) -> str:
    """Text alternative of the figure, for screen readers."""
    count = _count(runs, runs if of is None else of)
    return f"Parallel coordinates of {count}: technique, {', '.join(axis.label for axis in axes)}."


def _count(runs: pd.DataFrame, every: pd.DataFrame) -> str:
    """`9 runs`, `300 of 10,000 runs`."""
    part = f"{len(runs):,} of " if len(runs) < len(every) else ""
    return f"{part}{len(every):,} {'run' if len(every) == 1 else 'runs'}"


def _width(label: str) -> float:
    """Width of an axis' name in pixels, and its lines."""
    return LABEL_LETTER * max(len(line) for line in label.split("<br>"))


def _ticks_width(dimension: Mapping[str, object]) -> float:
    """Width of the longest name on an axis of groups in pixels, which stands to the left of it; 0 on other axes."""
    names = dimension["ticktext"] if "tickvals" in dimension else ()
    return LETTER * max((len(name) for name in names), default=0) if isinstance(names, list) else 0.0


def _stepped(places: pd.Series, colours: Sequence[str]) -> dict[str, object]:
    """Lines with one colour for each place."""
    edges = [(i / len(colours), (i + 1) / len(colours)) for i in range(len(colours))]
    return {
        "color": places.astype(float), "cmin": -0.5, "cmax": len(colours) - 0.5, "showscale": False,
        "colorscale": [(end, colour) for ends, colour in zip(edges, colours, strict=True) for end in ends] or None,
    }  # fmt: skip


def _legend(figure: go.Figure, groups: RunGroups, drawn: Collection[int]) -> None:
    """Lines have no legend of their own: entries of empty traces, below the axes."""
    for place, (name, colour) in enumerate(zip(groups.names, colours_of(groups), strict=True)):
        if place in drawn:
            figure.add_scatter(
                x=[None],
                y=[None],
                name=name,
                mode="lines",
                line={"color": colour, "width": 3},
                showlegend=True,
            )
    hidden = {"visible": False, "fixedrange": True}
    figure.update_layout(
        xaxis=hidden, yaxis=hidden,
        legend={
            "title": {"text": literal(groups.label)}, "orientation": "h", "x": 0.0, "y": -0.07, "yanchor": "top",
            "itemclick": False, "itemdoubleclick": False,
        },
    )  # fmt: skip


def _group_axis(runs: pd.DataFrame, groups: RunGroups, names: Sequence[str]) -> dict[str, object]:
    return {
        "label": literal(groups.label).replace(": ", ":<br>", 1),
        "name": groups.key,
        "values": groups.places_of(runs).astype(float),
        "range": [-0.3, max(len(names) - 0.7, 0.3)],
        "tickvals": list(range(len(names))),
        "ticktext": list(names),
    }


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
