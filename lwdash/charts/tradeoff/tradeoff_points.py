"""Points of the trade-off chart: values, intervals, names, texts; thinned out where they are many."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from lwdash.charts.tradeoff.point_hover import hovers
from lwdash.charts.tradeoff.point_labels import Label, place
from lwdash.charts.tradeoff.tied_points import side_by_side
from lwdash.charts.tradeoff.tradeoff_axes import (
    PLOT,
    TradeoffAxes,
    pixels,
    span,
    within_sentence,
    write_value,
)
from lwdash.metrics.limits import best, meets_all_limits
from lwdash.metrics.pareto_front import pareto
from lwdash.metrics.run_metrics import INTERVALS, Measure
from lwdash.metrics.technique_families import family, short_recipe

MAX_FREE_MARKERS = 60
"""Up to this many points, no name covers a point. With more points, only named points are kept free."""
MAX_DRAWN_POINTS = 500
"""More points are thinned out evenly, over a density map of all points."""
COLUMNS = [
    "id", "recipe", "x", "y", "x_drawn", "x_low", "x_high", "y_low", "y_high", "colour", "group", "family", "on_front",
    "is_able", "is_best", "name", "place", "hover",
]  # fmt: skip
FLAGS = dict.fromkeys(("on_front", "is_able", "is_best"), bool)


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
            "group": axes.groups.places_of(done) if axes.groups else -1,
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
        hovers(done.loc[drawn.index], drawn, axes, is_limited=bool(limits)), index=drawn.index, dtype=object
    )
    return points[COLUMNS]


def thinned(points: pd.DataFrame) -> pd.DataFrame:
    """At most MAX_DRAWN_POINTS points: the front, the baseline, the best, and some of the others."""
    if len(points) <= MAX_DRAWN_POINTS:
        return points
    must = points["on_front"] | (points["family"] == "baseline") | points["is_best"]
    others = np.flatnonzero(~must.to_numpy())
    room = max(0, MAX_DRAWN_POINTS - int(must.sum()))
    sample = others[np.linspace(0, len(others) - 1, room).astype(int)] if room else others[:0]
    return points.iloc[np.union1d(np.flatnonzero(must.to_numpy()), sample)]


def describe_tradeoff(points: pd.DataFrame, axes: TradeoffAxes) -> str:
    """Text alternative of the figure, for screen readers."""
    front = points[points["on_front"]].sort_values("x").head(12)
    named = "; ".join(
        f"{r.recipe}: {write_value(r.x, axes.x)}, {write_value(r.y, axes.y)}" for r in front.itertuples()
    )
    chosen = points[points["is_best"]]
    of_limits = f" Best under the limits: {chosen['recipe'].iloc[0]}." if len(chosen) else ""
    runs = f"{len(points):,} run{'s' * (len(points) != 1)}"
    return f"{axes.y.label} against {within_sentence(axes.x.label)} for {runs}. On the Pareto front: {named}.{of_limits}"


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
    spans = {axis: span(points, axes, axis, None) for axis in ("x", "y")}

    def at(some: pd.DataFrame) -> list[tuple[float, float]]:
        return pixels(some, axes, spans)

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


def _drawn_across(points: pd.DataFrame, axes: TradeoffAxes) -> list[float]:
    """x of each marker: of points that lie on each other, side by side; with many points they stay where they are."""
    if len(points) > MAX_FREE_MARKERS:
        return list(points["x"])
    spans = {axis: span(points, axes, axis, None) for axis in ("x", "y")}
    ends = [
        0 if not name else -1 if "left" in where else 1
        for name, where in zip(points["name"], points["place"], strict=True)
    ]
    shifts = side_by_side(pixels(points, axes, spans), ends)
    pixel = (spans["x"][1] - spans["x"][0]) / PLOT[0]
    if axes.is_x_log:
        return [x * 10 ** (shift * pixel) for x, shift in zip(points["x"], shifts, strict=True)]
    return [x + shift * pixel for x, shift in zip(points["x"], shifts, strict=True)]
