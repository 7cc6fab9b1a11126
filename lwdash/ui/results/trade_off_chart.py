"""The charts over all shown runs: any metric against any other, or all of them in parallel."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from lwdash.charts.parallel_coordinates import (
    MAX_LINES,
    Axis,
    brushed_runs,
    complete_runs,
    describe_parallel,
    plot_parallel,
    thinned_lines,
)
from lwdash.charts.tradeoff.tradeoff_axes import TradeoffAxes
from lwdash.charts.tradeoff.tradeoff_figure import plot_tradeoff
from lwdash.charts.tradeoff.tradeoff_points import MAX_DRAWN_POINTS, describe_tradeoff, tradeoff_points
from lwdash.metrics.pareto_front import pareto
from lwdash.metrics.run_groups import RunGroups
from lwdash.metrics.run_metrics import is_log_possible, quality_of
from lwdash.metrics.target_values import available_with_targets, measure_of, names_in
from lwdash.ui.results.recipe_parameters import show_effects, with_parameters
from lwdash.ui.results.run_frame import known_measures
from lwdash.ui.results.run_grouping import known_groups
from lwdash.ui.results.view_state import (
    FRONT_ONLY,
    PARALLEL,
    PARAMETER_AXES,
    POINTS,
    TECHNIQUE,
    follow,
    select,
    selected,
    settle,
)
from lwdash.ui.shared.figure import Spec, show_figure, written
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.memo import contents, remembered
from lwdash.ui.shared.number_text import counted
from storage.store import Store

AXES_WIDTH = 225
TIE = 0.01
"""Values that differ by less are one point in a chart."""
MIN_COLOUR_RATIO = 1.15
"""With a smaller ratio of the largest to the smallest value, a scale of colours would only show noise."""
_BRUSHED = "results:brushed"
"""In the session: the selection made by brushes on the parallel axes."""
PARALLEL_METRICS = ("size_bytes", "gzip_bytes", "latency_ms_p50", "speedup", "arena_bytes", "sparsity")


def default_axes(runs: pd.DataFrame) -> dict[str, str]:
    """Default axes: quality against size, coloured by speed-up, as far as measured and as far as these vary.

    Where sizes tie, as after pruning, the gzipped size tells the runs apart. The colour is speed-up and not latency:
    speed-up is measured interleaved with the baseline, so other work on the host does not affect it. Where it hardly
    varies, colours show the technique.
    """
    known = [measure.column for measure in known_measures(runs)]
    measured = runs[runs["state"] == "succeeded"]
    is_tied = "gzip_bytes" in known and ties(measured, "size_bytes") > max(0.5, ties(measured, "gzip_bytes"))
    speed = next((c for c in ("speedup", "latency_ms_p50") if c in known), TECHNIQUE)
    if speed != TECHNIQUE and len(measured) > 2 and ratio(measured, speed) < MIN_COLOUR_RATIO:
        speed = TECHNIQUE
    return {
        "results:x": _first_of(known, "gzip_bytes" if is_tied else "size_bytes"),
        "results:y": _first_of(known, quality_of(runs).column, "latency_ms_p50"),
        "results:colour": speed,
    }


def ties(runs: pd.DataFrame, column: str) -> float:
    """Share of the runs but the baseline whose value is within `TIE` of another run's, 0 to 1."""
    values = runs.loc[~runs["is_baseline"].astype(bool), column].dropna().sort_values().to_numpy(float)
    if len(values) < 3:
        return 0.0
    near = values[1:] <= values[:-1] * (1 + TIE)
    return float((np.append(near, False) | np.append(False, near)).mean())


def ratio(runs: pd.DataFrame, column: str) -> float:
    """The largest value divided by the smallest; 1 where there is none."""
    values = runs[column].dropna().to_numpy(float)
    return float(values.max() / values.min()) if len(values) and values.min() > 0 else 1.0


def _first_of(known: list[str], *wanted: str) -> str:
    return next(column for column in (*wanted, *known) if column in known)


def chosen_axes(runs: pd.DataFrame) -> TradeoffAxes:
    """The chosen axes; a logarithmic one only if all values are above zero. runs: all runs of the experiment."""
    state = st.session_state
    names = names_in(runs)
    x, y = measure_of(state["results:x"], names), measure_of(state["results:y"], names)
    colour = state["results:colour"]
    groups = known_groups(runs).get(colour)
    log = state.get("results:log") or []
    return TradeoffAxes(
        x,
        y,
        None if groups or colour in (None, TECHNIQUE) else measure_of(colour, names),
        groups=groups,
        is_x_log="x" in log and is_log_possible(runs, x),
        is_y_log="y" in log and is_log_possible(runs, y),
    )


def choose_axes(runs: pd.DataFrame) -> None:
    """The row of choices above the chart. runs: all runs of the experiment, so that filters do not change the choice."""
    labels = {measure.column: measure.label for measure in known_measures(runs)}
    columns = list(labels)
    groups = {key: found.label for key, found in known_groups(runs).items()}
    colours = {TECHNIQUE: "Technique"} | groups | labels
    for key, default in default_axes(runs).items():
        follow(key, list(colours) if key == "results:colour" else columns, default)
    settle("results:view", [POINTS, PARALLEL], POINTS)
    with st.container(horizontal=True, vertical_alignment="top", key="results-axes"):
        st.segmented_control(
            "View", [POINTS, PARALLEL], key="results:view", required=True,
            format_func={POINTS: "Trade-off", PARALLEL: "Parallel"}.__getitem__,
        )  # fmt: skip
        st.selectbox("X axis", columns, key="results:x", format_func=labels.__getitem__, width=AXES_WIDTH)
        st.selectbox("Y axis", columns, key="results:y", format_func=labels.__getitem__, width=AXES_WIDTH)
        st.selectbox(
            "Colour", list(colours), key="results:colour", format_func=colours.__getitem__, width=AXES_WIDTH,
            help="Technique, a parameter of the recipes, tags, a target's verdict, or any metric",
        )  # fmt: skip
        st.pills(
            "Log scale", ["x", "y"], key="results:log", selection_mode="multi",
            help="An axis with values of zero or below stays linear",
        )  # fmt: skip
        with st.container(width="content", key="results-front"):
            st.toggle(
                "Front only", key=FRONT_ONLY,
                help="Hides runs that another run beats: at least as good in both metrics, and better in one",
            )  # fmt: skip


def undominated(runs: pd.DataFrame, axes: TradeoffAxes) -> pd.DataFrame:
    """The runs that no other of them beats in the metrics of the axes, the baseline, and those without these metrics.

    Times of different hosts are not compared.
    """
    x, y = (pd.to_numeric(runs[measure.column], errors="coerce") for measure in (axes.x, axes.y))
    keep = x.isna() | y.isna() | runs["is_baseline"].astype(bool)
    is_of_host = axes.x.is_of_host or axes.y.is_of_host
    hosts = runs["host_name"].fillna("") if is_of_host else pd.Series("", index=runs.index)
    for _, part in runs[x.notna() & y.notna()].groupby(hosts):
        front = pareto(
            x[part.index], y[part.index],
            is_more_x_better=axes.x.is_higher_better, is_more_y_better=axes.y.is_higher_better,
        )  # fmt: skip
        keep[part.index[front]] = True
    return runs if keep.all() else runs[keep]


def one_host(runs: pd.DataFrame, axes: TradeoffAxes) -> pd.DataFrame:
    """The runs of one host if an axis depends on the host: runs of different hosts are never ranked together."""
    measures = [axes.x, axes.y, *([axes.colour] if axes.colour else [])]
    hosts = runs["host_name"].dropna().value_counts()
    if len(hosts) < 2 or not any(measure.is_of_host for measure in measures):
        return runs
    names = list(hosts.index)
    settle("results:host", names, names[0])
    host = st.selectbox(
        "Measured on", names, key="results:host", format_func=lambda name: f"{name} ({hosts[name]:,} runs)",
        help="Times depend on the host, so one host is shown at a time",
    )  # fmt: skip
    others = int(hosts.sum() - hosts[host])
    st.caption(f"{others:,} runs that were measured on another host are not in the chart.")
    return runs[runs["host_name"] == host]


def show_chart(
    store: Store, runs: pd.DataFrame, limits: Mapping[str, float], name: str, *, every: pd.DataFrame
) -> None:
    """Show the chosen chart of `runs`; selecting in it changes the selection. name: of saved images. every: all runs of
    the experiment, so that filters do not change the colours.
    """
    axes = chosen_axes(every)
    groups = known_groups(every)
    measured = one_host(remembered("measured", (runs,), lambda: runs[runs["state"] == "succeeded"]), axes)
    if st.session_state["results:view"] == PARALLEL:
        _show_parallel(measured, axes, name, groups)
    else:
        _show_trade_off(store, measured, axes, limits, name)
    show_effects(measured, (axes.x, axes.y))


def _show_trade_off(
    store: Store, measured: pd.DataFrame, axes: TradeoffAxes, limits: Mapping[str, float], name: str
) -> None:
    st.session_state.pop(_BRUSHED, None)
    key = (str(store.database.url), contents(measured), repr(axes), tuple(limits.items()))
    points, spec, alt = _trade_off(measured, axes, limits, key)
    if spec is None:
        st.info(
            f"None of the shown runs has both {axes.x.label} and {axes.y.label}.",
            icon=":material/scatter_plot:",
        )
        return
    chosen = set(selected())
    rings = points[points["id"].isin(chosen)]
    show_figure(
        spec,
        key="results:chart",
        alt=alt,
        file_name=f"{name}-{axes.y.column}-against-{axes.x.column}",
        selected=[(int(r.id), float(r.x_drawn), float(r.y)) for r in rings.itertuples()],
        on_pick=lambda ids: _picked(ids, set(rings["id"])),
    )
    st.caption(_caption(axes, points, limits))


@st.cache_resource(max_entries=16, show_spinner=False)
def _trade_off(
    _measured: pd.DataFrame, _axes: TradeoffAxes, _limits: Mapping[str, float], key: tuple[Any, ...]
) -> tuple[pd.DataFrame, Spec | None, str]:
    """Points, figure, and its text alternative, computed once for all sessions. key: everything that determines them."""
    points = tradeoff_points(_measured, _axes, _limits)
    if points.empty:
        return points, None, ""
    rows = _measured["rows"].max()
    figure = plot_tradeoff(
        points, _axes, runs=_measured, limits=_limits, rows=int(rows) if rows == rows else None
    )
    return points, written(figure), describe_tradeoff(points, _axes)


def _picked(ids: list[int], drawn: set[int]) -> None:
    """Selected runs that the chart does not show stay selected."""
    select([*(run for run in selected() if run not in drawn), *ids])


def _show_parallel(
    runs: pd.DataFrame, axes: TradeoffAxes, name: str, groups: Mapping[str, RunGroups]
) -> None:
    columns = [axes.x.column, axes.y.column, *([axes.colour.column] if axes.colour else [])]
    known = {measure.column for measure in available_with_targets(runs)}
    # A line cannot skip an axis: further metrics are those that all of these runs have.
    further = [column for column in PARALLEL_METRICS if column in runs and runs[column].notna().all()]
    columns = [column for column in dict.fromkeys([*columns, *further]) if column in known]
    names = names_in(runs)
    runs, described = remembered("parameters", (runs,), lambda: with_parameters(runs))
    # Numbers have an axis to scale; all other facts have one with a place for each group.
    offered: dict[str, Axis] = {key: described.get(key, found) for key, found in groups.items()}
    facts = _choose_facts(offered)
    measures: list[Axis] = [offered[key] for key in facts]
    measures += [measure_of(column, names) for column in columns[:7]]
    columns = [*facts, *columns]
    whole = complete_runs(runs, measures)
    if missing := len(runs) - len(whole):
        what = "parameters and metrics" if facts else "metrics"
        st.caption(f"{counted(missing, 'run')} without all of these {what} not drawn.")
    chosen = set(selected())
    is_brushed = chosen == st.session_state.get(_BRUSHED)
    notes = []
    if whole["id"].isin(chosen).sum() > 1 and not is_brushed:
        whole = whole[whole["id"].isin(chosen)]
        notes.append("Only the selected runs are drawn.")
    if whole.empty or not measures:
        st.info("None of the shown runs has all of these metrics.", icon=":material/scatter_plot:")
        return
    log = frozenset(
        column
        for column, is_log in ((axes.x.column, axes.is_x_log), (axes.y.column, axes.is_y_log))
        if is_log
    )
    # A brush must not change the drawn lines, which would remove the brush.
    drawn = thinned_lines(whole, axes.x, axes.y, () if is_brushed else chosen)
    key = (contents(whole), contents(drawn), repr((axes, measures)), log)
    show_figure(
        remembered(
            "parallel",
            key,
            lambda: written(plot_parallel(drawn, measures, axes.groups or axes.colour, log, of=whole)),
        ),
        key="results:parallel",
        alt=describe_parallel(drawn, measures, whole),
        file_name=f"{name}-parallel",
        on_brush=lambda brushes: _brushed(brushed_runs(whole, measures, brushes, log), set(whole["id"])),
    )
    if len(drawn) < len(whole):
        notes.append(
            f"{MAX_LINES:,} of {len(whole):,} runs are drawn: the Pareto front of {axes.y.label} and "
            f"{axes.x.label}, the baseline, and an even sample of the others. Dragging along an axis "
            "selects from all of them. Filter to see others."
        )
    notes.append(
        "Each line is a run; the better end of every axis is at the top. Drag along an axis to select "
        "the runs that pass there, click the bar to deselect them, drag an axis by its name to move it."
    )
    # Of a fixed height: the text depends on the selection, and the rows of the table below must not move.
    with st.container(key="parallel-notes"):
        st.caption(" ".join(notes))


def _choose_facts(offered: Mapping[str, Axis]) -> list[str]:
    """The parameters, tags and verdicts that are axes as well; no field where none differs among the runs."""
    settle(PARAMETER_AXES, list(offered), [])
    if not offered:
        return []
    chosen: list[str] = st.multiselect(
        "Parameters, tags and targets as axes", list(offered), key=PARAMETER_AXES, placeholder="none", max_selections=4,
        format_func=lambda key: offered[key].label,
        help="Runs whose recipes lack one of the numbers are not drawn",
    )  # fmt: skip
    return chosen


def _brushed(ids: list[int], drawn: set[int]) -> None:
    _picked(ids, drawn)
    st.session_state[_BRUSHED] = set(selected())


def _caption(axes: TradeoffAxes, points: pd.DataFrame, limits: Mapping[str, Any]) -> str:
    to = f"{'Up' if axes.y.is_higher_better else 'Down'} and to the {'right' if axes.x.is_higher_better else 'left'}"
    has_bars = points.loc[points["name"] != "", ["x_low", "y_low"]].notna().any(axis=None)
    parts = [
        f"{to} is better." + " Bars are 95 % intervals, drawn at named points." * bool(has_bars),
        "The dotted line is the Pareto front: no run beats its runs in both.",
    ]
    if limits:
        parts.append("Runs that do not meet all limits are hollow; the shaded side exceeds a limit.")
    if (points["x_drawn"] != points["x"]).any():
        parts.append("Runs at the same place are drawn side by side, joined by a line.")
    if points["name"].str.contains(r" \+\d+$").any():
        parts.append("“+2” after a name means two more runs at the same place.")
    if len(points) > MAX_DRAWN_POINTS:
        parts.append(
            f"{MAX_DRAWN_POINTS:,} of {len(points):,} points are drawn, with the front, over a density "
            "map of all. Filter to see others."
        )
    parts.append("Click points, or drag with the box or the lasso, to select runs; double-click to zoom out.")
    return plain(" ".join(parts))
