"""The trade-off chart: one metric against another, coloured by a third."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from lwdash.charts.literal_text import literal, names_as_text
from lwdash.charts.palette import GREY, VERMILION
from lwdash.charts.point_labels import Label, place
from lwdash.charts.tied_points import side_by_side
from lwdash.metrics.limits import best, limit_on, meets_all_limits
from lwdash.metrics.pareto_front import pareto
from lwdash.metrics.run_metrics import INTERVALS, Measure
from lwdash.metrics.technique_families import FAMILIES, family, short_recipe
from lwdash.metrics.verdict_labels import verdict_label

COLOURS = ("#fde725", "#7ad151", "#22a884", "#2a788e", "#4f3f91")
"""Viridis without its darkest end, which is invisible on a dark page."""
LINE = VERMILION
PLOT = (1000, 400)
"""Approximate width and height of the plot area, in pixels: names do not overlap at this size."""
MAX_FREE_MARKERS = 60
"""Up to this many points, no name covers a point. With more points, only named points are kept free."""
MAX_MEDIUM_MARKERS = 300
"""Up to this many points, markers have a medium size."""
MAX_DRAWN_POINTS = 500
"""More points are thinned out evenly, over a density map of all points."""
MIN_SHARE_FROM_ZERO = 0.5
"""An axis begins at 0 if the smallest value is below this share of the largest."""
MIN_SPREAD = 0.02
"""It also does if the values differ by less than this share of the largest: otherwise it would magnify nothing."""
COLUMNS = [
    "id", "recipe", "x", "y", "x_drawn", "x_low", "x_high", "y_low", "y_high", "colour", "family", "on_front", "is_able",
    "is_best", "name", "place", "hover",
]  # fmt: skip
FLAGS = dict.fromkeys(("on_front", "is_able", "is_best"), bool)


@dataclass(frozen=True)
class TradeoffAxes:
    """The metrics of both axes and of the colour; colour: None colours by technique."""

    x: Measure
    y: Measure
    colour: Measure | None = None
    is_x_log: bool = False
    is_y_log: bool = False

    def on(self, axis: str) -> tuple[Measure, bool]:
        """The metric on axis "x" or "y", and True if the axis is logarithmic."""
        return (self.x, self.is_x_log) if axis == "x" else (self.y, self.is_y_log)


def tradeoff_points(
    runs: pd.DataFrame, axes: TradeoffAxes, limits: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """One row per run that has both metrics: `COLUMNS`, in the units of the axes; intervals are NaN if there
    are none.

    x_drawn: where the marker is: points that lie on each other are drawn side by side.
    is_able: meets all limits; name: text at the point, "" if it is not on the front or there is no room;
    `place` is its position (plotly's textposition); hover: missing for points that are not drawn (see
    `thinned`).
    runs: as from `lwdash.ui.results.run_frame`, or any frame with the axes' columns, id, recipe and
    is_baseline.
    """
    limits = limits or {}
    if runs.empty or axes.x.column not in runs or axes.y.column not in runs:
        return pd.DataFrame(columns=COLUMNS).astype(FLAGS)
    done = runs[runs[axes.x.column].notna() & runs[axes.y.column].notna()]
    if axes.is_x_log:
        done = done[done[axes.x.column] > 0]
    if axes.is_y_log:
        done = done[done[axes.y.column] > 0]
    points = pd.DataFrame(
        {
            "id": done["id"],
            "recipe": done["recipe"],
            "x": done[axes.x.column].astype(float) * axes.x.factor,
            "y": done[axes.y.column].astype(float) * axes.y.factor,
            "colour": _scaled(done, axes.colour),
            "family": [family(r, b) for r, b in zip(done["recipe"], done["is_baseline"], strict=True)],
        }
    )
    for axis, measure in (("x", axes.x), ("y", axes.y)):
        points[f"{axis}_low"], points[f"{axis}_high"] = _interval(done, measure)
    points["on_front"] = pareto(
        points["x"], points["y"],
        is_more_x_better=axes.x.is_higher_better, is_more_y_better=axes.y.is_higher_better,
    )  # fmt: skip
    points["is_able"] = meets_all_limits(done, limits) if limits else False
    points["is_best"] = points["id"] == best(done, limits)
    points = points.astype(FLAGS)
    points["name"], points["place"] = _named(points, axes)
    points["x_drawn"] = _drawn_across(points, axes)
    drawn = thinned(points)
    points["hover"] = pd.Series(
        _hovers(done.loc[drawn.index], drawn, axes, is_limited=bool(limits)), index=drawn.index, dtype=object
    )
    return points[COLUMNS]


def thinned(points: pd.DataFrame) -> pd.DataFrame:
    """At most MAX_DRAWN points: the front, the baseline and the best, whose names are written, and some of the others."""
    if len(points) <= MAX_DRAWN_POINTS:
        return points
    must = points["on_front"] | (points["family"] == "baseline") | points["is_best"]
    others = np.flatnonzero(~must.to_numpy())
    room = max(0, MAX_DRAWN_POINTS - int(must.sum()))
    sample = others[np.linspace(0, len(others) - 1, room).astype(int)] if room else others[:0]
    return points.iloc[np.union1d(np.flatnonzero(must.to_numpy()), sample)]


@names_as_text
def plot_tradeoff(
    points: pd.DataFrame,
    axes: TradeoffAxes,
    *,
    runs: pd.DataFrame | None = None,
    limits: Mapping[str, float] | None = None,
    rows: int | None = None,
) -> go.Figure:
    """The figure of `tradeoff_points`; runs: for the position of the limits; rows: number of evaluation rows.

    Intervals are drawn only at named points: many points share a size, and their bars would cover each other.
    Every point's interval is in its hover text. Each point's customdata is its run's id.
    """
    figure = go.Figure()
    lines = _limit_lines(runs if runs is not None else points, axes, limits or {})
    spans = {axis: _span(points, axes, axis, lines.get(axis)) for axis in ("x", "y")}
    if len(points) > MAX_DRAWN_POINTS:
        _density(figure, points, axes, spans)
    drawn = points[points["hover"].notna()]
    front = points[points["on_front"]].sort_values(["x", "y"])
    figure.add_scatter(
        x=front["x"], y=front["y"], mode="lines", name="Pareto front", hoverinfo="skip",
        line={"dash": "dot", "width": 2, "color": GREY, "shape": _corner(axes)},
    )  # fmt: skip
    _join_ties(figure, drawn)
    is_limited = bool(lines) and bool(points["is_able"].any())
    for name, (label, symbol, colour) in FAMILIES.items():
        group = drawn[drawn["family"] == name]
        if group.empty:
            continue
        shade = None if axes.colour else colour
        for part, is_hollow in (
            (group[group["is_able"] | (not is_limited)], False),
            (group[~group["is_able"] & is_limited], True),
        ):
            if len(part):
                _markers(figure, part, label, symbol, shade, is_hollow, len(drawn))
        _legend_entry(figure, label, symbol, shade or GREY)
    _mark_best(figure, points)
    _draw_limits(figure, axes, lines, spans)
    figure.update_layout(
        title={
            "text": f"{axes.y.label} against {_lower(axes.x.label)}",
            "subtitle": {"text": _rows_text(rows, runs)},
        },
        xaxis={"title": axes.x.title, "type": "log" if axes.is_x_log else "linear", "range": spans["x"]},
        yaxis={"title": axes.y.title, "type": "log" if axes.is_y_log else "linear", "range": spans["y"]},
        legend={"orientation": "h", "y": -0.17, "yanchor": "top"},
        hoverlabel={"align": "left"},
        hovermode="closest",
        height=540,
        margin={"t": 70, "b": 20, "l": 60, "r": 20},
        uirevision=f"{axes.x.column} {axes.y.column} {axes.is_x_log} {axes.is_y_log}",
    )
    if axes.colour is not None:
        figure.update_layout(coloraxis=_colour_axis(points["colour"], axes.colour))
    return figure


def _rows_text(rows: int | None, runs: pd.DataFrame | None) -> str:
    if rows:
        return f"on {rows:,} evaluation rows"
    generated = runs["generated_rows"].max() if runs is not None and "generated_rows" in runs else None
    return (
        f"on {generated:,.0f} rows generated from the model" if generated and generated == generated else ""
    )


def describe_tradeoff(points: pd.DataFrame, axes: TradeoffAxes) -> str:
    """Text alternative of the figure, for screen readers."""
    front = points[points["on_front"]].sort_values("x").head(12)
    named = "; ".join(f"{r.recipe}: {_write(r.x, axes.x)}, {_write(r.y, axes.y)}" for r in front.itertuples())
    chosen = points[points["is_best"]]
    of_limits = f" Best under the limits: {chosen['recipe'].iloc[0]}." if len(chosen) else ""
    runs = f"{len(points):,} run{'s' * (len(points) != 1)}"
    return (
        f"{axes.y.label} against {_lower(axes.x.label)} for {runs}. On the Pareto front: {named}.{of_limits}"
    )


def _scaled(runs: pd.DataFrame, measure: Measure | None) -> pd.Series:
    if measure is None or measure.column not in runs:
        return pd.Series(math.nan, index=runs.index)
    return pd.to_numeric(runs[measure.column], errors="coerce") * measure.factor


def _interval(runs: pd.DataFrame, measure: Measure) -> tuple[list[float], list[float]]:
    column = INTERVALS.get(measure.column, f"{measure.column}_ci")
    pairs = list(runs[column]) if column in runs else [None] * len(runs)
    known = [p if isinstance(p, (list, tuple)) and len(p) == 2 else (math.nan, math.nan) for p in pairs]
    return [p[0] * measure.factor for p in known], [p[1] * measure.factor for p in known]


def _named(points: pd.DataFrame, axes: TradeoffAxes) -> tuple[list[str], list[str]]:
    """Names for the best, the baseline and the points of the front, if there is room for them."""
    wanted = points[points["on_front"] | (points["family"] == "baseline") | points["is_best"]]
    spans = {axis: _span(points, axes, axis, None) for axis in ("x", "y")}

    def at(some: pd.DataFrame) -> list[tuple[float, float]]:
        return _pixels(some, axes, spans)

    labels = [
        Label(
            i,
            short_recipe(p["recipe"]),
            x,
            y,
            (not p["is_best"], p["family"] != "baseline", len(p["recipe"]), i),
        )
        for (i, p), (x, y) in zip(wanted.iterrows(), at(wanted), strict=True)
    ]
    placed = place(
        labels,
        PLOT,
        at(points) if len(points) <= MAX_FREE_MARKERS else at(wanted),
        [spot for spot, is_best in zip(at(wanted), wanted["is_best"], strict=True) if is_best],
    )
    names = [placed[i][0] if i in placed else "" for i in points.index]
    return names, [placed[i][1] if i in placed else "top right" for i in points.index]


def _pixels(
    points: pd.DataFrame, axes: TradeoffAxes, spans: Mapping[str, Sequence[float]]
) -> list[tuple[float, float]]:
    """Positions of the points from the top left of `PLOT`."""

    def shares(axis: str) -> list[float]:
        low, high = spans[axis]
        return [(_on_axis(value, axes.on(axis)[1]) - low) / (high - low) for value in points[axis]]

    return [(x * PLOT[0], (1 - y) * PLOT[1]) for x, y in zip(shares("x"), shares("y"), strict=True)]


def _drawn_across(points: pd.DataFrame, axes: TradeoffAxes) -> list[float]:
    """x of each marker: of points that lie on each other, side by side; with many points they stay where they are."""
    if len(points) > MAX_FREE_MARKERS:
        return list(points["x"])
    spans = {axis: _span(points, axes, axis, None) for axis in ("x", "y")}
    ends = [
        0 if not name else -1 if "left" in where else 1
        for name, where in zip(points["name"], points["place"], strict=True)
    ]
    shifts = side_by_side(_pixels(points, axes, spans), ends)
    pixel = (spans["x"][1] - spans["x"][0]) / PLOT[0]
    if axes.is_x_log:
        return [x * 10 ** (shift * pixel) for x, shift in zip(points["x"], shifts, strict=True)]
    return [x + shift * pixel for x, shift in zip(points["x"], shifts, strict=True)]


def _on_axis(value: float, is_log: bool) -> float:
    return math.log10(value) if is_log else value


def _span(points: pd.DataFrame, axes: TradeoffAxes, axis: str, limit: float | None) -> list[float]:
    """The ends of an axis, in powers of ten if it is logarithmic. A linear axis of sizes or times begins at 0, unless that
    would leave most of it empty.
    """
    measure, is_log = axes.on(axis)
    drawn = points[points["on_front"] | (points["family"] == "baseline")]
    values = [*points[axis], *drawn[f"{axis}_low"], *drawn[f"{axis}_high"]]
    values += [limit] if limit is not None else []
    known = [_on_axis(v, is_log) for v in values if not math.isnan(v) and (v > 0 or not is_log)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    room = max(high - low, 1e-9, MIN_SPREAD * abs(high))
    may_begin_at_zero = not is_log and axis == "x" and low >= 0 and measure.unit in ("kB", "µs")
    if may_begin_at_zero and (low < MIN_SHARE_FROM_ZERO * high or high - low < MIN_SPREAD * high):
        return [0.0, high + 0.07 * high]
    return [low - 0.07 * room, high + 0.09 * room]


def _corner(axes: TradeoffAxes) -> str:
    """Shape of the front's steps: they run along reached values only."""
    return "vh" if axes.x.is_higher_better else "hv"


def _density(
    figure: go.Figure, points: pd.DataFrame, axes: TradeoffAxes, spans: Mapping[str, Sequence[float]]
) -> None:
    """Density of all points, below the points that are drawn."""
    x = np.log10(points["x"]) if axes.is_x_log else points["x"]
    y = np.log10(points["y"]) if axes.is_y_log else points["y"]
    counts, across, along = np.histogram2d(x, y, bins=(60, 36), range=(spans["x"], spans["y"]))
    figure.add_heatmap(
        x=10**across if axes.is_x_log else across, y=10**along if axes.is_y_log else along,
        z=np.where(counts.T > 0, np.log1p(counts.T), np.nan), hoverinfo="skip", showscale=False,
        colorscale=[[0, "rgba(128,141,153,0.10)"], [1, "rgba(128,141,153,0.55)"]],
    )  # fmt: skip


def _markers(
    figure: go.Figure,
    group: pd.DataFrame,
    label: str,
    symbol: str,
    colour: str | None,
    is_hollow: bool,
    drawn: int,
) -> None:
    """is_hollow: grey outlines, for runs that do not meet all limits; a paler colour would vanish on one of the pages.
    drawn: number of points of all groups together; with many points, markers are smaller and overlap less.
    """
    is_named = group["name"] != ""
    is_base = symbol == "star"
    size = 12 if drawn <= MAX_FREE_MARKERS else 9 if drawn <= MAX_MEDIUM_MARKERS else 7

    def bars(axis: str) -> dict[str, Any]:
        return {
            "type": "data", "symmetric": False, "thickness": 1.2, "width": 4, "color": GREY,
            "array": (group[f"{axis}_high"] - group[axis]).where(is_named),
            "arrayminus": (group[axis] - group[f"{axis}_low"]).where(is_named),
        }  # fmt: skip

    figure.add_scatter(
        x=group["x_drawn"], y=group["y"], name=label, customdata=group["id"], mode="markers+text",
        legendgroup=label, showlegend=False,
        # a blank text is drawn too, and takes as long
        text=("\u2002" + group["name"] + "\u2002").where(is_named, ""),
        textfont={"size": 12}, textposition=list(group["place"]),
        hovertext=group["hover"], hovertemplate="%{hovertext}<extra></extra>",
        error_x=bars("x"), error_y=bars("y"),
        marker={
            "size": 17 if is_base else size,
            **(
                {"symbol": f"{symbol}-open", "color": GREY, "line": {"width": 1.6}} if is_hollow
                else {"symbol": symbol, "opacity": 0.92, "line": {"width": size / 10, "color": GREY},
                      **({"color": colour} if colour else {"color": list(group["colour"]), "coloraxis": "coloraxis"})}
            ),
        },
    )  # fmt: skip


def _join_ties(figure: go.Figure, drawn: pd.DataFrame) -> None:
    """A line through the markers that share a place."""
    moved = drawn[drawn["x_drawn"] != drawn["x"]]
    ends: dict[str, list[Any]] = {"x": [], "y": []}
    for point in moved.itertuples():
        ends["x"] += [point.x, point.x_drawn, None]
        ends["y"] += [point.y, point.y, None]
    if len(moved):
        figure.add_scatter(
            **ends, mode="lines", hoverinfo="skip", showlegend=False, line={"width": 1.5, "color": GREY}
        )


def _legend_entry(figure: go.Figure, label: str, symbol: str, colour: str) -> None:
    """An entry of its own: where the points' colours are a metric's, plotly would fill the symbol with black."""
    figure.add_scatter(
        x=[None], y=[None], name=label, legendgroup=label, mode="markers", hoverinfo="skip",
        marker={"symbol": symbol, "size": 12, "color": colour},
    )  # fmt: skip


def _mark_best(figure: go.Figure, points: pd.DataFrame) -> None:
    chosen = points[points["is_best"]]
    if len(chosen):
        figure.add_scatter(
            x=chosen["x_drawn"], y=chosen["y"], name="Best under the limits", mode="markers", hoverinfo="skip",
            marker={"symbol": "circle-open", "size": 26, "color": LINE, "line": {"width": 3}},
        )  # fmt: skip


def _limit_lines(runs: pd.DataFrame, axes: TradeoffAxes, limits: Mapping[str, float]) -> dict[str, float]:
    lines = {}
    for axis in ("x", "y"):
        measure, is_log = axes.on(axis)
        value = limit_on(measure, limits, runs)
        if value is not None and (value > 0 or not is_log):
            lines[axis] = value
    return lines


def _draw_limits(
    figure: go.Figure, axes: TradeoffAxes, lines: Mapping[str, float], spans: Mapping[str, Sequence[float]]
) -> None:
    """A line at each limit, and a shade over the side that exceeds it."""
    for axis, value in lines.items():
        measure, is_log = axes.on(axis)
        ends = [10**end if is_log else end for end in spans[axis]]
        far = ends[0] - abs(ends[0]) - abs(ends[1]) if measure.is_higher_better else ends[1] * 10
        if is_log and measure.is_higher_better:
            far = ends[0] / 1000
        sides = {f"{axis}0": value, f"{axis}1": far}
        other = "y" if axis == "x" else "x"
        figure.add_shape(
            type="rect", layer="below", line_width=0, fillcolor="rgba(213,94,0,0.09)", **sides,
            **{f"{other}0": 0, f"{other}1": 1, f"{other}ref": f"{other} domain"},
        )  # fmt: skip
        text = f"limit {_write(value, measure)}"
        if axis == "x":
            figure.add_vline(value, line={"color": LINE, "dash": "dash", "width": 1.5}, annotation_text=text,
                             annotation_position="top left" if not measure.is_higher_better else "top right",
                             annotation_font_color=LINE)  # fmt: skip
        else:
            figure.add_hline(value, line={"color": LINE, "dash": "dash", "width": 1.5}, annotation_text=text,
                             annotation_position="bottom left" if measure.is_higher_better else "top left",
                             annotation_font_color=LINE)  # fmt: skip


def _colour_axis(values: pd.Series, measure: Measure) -> dict[str, Any]:
    known = values.dropna()
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    colours = COLOURS if not measure.is_higher_better else COLOURS[::-1]
    return {
        "colorscale": colours, "cmin": low, "cmax": high if high > low else low + 1,
        "colorbar": {"title": {"text": measure.title.replace(" (", "<br>(", 1)}, "thickness": 14},
    }  # fmt: skip


def _hovers(runs: pd.DataFrame, points: pd.DataFrame, axes: TradeoffAxes, *, is_limited: bool) -> list[str]:
    """Hover text of each point: its run, the metrics of the axes with intervals, verdict, limits."""
    title = list(runs["title"]) if "title" in runs else [None] * len(runs)
    verdict = list(runs["verdict"]) if "verdict" in runs else [None] * len(runs)
    texts = []
    for p, name, verdict_text in zip(points.itertuples(), title, verdict, strict=True):
        lines = [f"<b>{literal(name)}</b>"] if isinstance(name, str) and name else []
        lines.append(f"<b>{p.recipe}</b>" if not lines else str(p.recipe))
        lines.append(f"run {p.id}")
        for value, low, high, measure in ((p.y, p.y_low, p.y_high, axes.y), (p.x, p.x_low, p.x_high, axes.x)):
            bounds = (
                ""
                if math.isnan(low)
                else f" (95 % interval {_number(low, measure)} to {_write(high, measure)})"
            )
            lines.append(f"{measure.label}: {_write(value, measure)}{bounds}")
        if axes.colour is not None and axes.colour not in (axes.x, axes.y) and not math.isnan(p.colour):
            lines.append(f"{axes.colour.label}: {_write(p.colour, axes.colour)}")
        if isinstance(verdict_text, str):
            lines.append(f"Verdict: {verdict_label(verdict_text)}")
        if is_limited:
            lines.append(
                "meets all limits" if p.is_able else "exceeds a limit, or a limit's value was not measured"
            )
        texts.append("<br>".join(lines))
    return texts


def _write(shown: float, measure: Measure) -> str:
    return measure.write(shown / measure.factor)


def _number(shown: float, measure: Measure) -> str:
    return f"{shown:,.{measure.digits}f}"


def _lower(label: str) -> str:
    return label if label[:2].isupper() else label[0].lower() + label[1:]
