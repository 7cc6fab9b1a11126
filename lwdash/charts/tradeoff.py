"""Quality against size, coloured by latency: the picture that the whole product is about."""

import math
import re
from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from lwdash.charts.measures import Measure

FAMILIES = {
    "baseline": ("Baseline", "star"),
    "post-training": ("Post-training", "circle"),
    "prune": ("Pruned", "diamond"),
    "cluster": ("Clustered", "square"),
    "prune + cluster": ("Pruned and clustered", "hexagon2"),
    "qat": ("Trained for integers", "cross"),
    "smaller network": ("Smaller network", "triangle-up"),
}
LATENCY_COLOURS = ("#fde725", "#7ad151", "#22a884", "#2a788e", "#4f3f91")
"""Viridis without its darkest end, which a dark page would swallow."""
NEAR = (0.16, 0.06)
"""Shares of the axes within which a second name would cover the first."""


def tradeoff_points(runs: pd.DataFrame, size: Measure, quality: Measure) -> pd.DataFrame:
    """One row a measured run: x, y, interval (low, high, NaN without), latency_us, family, on_front, name, hover.

    name: what is written at the point, "" at those that are not on the front or too near to a named one.
    runs: as `storage.frames.runs_frame` gives them; unmeasured runs are left out.
    """
    columns = ["id", "recipe", "x", "y", "low", "high", "latency_us", "family", "on_front", "name", "hover"]
    if runs.empty or size.column not in runs or quality.column not in runs:
        return pd.DataFrame(columns=columns)
    done = runs[runs[size.column].notna() & runs[quality.column].notna()]
    points = pd.DataFrame(
        {
            "id": done["id"],
            "recipe": done["recipe"],
            "x": done[size.column] * size.factor,
            "y": done[quality.column] * quality.factor,
            "latency_us": done["latency_ms_p50"].astype(float) * 1000,
            "family": [family(r, b) for r, b in zip(done["recipe"], done["is_baseline"], strict=True)],
        }
    )
    intervals = _column(done, f"{quality.column}_ci")
    points["low"] = [i[0] * quality.factor if _is_pair(i) else math.nan for i in intervals]
    points["high"] = [i[1] * quality.factor if _is_pair(i) else math.nan for i in intervals]
    points["on_front"] = pareto(points["x"], points["y"], is_higher_better=quality.is_higher_better)
    points["name"] = names(points)
    points["hover"] = [
        _hover(run, point, size, quality)
        for run, point in zip(done.to_dict("records"), points.to_dict("records"), strict=True)
    ]
    return points[columns]


def family(recipe: str, is_baseline: bool) -> str:
    """Which group of techniques made a run."""
    if is_baseline:
        return "baseline"
    steps = re.findall(r"(?:^|\+)\s*(\w+)", recipe)
    if "channels" in steps or "low_rank" in steps:
        return "smaller network"
    made = " + ".join(name for name in ("prune", "cluster") if name in steps)
    return made or ("qat" if "qat" in steps else "post-training")


def pareto(x: Sequence[float], y: Sequence[float], *, is_higher_better: bool) -> list[bool]:
    """For each point, whether no other is at least as small and as good, and better in one of the two."""
    signed = [value if is_higher_better else -value for value in y]
    pairs = list(zip(x, signed, strict=True))
    order = sorted(range(len(pairs)), key=lambda i: (pairs[i][0], -pairs[i][1]))
    front, best = set(), -math.inf
    for i in order:
        if pairs[i][1] > best:
            best = pairs[i][1]
            front.add(pairs[i])
    return [pair in front for pair in pairs]


def names(points: pd.DataFrame) -> list[str]:
    """A short name for the baseline and each point of the front, one for points that lie on each other: `int8 +2`."""
    is_wanted = points["on_front"].astype(bool) | (points["family"] == "baseline")
    wanted = points[is_wanted].to_dict("index")
    width, height = (max(float(points[axis].max() - points[axis].min()), 1e-9) for axis in ("x", "y"))
    named: dict[Any, int] = {}
    for i in sorted(wanted, key=lambda i: (wanted[i]["family"] != "baseline", len(wanted[i]["recipe"]))):
        for j in named:
            across, along = abs(wanted[i]["x"] - wanted[j]["x"]), abs(wanted[i]["y"] - wanted[j]["y"])
            if across < NEAR[0] * width and along < NEAR[1] * height:
                named[j] += 1
                break
        else:
            named[i] = 0
    texts = {i: short_recipe(wanted[i]["recipe"]) + (f" +{n}" if n else "") for i, n in named.items()}
    return [texts.get(i, "") for i in points.index]


def plot_tradeoff(
    points: pd.DataFrame, size: Measure, quality: Measure, rows: int | None = None
) -> go.Figure:
    """The figure of `tradeoff_points`; rows: how many evaluation rows the quality was measured on.

    Intervals are drawn at the named points only: many points share a size, and their bars would hide each other.
    Every point's interval is in its hover text.
    """
    figure = go.Figure()
    front = points[points["on_front"]].sort_values("x")
    figure.add_scatter(
        x=front["x"], y=front["y"], mode="lines", name="Pareto front", hoverinfo="skip",
        line={"dash": "dot", "width": 2, "color": "#8a97a3", "shape": "hv"},
    )  # fmt: skip
    known = points["latency_us"].dropna()
    low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
    scale = {"cmin": low, "cmax": high if high > low else low + 1}
    for name, (label, symbol) in FAMILIES.items():
        group = points[points["family"] == name]
        if group.empty:
            continue
        figure.add_scatter(
            x=group["x"], y=group["y"], name=label, customdata=group["id"],
            mode="markers+text", text="\u2002" + group["name"] + "\u2002", textfont={"size": 12},
            textposition="middle left" if name == "baseline" else "top right",
            hovertext=group["hover"], hovertemplate="%{hovertext}<extra></extra>",
            error_y={
                "type": "data", "symmetric": False, "thickness": 1.2, "width": 4, "color": "rgba(138,151,163,0.55)",
                "array": (group["high"] - group["y"]).where(group["name"] != ""),
                "arrayminus": (group["y"] - group["low"]).where(group["name"] != ""),
            },
            marker={
                "symbol": symbol, "size": 17 if name == "baseline" else 13, "color": group["latency_us"],
                "coloraxis": "coloraxis", "line": {"width": 1.5, "color": "#8a97a3"},
            },
        )  # fmt: skip
    figure.update_layout(
        title={
            "text": f"{quality.label} against {size.label[0].lower() + size.label[1:]}",
            "subtitle": {"text": f"on {rows:,} evaluation rows" if rows else ""},
        },
        xaxis={"title": size.title, "rangemode": "tozero"},
        yaxis={"title": quality.title},
        coloraxis={
            "colorscale": LATENCY_COLOURS,
            **scale,
            "colorbar": {"title": "Latency<br>p50 (µs)"},
        },
        legend={"orientation": "h", "y": -0.2},
        hoverlabel={"align": "left"},
        height=520,
        margin={"t": 80, "b": 20},
    )
    return figure


def describe_tradeoff(points: pd.DataFrame, size: Measure, quality: Measure) -> str:
    """The figure in words, for screen readers."""
    front = points[points["on_front"]].sort_values("x")
    named = "; ".join(
        f"{r.recipe}: {r.x:.1f} {size.unit}, {r.y:.1f} {quality.unit}".strip() for r in front.itertuples()
    )
    return f"{quality.label} against size for {len(points)} runs. On the Pareto front: {named}."


def _column(frame: pd.DataFrame, name: str) -> list[Any]:
    return list(frame[name]) if name in frame else [None] * len(frame)


def _is_pair(value: object) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 2


def short_recipe(recipe: str) -> str:
    """A recipe without the parameter names that go without saying: `prune(0.8) + int8`."""
    return re.sub(r"\b(sparsity|clusters|ratio|energy|bits|io)=", "", recipe)


def _hover(run: dict[str, object], point: dict[str, float], size: Measure, quality: Measure) -> str:
    lines = [f"<b>{run['recipe']}</b>", f"{size.label}: {point['x']:,.1f} {size.unit}"]
    interval = (
        ""
        if math.isnan(point["low"])
        else f" (95 % interval {point['low']:.1f} to {point['high']:.1f} {quality.unit})"
    )
    lines.append(f"{quality.label}: {point['y']:.2f} {quality.unit}{interval}")
    if not math.isnan(point["latency_us"]):
        lines.append(f"Latency p50: {point['latency_us']:,.1f} µs")
    speedup = run.get("speedup")
    if isinstance(speedup, float) and not math.isnan(speedup):
        lines.append(f"Speed-up: {speedup:.2f}× against the baseline")
    if isinstance(run.get("verdict"), str):
        lines.append(f"Verdict: {run['verdict']}")
    return "<br>".join(lines)
