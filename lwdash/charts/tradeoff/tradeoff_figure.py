"""The trade-off chart: one metric against another, coloured by a third."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from lwdash.charts.group_colours import colours_of
from lwdash.charts.literal_text import literal, names_as_text
from lwdash.charts.palette import GREY, VERMILION
from lwdash.charts.tradeoff.tradeoff_axes import TradeoffAxes, span, within_sentence, write_value
from lwdash.charts.tradeoff.tradeoff_points import MAX_DRAWN_POINTS, MAX_FREE_MARKERS
from lwdash.metrics.limits import limit_on
from lwdash.metrics.run_groups import RunGroups
from lwdash.metrics.run_metrics import Measure
from lwdash.metrics.technique_families import FAMILIES

COLOURS = ("#fde725", "#7ad151", "#22a884", "#2a788e", "#4f3f91")
"""Viridis without its darkest end, which is invisible on a dark page."""
LINE = VERMILION
MAX_MEDIUM_MARKERS = 300
"""Up to this many points, markers have a medium size."""


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
    spans = {axis: span(points, axes, axis, lines.get(axis)) for axis in ("x", "y")}
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
    shades = colours_of(axes.groups) if axes.groups else []
    for name, (label, symbol, colour) in FAMILIES.items():
        group = drawn[drawn["family"] == name]
        if group.empty:
            continue
        shade = None if axes.colour or axes.groups else colour
        for part, is_hollow in (
            (group[group["is_able"] | (not is_limited)], False),
            (group[~group["is_able"] & is_limited], True),
        ):
            if len(part):
                own = shade or [shades[i] for i in part["group"] if shades] or None
                _markers(figure, part, label, symbol, own, is_hollow, len(drawn))
        _legend_entry(figure, label, symbol, shade or GREY)
    _mark_best(figure, points)
    _draw_limits(figure, axes, lines, spans)
    figure.update_layout(
        title={
            "text": f"{axes.y.label} against {within_sentence(axes.x.label)}",
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
    elif axes.groups is not None:
        _legend_of_groups(figure, axes.groups, set(points["group"]))
    return figure


def _rows_text(rows: int | None, runs: pd.DataFrame | None) -> str:
    if rows:
        return f"on {rows:,} evaluation rows"
    generated = runs["generated_rows"].max() if runs is not None and "generated_rows" in runs else None
    return (
        f"on {generated:,.0f} rows generated from the model" if generated and generated == generated else ""
    )


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
    colour: str | list[str] | None,
    is_hollow: bool,
    drawn: int,
) -> None:
    """Add the markers of one technique family. colour: None takes each point's from the colour axis.

    is_hollow: grey outlines, for runs that do not meet all limits; a paler colour would vanish on one of the pages.
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


def _legend_of_groups(figure: go.Figure, groups: RunGroups, drawn: Collection[int]) -> None:
    """A second legend beside the chart, in the place of a colour bar, with the groups that are `drawn`."""
    for i, (name, colour) in enumerate(zip(groups.names, colours_of(groups), strict=True)):
        if i in drawn:
            figure.add_scatter(
                x=[None], y=[None], name=name, mode="markers", hoverinfo="skip", legend="legend2",
                marker={"symbol": "circle", "size": 12, "color": colour},
            )  # fmt: skip
    figure.update_layout(
        legend2={"title": {"text": literal(groups.label).replace(": ", ":<br>", 1)}, "x": 1.02, "y": 1.0, "itemclick": False,
                 "itemdoubleclick": False},
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
        text = f"limit {write_value(value, measure)}"
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
