"""The results of an experiment: the chart, the table, and two or more runs side by side."""

from typing import Any

import pandas as pd
import streamlit as st

from lwdash.charts.layer_bars import QUANTITIES, layer_values, plot_layer_bars
from lwdash.charts.measures import SIZES, Measure, quality_of
from lwdash.charts.tradeoff import describe_tradeoff, plot_tradeoff, tradeoff_points
from lwdash.ui.cards import plain
from lwdash.ui.downloads import download_url
from lwdash.ui.formats import NOTHING, is_missing, milliseconds, percent, size, times
from storage import runs as stored
from storage.store import Store

MOST_COMPARED = 6


def show_tradeoff(frame: pd.DataFrame) -> set[int]:
    """The chart; returns the runs that were selected on it."""
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    by_column = {measure.column: measure for measure in SIZES}
    chosen = left.segmented_control(
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
    right.caption("Up and to the left is better. Select points, or rows of the table, to compare them.")
    quality = quality_of(frame)
    chart = tradeoff_points(frame, size_by, quality)
    rows = frame["rows"].dropna().max() if "rows" in frame and frame["rows"].notna().any() else None
    event: Any = st.plotly_chart(
        plot_tradeoff(chart, size_by, quality, int(rows) if rows else None),
        on_select="rerun",
        key="chart:tradeoff",
        alt=describe_tradeoff(chart, size_by, quality),
    )
    return {int(point["customdata"][0] if isinstance(point["customdata"], list) else point["customdata"])
            for point in event["selection"]["points"] if point.get("customdata") is not None}  # fmt: skip


def results_table(frame: pd.DataFrame) -> pd.DataFrame:
    """What the table shows: figures in the units of their headers, differences to the baseline."""
    quality = quality_of(frame)
    base = frame[frame["is_baseline"] & (frame["state"] == "succeeded")].head(1)
    base_size = base["size_bytes"].iloc[0] if len(base) else None

    def column(name: str, factor: float = 1.0) -> pd.Series:
        return (
            pd.to_numeric(frame[name], errors="coerce") * factor if name in frame else pd.Series(dtype=float)
        )

    value = column(quality.column, quality.factor)
    table = pd.DataFrame(
        {
            "id": frame["id"],
            "recipe": frame["recipe"] + frame["is_baseline"].map({True: "  (baseline)", False: ""}),
            "state": frame["state"],
            "size": column("size_bytes", 1e-3),
            "smaller": base_size / column("size_bytes") if base_size else None,
            "gzip": column("gzip_bytes", 1e-3),
            "quality": value,
            "change": value - value[base.index[0]] if len(base) and len(value) else None,
            "verdict": frame.get("verdict"),
            "latency": column("latency_ms_p50", 1000),
            "speedup": column("speedup"),
            "sparsity": column("sparsity", 100),
        },
        index=frame.index,
    )
    done = frame["state"] == "succeeded"
    table["download"] = [download_url(i) if ok else None for i, ok in zip(frame["id"], done, strict=True)]
    table["details"] = [f"/run?id={i}" for i in frame["id"]]
    return table


def show_table(frame: pd.DataFrame) -> set[int]:
    """The table; returns the selected runs."""
    quality = quality_of(frame)
    number = st.column_config.NumberColumn
    event: Any = st.dataframe(
        results_table(frame),
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        key="table:runs",
        column_config={
            "id": number("Run", width=50, pinned=True),
            "recipe": st.column_config.TextColumn("Recipe", width="medium", pinned=True),
            "state": "State",
            "size": number("Size (kB)", format="%.1f", help="Bytes of the .tflite / 1,000"),
            "smaller": number("Smaller", format="%.2f×", help="Size of the baseline / size"),
            "gzip": number("Gzip (kB)", format="%.1f", help="Where pruning and clustering show"),
            "quality": number(quality.title, format="%.2f"),
            "change": number("Change", format="%+.2f", help="Against the baseline, on the same rows"),
            "verdict": st.column_config.TextColumn(
                "Verdict", help="Whether these rows show a real difference"
            ),
            "latency": number("p50 (µs)", format="%.1f"),
            "speedup": number(
                "Speed-up", format="%.2f×", help="Measured interleaved with the baseline, on the same host"
            ),
            "sparsity": number("Sparsity (%)", format="%.1f"),
            "download": st.column_config.LinkColumn("File", display_text="Download"),
            "details": st.column_config.LinkColumn("Details", display_text="Open"),
        },
    )
    return {int(frame["id"].iloc[i]) for i in event["selection"]["rows"] if i < len(frame)}


def show_comparison(store: Store, frame: pd.DataFrame, selected: set[int]) -> None:
    """Two or more runs side by side: figures with their difference to the first, and bars for each layer."""
    chosen = frame[frame["id"].isin(selected) & (frame["state"] == "succeeded")].head(MOST_COMPARED)
    st.subheader("Side by side")
    if len(chosen) < 2:
        st.info(
            "Select two or more finished runs in the table or on the chart to compare them.",
            icon=":material/compare:",
        )
        return
    quality = quality_of(frame)
    first = chosen.iloc[0]
    for column, (_, run) in zip(st.columns(len(chosen)), chosen.iterrows(), strict=True):
        with column.container(border=True, height="stretch"):
            _figures(run, None if run["id"] == first["id"] else first, quality)
    layers = {
        f"{run['id']} · {run['recipe']}": (
            stored.get_detail(store.database, int(run["id"]))["measured"] or {}
        ).get("layers", [])
        for _, run in chosen.iterrows()
    }
    quantity = st.segmented_control(
        "Layer by layer", list(QUANTITIES), default="weight_bytes", required=True,
        format_func=lambda q: QUANTITIES[q][0], key="compare:quantity",
    )  # fmt: skip
    values = layer_values(layers, quantity or "weight_bytes")
    st.plotly_chart(
        plot_layer_bars(values, quantity or "weight_bytes"),
        alt=f"{QUANTITIES[quantity or 'weight_bytes'][0]} of {len(values)} layers for {len(layers)} runs.",
    )


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
    st.caption(f"run {run['id']}" + (" · baseline" if run["is_baseline"] else ""))
    left, right = st.columns(2)
    left.metric("Size", size(run["size_bytes"]), change("size_bytes", relative), delta_color="inverse")
    right.metric("Gzip", size(run["gzip_bytes"]), change("gzip_bytes", relative), delta_color="inverse")
    if quality.unit == "%":
        shown, delta = percent(run[quality.column], 2), change(quality.column, difference)
    else:
        value = run.get(quality.column)
        shown = NOTHING if is_missing(value) else f"{value:.4g} {quality.unit}".strip()
        delta = change(quality.column, relative)
    colour: Any = "normal" if quality.is_higher_better else "inverse"
    left.metric(quality.label, shown, delta, delta_color=colour)
    right.metric("Sparsity", percent(run.get("sparsity")))
    left.metric("Latency p50", milliseconds(run["latency_ms_p50"]))
    right.metric("Speed-up", times(run["speedup"]), help="Against the baseline, measured interleaved with it")
    st.caption(run.get("verdict_text") or "")
    st.link_button(
        "Download .tflite", download_url(int(run["id"])), icon=":material/download:", width="stretch"
    )
