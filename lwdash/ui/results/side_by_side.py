"""Two to six runs side by side: what differs in their recipes, their figures, their layers, their rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from lwdash.charts.layer_bars import layer_values, most_different, plot_layer_bars
from lwdash.metrics.layer_metrics import QUANTITIES, measured_quantities
from lwdash.metrics.run_metrics import INTERVALS, MEASURES, Measure, available
from lwdash.metrics.technique_families import short_recipe
from lwdash.ui.results.class_differences import show_classes
from lwdash.ui.results.recipe_difference import recipe_difference
from lwdash.ui.results.table_columns import limits_words
from lwdash.ui.results.view_state import settle
from lwdash.ui.shared.addresses import download_url, run_url
from lwdash.ui.shared.figure import show_figure, written
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.memo import remembered
from lwdash.ui.shared.number_text import NOTHING, counted, is_missing
from storage import run_rows
from storage.frames import run_row
from storage.store import Store

FEWEST, MOST = 2, 6
FIRST_FIGURES = (
    "size_bytes", "gzip_bytes", "huffman_bytes", "accuracy", "macro_f1", "mean_iou", "nrmse", "rmse",
    "reconstruction_error", "agreement", "sqnr_db",
    "latency_ms_p50", "latency_ms_p90", "speedup", "arena_bytes", "sparsity", "macs", "parameters",
)  # fmt: skip
OF_THE_NETWORK = ("macs", "parameters")
"""Figures that only another network changes; told in one line where all have them alike."""
OF_THE_TASK = frozenset(
    {
        "accuracy",
        "accuracy_change",
        "macro_f1",
        "mean_iou",
        "nrmse",
        "rmse",
        "mae",
        "r2",
        "worst_r2",
        "reconstruction_error",
    }
)
"""What the verdict is about: these rows may be too few to tell a difference from chance."""


def show_side_by_side(
    store: Store, frame: pd.DataFrame, selected: Sequence[int], limits: Mapping[str, float], name: str
) -> None:
    """The selected runs that have been measured, in the order in which they were selected, the baseline first."""
    st.header("Side by side")
    done = frame[(frame["state"] == "succeeded") & frame["id"].isin(selected)]
    order = {run: i for i, run in enumerate(selected)}
    chosen = done.sort_values(
        ["is_baseline", "id"], key=lambda column: ~column.astype(bool) if column.name == "is_baseline" else column.map(order)
    ).head(MOST)  # fmt: skip
    if len(chosen) < FEWEST:
        st.info(
            "Select two to six finished runs in the table or on the chart to see their figures and their layers "
            "side by side.",
            icon=":material/compare:",
        )
        return
    if len(done) > MOST:
        st.caption(f"The first {MOST} of the {len(done):,} selected runs.")
    headings = [f"{run.id} · {short_recipe(run.name)}" for run in chosen.itertuples(index=False)]
    first = chosen.iloc[0]
    st.caption(
        f"The others are compared with run {first['id']}"
        + (", the baseline." if first["is_baseline"] else ".")
        + " Latencies are of the moment at which each was measured: the speed-up, measured interleaved with the baseline, "
        "compares them."
    )
    details = [run_rows.get_detail(store.database, int(run))["measured"] or {} for run in chosen["id"]]
    verdicts = [(run_row(store.database, int(run)) or {}).get("verdict_details") for run in chosen["id"]]
    st.table(_figures(chosen, verdicts, limits), border="horizontal")
    alike = _alike(chosen)
    if alike:
        st.caption(f"The same in all: {plain(', '.join(alike))}.")
    _show_recipes(chosen, headings)
    measured = dict(zip(headings, details, strict=True))
    _show_layers({heading: one.get("layers", []) for heading, one in measured.items()}, name)
    show_classes(measured, headings[0] if first["is_baseline"] else None, name)


def comparable(run: Mapping[str, Any], other: Mapping[str, Any], measure: Measure) -> bool:
    """Whether both have the figure, and, for a figure of the host, from the same host."""
    both = not is_missing(run[measure.column]) and not is_missing(other[measure.column])
    return both and (not measure.is_of_host or run["host_name"] == other["host_name"])


def change_words(
    run: Mapping[str, Any], other: Mapping[str, Any], measure: Measure
) -> tuple[str, bool | None]:
    """How a figure differs from another run's, and whether that is better (None: no difference, or none that is sure).

    A change of the task's quality is sure where the paired test against the baseline says so; one of the speed-up where
    the two intervals lie apart. Latencies are of the moments at which they were taken, which a busy host makes unlike:
    the speed-up, measured interleaved, compares them. That more weights are zero is neither better nor worse.
    """
    if not comparable(run, other, measure) or (measure.is_of_host and measure.column != "speedup"):
        return "", None
    a, b = float(run[measure.column]), float(other[measure.column])
    if a == b:
        return "same", None
    is_better = (a > b) == measure.is_higher_better if _is_sure(run, other, measure) else None
    if measure.unit in ("%", "points"):
        return f"{measure.factor * (a - b):+.2f} points".replace("-", "−"), is_better
    if measure.unit in ("dB", "nats", "") and measure.column != "macs" and measure.column != "parameters":
        return f"{measure.factor * (a - b):+.{measure.digits}f} {measure.unit}".strip().replace(
            "-", "−"
        ), is_better
    if not b:
        return "", is_better
    return f"{100 * (a / b - 1):+.1f} %".replace("-", "−"), is_better


def _is_sure(run: Mapping[str, Any], other: Mapping[str, Any], measure: Measure) -> bool:
    if measure.column in OF_THE_TASK:
        return bool(other["is_baseline"]) and run["verdict"] in ("better", "worse")
    if measure.column == "sparsity":
        return False
    if measure.is_of_host:
        ours, theirs = run["speedup_ci"], other["speedup_ci"]
        if not isinstance(ours, (list, tuple)) or not isinstance(theirs, (list, tuple)):
            return False
        return bool(ours[0] > theirs[1] or ours[1] < theirs[0])
    return True


def _alike(chosen: pd.DataFrame) -> list[str]:
    """The figures of the file that these runs have alike, in words: `MACs 237,504`."""
    return [
        f"{MEASURES[column].label} {MEASURES[column].write(chosen[column].iloc[0])}"
        for column in OF_THE_NETWORK
        if chosen[column].notna().all() and chosen[column].nunique() == 1
    ]


def _figures(
    chosen: pd.DataFrame, verdicts: Sequence[Mapping[str, Any] | None], limits: Mapping[str, float]
) -> pd.DataFrame:
    """Markdown cells: one row a figure that is not the same in all, one column a run. verdicts: `Verdict.to_dict`s."""
    runs = chosen.to_dict("records")
    first = runs[0]
    heads = [
        f"[{run['id']}]({run_url(int(run['id']))}) · {plain(short_recipe(str(run['name'])))}" for run in runs
    ]
    rows: dict[str, list[str]] = {}
    known = {measure.column for measure in available(chosen)}
    for column in FIRST_FIGURES:
        if column in known and not (column in OF_THE_NETWORK and chosen[column].nunique(dropna=False) == 1):
            measure = MEASURES[column]
            rows[measure.label] = [_cell(run, first, measure) for run in runs]
    rows["Verdict"] = [
        "baseline" if run["is_baseline"] else _verdict(run, details or {})
        for run, details in zip(runs, verdicts, strict=True)
    ]
    if limits:
        rows["Limits"] = [plain(text or NOTHING) for text in limits_words(chosen, limits)]
    if chosen["host_name"].nunique() > 1:
        rows["Measured on"] = [plain(run["host_name"] or NOTHING) for run in runs]
    rows["File"] = [f"[:material/download: .tflite]({download_url(int(run['id']))})" for run in runs]
    return pd.DataFrame.from_dict(rows, orient="index", columns=heads)


def _verdict(run: Mapping[str, Any], details: Mapping[str, Any]) -> str:
    """The verdict and what it goes by; the whole sentence is on the run's page."""
    if not run["verdict"]:
        return NOTHING
    if details.get("lost") is None:
        return f"**{plain(run['verdict'])}**"
    return (
        f"**{plain(run['verdict'])}**  \n:small[{details['lost']:,} rows lost, {details['gained']:,} gained "
        f"of {run['rows']:,.0f}]"
    )


def _cell(run: Mapping[str, Any], first: Mapping[str, Any], measure: Measure) -> str:
    if is_missing(run[measure.column]):
        return NOTHING
    text = f"**{plain(measure.write(run[measure.column]))}**"
    bounds = run.get(INTERVALS.get(measure.column, ""))
    if isinstance(bounds, (list, tuple)):
        low, high = (f"{measure.factor * bound:,.{measure.digits}f}" for bound in bounds)
        text += f"  \n:small[{low} to {high}]"
    if run is first:
        return text
    change, is_better = change_words(run, first, measure)
    if is_better is None:
        return f"{text}  \n:small[{plain(change)}]" if change else text
    return (
        f"{text}  \n:{'green' if is_better else 'red'}[{plain(change)}, {'better' if is_better else 'worse'}]"
    )


def _show_recipes(chosen: pd.DataFrame, headings: Sequence[str]) -> None:
    table = recipe_difference(list(chosen["recipe"]))
    if table is None:
        st.caption("One of these recipes is of another version and cannot be taken apart.")
    elif table.empty:
        st.caption("These runs have the same recipe.")
    else:
        st.markdown("**What differs in the recipes**")
        st.table(
            table.map(plain).set_axis([plain(h) for h in headings], axis=1).rename(index=plain),
            border="horizontal",
        )


def _show_layers(layers: Mapping[str, Sequence[Mapping[str, Any]]], name: str) -> None:
    offered = measured_quantities([row for rows in layers.values() for row in rows])
    if not offered:
        st.caption("Nothing was measured of these runs' layers.")
        return
    settle("results:layer", offered, "weight_bytes" if "weight_bytes" in offered else offered[0])
    quantity = st.selectbox(
        "Layer by layer", offered, key="results:layer", format_func=lambda q: QUANTITIES[q].label, width=320
    )
    whole = layer_values(layers, quantity)
    values = most_different(whole)
    st.caption(QUANTITIES[quantity].meaning)
    if len(values) < len(whole):
        st.caption(f"The {len(values)} of {len(whole)} layers in which the runs differ most.")
    show_figure(
        remembered("layers", (tuple(layers), quantity), lambda: written(plot_layer_bars(values, quantity))),
        key="results:layers",
        alt=f"{QUANTITIES[quantity].label} of {counted(len(values), 'layer')} for {counted(len(layers), 'run')}.",
        file_name=f"{name}-layers-{quantity}",
    )
