"""The charts over all shown runs: any quantity against any other, or all of them in parallel."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from lwdash.charts.parallel_coordinates import (
    MOST_LINES,
    brushed_runs,
    complete_runs,
    describe_parallel,
    plot_parallel,
    thinned_lines,
)
from lwdash.charts.tradeoff import MOST_DRAWN, Axes, describe_tradeoff, plot_tradeoff, tradeoff_points
from lwdash.metrics.run_metrics import MEASURES, available, is_log_possible, quality_of
from lwdash.ui.results.run_frame import known_measures
from lwdash.ui.results.view_state import PARALLEL, POINTS, TECHNIQUE, follow, select, selected, settle
from lwdash.ui.shared.figure import Spec, show_figure, written
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.memo import contents, remembered
from storage.store import Store

AXES_WIDTH = 225
_BRUSHED = "results:brushed"
"""In the session: the selection that the brushes of the parallel axes have made."""
MOST_PARALLEL = ("size_bytes", "gzip_bytes", "latency_ms_p50", "speedup", "arena_bytes", "sparsity")


def default_axes(runs: pd.DataFrame) -> dict[str, str]:
    """What is drawn before anybody chose: quality against size, coloured by speed-up, as far as it is measured yet.

    Speed-up rather than latency: it is measured interleaved with the baseline, so that what else the host did at the time
    of a run does not colour it.
    """
    known = [measure.column for measure in known_measures(runs)]
    return {
        "results:x": _first_of(known, "size_bytes"),
        "results:y": _first_of(known, quality_of(runs).column, "latency_ms_p50"),
        "results:colour": next((c for c in ("speedup", "latency_ms_p50") if c in known), TECHNIQUE),
    }


def _first_of(known: list[str], *wanted: str) -> str:
    return next(column for column in (*wanted, *known) if column in known)


def chosen_axes(runs: pd.DataFrame) -> Axes:
    """The axes as they were chosen; a logarithmic one only where all values are above zero."""
    state = st.session_state
    x, y = MEASURES[state["results:x"]], MEASURES[state["results:y"]]
    log = state.get("results:log") or []
    return Axes(
        x,
        y,
        MEASURES.get(state["results:colour"]),
        is_x_log="x" in log and is_log_possible(runs, x),
        is_y_log="y" in log and is_log_possible(runs, y),
    )


def choose_axes(runs: pd.DataFrame) -> None:
    """The row of choices above the chart. runs: all of the experiment, so that filters do not change the choice."""
    columns = [measure.column for measure in known_measures(runs)]
    for key, default in default_axes(runs).items():
        follow(key, [*columns, TECHNIQUE] if key == "results:colour" else columns, default)
    settle("results:view", [POINTS, PARALLEL], POINTS)
    with st.container(horizontal=True, vertical_alignment="top", key="results-axes"):
        st.segmented_control(
            "View", [POINTS, PARALLEL], key="results:view", required=True,
            format_func={POINTS: "Trade-off", PARALLEL: "Parallel"}.__getitem__,
        )  # fmt: skip
        st.selectbox("X axis", columns, key="results:x", format_func=_title, width=AXES_WIDTH)
        st.selectbox("Y axis", columns, key="results:y", format_func=_title, width=AXES_WIDTH)
        st.selectbox(
            "Colour",
            [TECHNIQUE, *columns],
            key="results:colour",
            format_func=lambda column: "Technique" if column == TECHNIQUE else _title(column),
            width=AXES_WIDTH,
        )
        st.pills(
            "Log scale", ["x", "y"], key="results:log", selection_mode="multi",
            help="An axis whose values are not all above zero stays linear",
        )  # fmt: skip


def one_host(runs: pd.DataFrame, axes: Axes) -> pd.DataFrame:
    """The runs of one host where an axis is a figure of the host: those of different hosts are never ranked together."""
    measures = [axes.x, axes.y, *([axes.colour] if axes.colour else [])]
    hosts = runs["host_name"].dropna().value_counts()
    if len(hosts) < 2 or not any(measure.is_of_host for measure in measures):
        return runs
    names = list(hosts.index)
    settle("results:host", names, names[0])
    host = st.selectbox(
        "Measured on", names, key="results:host", format_func=lambda name: f"{name} ({hosts[name]:,} runs)",
        help="Times are of the host that they were taken on, so one host is shown at a time",
    )  # fmt: skip
    others = int(hosts.sum() - hosts[host])
    st.caption(f"{others:,} runs that were measured on another host are left out of the chart.")
    return runs[runs["host_name"] == host]


def show_chart(store: Store, runs: pd.DataFrame, limits: Mapping[str, float], name: str) -> None:
    """The chosen chart of `runs`; picking on it changes the selection. name: of saved pictures."""
    axes = chosen_axes(runs)
    measured = one_host(remembered("measured", (runs,), lambda: runs[runs["state"] == "succeeded"]), axes)
    if st.session_state["results:view"] == PARALLEL:
        _show_parallel(measured, axes, name)
        return
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
        selected=[(int(r.id), float(r.x), float(r.y)) for r in rings.itertuples()],
        on_pick=lambda ids: _picked(ids, set(rings["id"])),
    )
    st.caption(_words(axes, points, limits))


@st.cache_resource(max_entries=16, show_spinner=False)
def _trade_off(
    _measured: pd.DataFrame, _axes: Axes, _limits: Mapping[str, float], key: tuple[Any, ...]
) -> tuple[pd.DataFrame, Spec | None, str]:
    """Points, figure, and the figure in words, made once for all who look. key: of all that decides them."""
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


def _show_parallel(runs: pd.DataFrame, axes: Axes, name: str) -> None:
    columns = [axes.x.column, axes.y.column, *([axes.colour.column] if axes.colour else [])]
    known = {measure.column for measure in available(runs)}
    columns = [column for column in dict.fromkeys([*columns, *MOST_PARALLEL]) if column in known]
    measures = [MEASURES[column] for column in columns[:7]]
    whole = complete_runs(runs, measures)
    chosen = set(selected())
    is_brushed = chosen == st.session_state.get(_BRUSHED)
    if whole["id"].isin(chosen).sum() > 1 and not is_brushed:
        whole = whole[whole["id"].isin(chosen)]
        st.caption("Only the selected runs are drawn.")
    if whole.empty or not measures:
        st.info("None of the shown runs has all of these quantities.", icon=":material/scatter_plot:")
        return
    log = frozenset(
        column
        for column, is_log in ((axes.x.column, axes.is_x_log), (axes.y.column, axes.is_y_log))
        if is_log
    )
    # A brush must not change what is drawn, which would take it away.
    drawn = thinned_lines(whole, axes.x, axes.y, () if is_brushed else chosen)
    key = (contents(whole), contents(drawn), axes, tuple(columns), log)
    show_figure(
        remembered(
            "parallel", key, lambda: written(plot_parallel(drawn, measures, axes.colour, log, of=whole))
        ),
        key="results:parallel",
        alt=describe_parallel(drawn, measures, whole),
        file_name=f"{name}-parallel",
        on_brush=lambda brushes: _brushed(brushed_runs(whole, measures, brushes, log), set(whole["id"])),
    )
    if len(drawn) < len(whole):
        st.caption(
            f"{MOST_LINES:,} of {len(whole):,} runs are drawn: the Pareto front of {axes.y.label} and {axes.x.label}, the "
            "baseline, and an even sample of the others. Dragging along an axis selects from all of them; filter to see "
            "others."
        )
    st.caption(
        "Each line is a run; the better end of every axis is at the top. Drag along an axis to select the runs that "
        "pass there, click on the bar to let them go; drag an axis by its name to move it."
    )


def _brushed(ids: list[int], drawn: set[int]) -> None:
    _picked(ids, drawn)
    st.session_state[_BRUSHED] = set(selected())


def _words(axes: Axes, points: pd.DataFrame, limits: Mapping[str, Any]) -> str:
    to = f"{'Up' if axes.y.is_higher_better else 'Down'} and to the {'right' if axes.x.is_higher_better else 'left'}"
    parts = [
        f"{to} is better. Bars are 95 % intervals, drawn where a name is written; the dotted line is the Pareto front: "
        "nothing beats its runs in both."
    ]
    if limits:
        parts.append("Runs that keep all limits are strong, others pale; the shaded side breaks a limit.")
    if points["name"].str.contains(r" \+\d+$").any():
        parts.append("“+2” after a name stands for two more runs at the same place.")
    if len(points) > MOST_DRAWN:
        parts.append(
            f"{MOST_DRAWN:,} of {len(points):,} points are drawn, with the front, over a map of where all of them lie: "
            "filter to see others."
        )
    parts.append("Click points, or drag with the box or the lasso, to select runs; double-click to zoom out.")
    return plain(" ".join(parts))


def _title(column: str) -> str:
    return MEASURES[column].label
