"""Axes of the trade-off chart: their metrics, their ends, and the places of points in pixels."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from lwdash.metrics.run_groups import RunGroups
from lwdash.metrics.run_metrics import Measure

PLOT = (1000, 400)
"""Approximate width and height of the plot area, in pixels: names do not overlap at this size."""
MIN_SHARE_FROM_ZERO = 0.5
"""An axis begins at 0 if the smallest value is below this share of the largest."""
MIN_SPREAD = 0.02
"""It also does if the values differ by less than this share of the largest: otherwise it would magnify nothing."""


@dataclass(frozen=True)
class TradeoffAxes:
    """The metrics of both axes and of the colour; colour: None colours by `groups`, without these by technique."""

    x: Measure
    y: Measure
    colour: Measure | None = None
    is_x_log: bool = False
    is_y_log: bool = False
    groups: RunGroups | None = None

    def on(self, axis: str) -> tuple[Measure, bool]:
        """The metric on axis "x" or "y", and True if the axis is logarithmic."""
        return (self.x, self.is_x_log) if axis == "x" else (self.y, self.is_y_log)


def span(points: pd.DataFrame, axes: TradeoffAxes, axis: str, limit: float | None) -> list[float]:
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


def pixels(
    points: pd.DataFrame, axes: TradeoffAxes, spans: Mapping[str, Sequence[float]]
) -> list[tuple[float, float]]:
    """Positions of the points from the top left of `PLOT`."""

    def shares(axis: str) -> list[float]:
        low, high = spans[axis]
        return [(_on_axis(value, axes.on(axis)[1]) - low) / (high - low) for value in points[axis]]

    return [(x * PLOT[0], (1 - y) * PLOT[1]) for x, y in zip(shares("x"), shares("y"), strict=True)]


def _on_axis(value: float, is_log: bool) -> float:
    return math.log10(value) if is_log else value


def write_value(shown: float, measure: Measure) -> str:
    """A number in the unit of an axis, with its unit."""
    return measure.write(shown / measure.factor)


def within_sentence(label: str) -> str:
    """The label of a metric within a sentence: its first letter is small unless it begins an abbreviation."""
    return label if label[:2].isupper() else label[0].lower() + label[1:]
