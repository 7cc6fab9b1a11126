"""Hover text of the points of the trade-off chart."""

import math

import pandas as pd

from lwdash.charts.literal_text import literal
from lwdash.charts.tradeoff.tradeoff_axes import TradeoffAxes, write_value
from lwdash.metrics.run_metrics import Measure
from lwdash.metrics.verdict_labels import verdict_label


def hovers(runs: pd.DataFrame, points: pd.DataFrame, axes: TradeoffAxes, *, is_limited: bool) -> list[str]:
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
                else f" (95 % interval {_number(low, measure)} to {write_value(high, measure)})"
            )
            lines.append(f"{measure.label}: {write_value(value, measure)}{bounds}")
        if axes.colour is not None and axes.colour not in (axes.x, axes.y) and not math.isnan(p.colour):
            lines.append(f"{axes.colour.label}: {write_value(p.colour, axes.colour)}")
        if axes.groups is not None:
            lines.append(f"{literal(axes.groups.label)}: {literal(axes.groups.names[p.group])}")
        if isinstance(verdict_text, str):
            lines.append(f"Verdict: {verdict_label(verdict_text)}")
        if is_limited:
            lines.append(
                "meets all limits" if p.is_able else "exceeds a limit, or a limit's value was not measured"
            )
        texts.append("<br>".join(lines))
    return texts


def _number(shown: float, measure: Measure) -> str:
    return f"{shown:,.{measure.digits}f}"
