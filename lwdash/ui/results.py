"""The results of an experiment: the chart, the table, and two or more runs side by side."""

from typing import Any

import pandas as pd
import streamlit as st

from lwdash.charts.layer_bars import QUANTITIES, layer_values, plot_layer_bars
from lwdash.charts.measures import SIZES, Measure, quality_of
from lwdash.charts.tradeoff import describe_tradeoff, plot_tradeoff, short_recipe, tradeoff_points
from lwdash.ui import places
from lwdash.ui.cards import plain
from lwdash.ui.downloads import download_url, run_url
from lwdash.ui.formats import NOTHING, is_missing, milliseconds, percent, size, times
from storage import runs as stored
from storage.store import Store

MOST_COMPARED = 6
MOST_NAMED = 8
CARD_WIDTH = 358


def show_tradeoff(frame: pd.DataFrame) -> set[int]:
    """The chart; returns the runs that were selected on it."""
    by_column = {measure.column: measure for measure in SIZES}
    chosen = st.segmented_control(
        "Size",
        list(by_column),
        default=SIZES[0].column,
        required=True,
        format_func=lambda column: by_column[column].label,
        key="chart:size",
        help="A .tflite stores zeros and repeated values like any other: what pruning and clustering save shows "
        "when the file is gzipped or its weights are Huffman-coded.",
    )
    size_by = by_column[chosen or SIZES[0].column]
    quality = quality_of(frame)
    chart = tradeoff_points(frame, size_by, quality)
    rows = frame["rows"].dropna().max() if "rows" in frame and frame["rows"].notna().any() else None
    event: Any = st.plotly_chart(
        plot_tradeoff(chart, size_by, quality, int(rows) if rows else None),
        on_select="rerun",
        key="chart:tradeoff",
        alt=describe_tradeoff(chart, size_by, quality),
    )
    better = "Up" if quality.is_higher_better else "Down"
    st.caption(
        f"{better} and to the left is better. The vertical bars are 95 % intervals, drawn for the baseline and the "
        "Pareto front, which nothing beats in both. Select points, or rows of the table, to compare them."
    )
    return {int(point["customdata"][0] if isinstance(point["customdata"], list) else point["customdata"])
            for point in event["selection"]["points"] if point.get("customdata") is not None}  # fmt: skip


def results_table(frame: pd.DataFrame) -> pd.DataFrame:
    """What the table shows: figures in the units of their headers, differences to the baseline."""
    quality = quality_of(frame)
    base = frame[frame["is_baseline"] & (frame["state"] == "succeeded")].head(1)
    base_size = base["size_bytes"].iloc[0] if len(base) else None

    def column(name: str, factor: float = 1.0) -> pd.Series:
        found = frame[name] if name in frame else pd.Series(index=frame.index, dtype=float)
        return pd.to_numeric(found, errors="coerce") * factor

    value = column(quality.column, quality.factor)
    is_other = ~frame["is_baseline"].astype(bool)
    done = frame["state"] == "succeeded"
    notes = frame["state"].where(~done, "").where(is_other | ~done, "baseline")
    table = pd.DataFrame(
        {
            "run": [run_url(i) for i in frame["id"]],
            "recipe": frame["recipe"].map(short_recipe)
            + notes.map(lambda note: f"  ({note})" if note else ""),
            "size": column("size_bytes", 1e-3),
            "smaller": (base_size / column("size_bytes")).where(is_other) if base_size else None,
            "gzip": column("gzip_bytes", 1e-3),
            "quality": value,
            "change": (value - value[base.index[0]]).where(is_other) if len(base) and len(value) else None,
            "verdict": frame["verdict"].where(is_other) if "verdict" in frame else None,
            "latency": column("latency_ms_p50", 1000),
            "speedup": column("speedup").where(is_other),
            "sparsity": column("sparsity", 100),
            "download": [download_url(i) if ok else None for i, ok in zip(frame["id"], done, strict=True)],
        },
        index=frame.index,
    )
    return table if done.any() else table[["run", "recipe"]]


def show_table(frame: pd.DataFrame) -> set[int]:
    """The table; returns the selected runs."""
    quality = quality_of(frame)
    number = st.column_config.NumberColumn
    event: Any = st.dataframe(
        results_table(frame),
        hide_index=True,
        placeholder=NOTHING,
        on_select="rerun",
        selection_mode="multi-row",
        key="table:runs",
        alt=f"{len(frame)} runs with their figures",
        column_config={
            "run": st.column_config.LinkColumn(
                "Run", display_text=r"id=(\d+)", width=52, help="Opens the run's page: stages, layers, log"
            ),
            "recipe": st.column_config.TextColumn(
                "Recipe", width=268, help="Shortened: a run's page has it in full"
            ),
            "size": number("Size (kB)", format="%.1f", width=78, help="Bytes of the .tflite / 1,000"),
            "smaller": number("Smaller", format="%.2f×", width=75, help="Size of the baseline / size"),
            "gzip": number(
                "Gzip (kB)", format="%.1f", width=80, help="The .tflite compressed: where pruning and clustering show"
            ),
            "quality": number(quality.title, format="%.2f", width=98, help="On the evaluation rows"),
            "change": number(
                "Change", format="%+.2f", width=74, help=f"{quality.label} against the baseline, on the same rows"
            ),
            "verdict": st.column_config.TextColumn(
                "Verdict", width=92, help="Whether these rows show a real difference in quality to the baseline"
            ),
            "latency": number("p50 (µs)", format="%.1f", width=74, help="Median latency of one sample"),
            "speedup": number(
                "Speed-up", format="%.2f×", width=80, help="Measured interleaved with the baseline, on the same host"
            ),
            "sparsity": number("Zeros (%)", format="%.1f", width=80, help="Sparsity: weights in the file that are zero"),
            "download": st.column_config.LinkColumn(
                "File", display_text=":material/download:", width=48, help="Downloads the .tflite"
            ),
        },
    )  # fmt: skip
    return {int(frame["id"].iloc[i]) for i in event["selection"]["rows"] if i < len(frame)}


def show_failures(frame: pd.DataFrame) -> None:
    """What went wrong, each message once with the runs it ended."""
    failed = frame[frame["state"] == "failed"]
    for error, runs in failed.groupby(failed["error"].fillna("it failed without a message"), sort=False):
        ids = [str(i) for i in runs["id"].tail(MOST_NAMED)]
        more = f" and {len(runs) - MOST_NAMED:,} more" if len(runs) > MOST_NAMED else ""
        recipes = f" ({plain(runs['recipe'].iloc[0])})" if len(runs) == 1 else ""
        st.error(
            f"**{'Run' if len(runs) == 1 else 'Runs'} {', '.join(ids)}{more}{recipes} failed:** {plain(str(error))}",
            icon=":material/error:",
        )


def show_comparison(store: Store, frame: pd.DataFrame, selected: set[int]) -> None:
    """Two or more runs side by side: figures with their difference to the first, and bars for each layer."""
    chosen = frame[frame["id"].isin(selected) & (frame["state"] == "succeeded")].head(MOST_COMPARED)
    st.subheader("Side by side")
    if len(chosen) < 2:
        st.info(
            "Select two to six finished runs in the table or on the chart to see their figures and their layers "
            "side by side.",
            icon=":material/compare:",
        )
        return
    if len(selected) > MOST_COMPARED:
        st.caption(f"The first {MOST_COMPARED} of the {len(selected)} selected runs.")
    quality = quality_of(frame)
    first = chosen.iloc[0]
    with st.container(horizontal=True):
        for _, run in chosen.iterrows():
            with st.container(border=True, width=CARD_WIDTH, height="stretch"):
                _figures(run, None if run["id"] == first["id"] else first, quality)
    layers = {
        f"{run['id']} · {short_recipe(run['recipe'])}": (
            stored.get_detail(store.database, int(run["id"]))["measured"] or {}
        ).get("layers", [])
        for _, run in chosen.iterrows()
    }
    quantity = st.segmented_control(
        "Layer by layer", list(QUANTITIES), default="weight_bytes", required=True,
        format_func=lambda q: QUANTITIES[q][0], key="compare:quantity",
    ) or "weight_bytes"  # fmt: skip
    values = layer_values(layers, quantity)
    label, _, meaning = QUANTITIES[quantity]
    st.caption(meaning)
    alt = f"{label} of {len(values)} layers for {len(layers)} runs."
    st.plotly_chart(plot_layer_bars(values, quantity), alt=alt)


def _figures(run: pd.Series, other: pd.Series | None, quality: Measure) -> None:
    def change(key: str, write: Any) -> str | None:
        if other is None or is_missing(run.get(key)) or is_missing(other.get(key)):
            return None
        return write(run[key], other[key])

    def relative(a: float, b: float) -> str | None:
        return f"{100 * (a / b - 1):+.1f} %" if b else None

    def difference(a: float, b: float) -> str:
        return f"{100 * (a - b):+.2f} points"

    st.markdown(f"**{plain(run['recipe'])}**")
    role = "baseline" if run["is_baseline"] else ""
    compared = "the others are compared with this one" if other is None else ""
    st.caption(" · ".join(part for part in (f"run {run['id']}", role, compared) if part))
    if quality.unit == "%":
        shown, delta = percent(run[quality.column], 2), change(quality.column, difference)
    else:
        value = run.get(quality.column)
        shown = NOTHING if is_missing(value) else f"{value:.4g} {quality.unit}".strip()
        delta = change(quality.column, relative)
    colour: Any = "normal" if quality.is_higher_better else "inverse"
    left, right = st.columns(2)
    left.metric("Size", size(run["size_bytes"]), change("size_bytes", relative), delta_color="inverse")
    right.metric("Gzip", size(run["gzip_bytes"]), change("gzip_bytes", relative), delta_color="inverse")
    left, right = st.columns(2)
    left.metric(quality.label, shown, delta, delta_color=colour)
    change_of_latency = change("latency_ms_p50", relative)
    right.metric("Latency p50", milliseconds(run["latency_ms_p50"]), change_of_latency, delta_color="inverse")
    left, right = st.columns(2)
    left.metric("Zeros", percent(run.get("sparsity")), help="Sparsity: weights in the file that are zero")
    right.metric("Speed-up", times(run["speedup"]), help="Against the baseline, measured interleaved with it")
    if isinstance(run.get("verdict_text"), str):
        st.caption(plain(run["verdict_text"]))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.link_button("Download .tflite", download_url(int(run["id"])), icon=":material/download:")
        st.page_link(
            places.RUN, label="Details", icon=":material/layers:", query_params={"id": str(run["id"])}
        )
