"""The bytes of a run's file: four counts, a treemap, the tables, and Deep Compression's accounting."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from lwdash.charts.ledger_treemap import CATEGORIES, describe_ledger, ledger_parts, plot_ledger
from lwdash.metrics.layer_metrics import layer_of
from lwdash.ui.run.deep_compression_table import show_deep_compression
from lwdash.ui.run.storage_forms_table import show_storage_forms
from lwdash.ui.shared.data_table import data_table
from lwdash.ui.shared.figure import show_figure
from lwdash.ui.shared.number_text import NOTHING, is_missing, size
from storage.records import StoredRun

METRIC_WIDTH = 170


def show_bytes(run: StoredRun, measured: Mapping[str, Any]) -> None:
    """All measurements of a succeeded run about size."""
    layers = measured.get("layers") or []
    _four_ways(run, layers)
    show_storage_forms(run)
    if layers and run.size_bytes is not None:
        parts = ledger_parts(layers, measured.get("ledger") or {}, run.size_bytes)
        show_figure(plot_ledger(parts), alt=describe_ledger(parts), key="run:ledger", file_name="bytes")
        _categories(parts)
        _layers(layers)
    if measured.get("deep_compression"):
        show_deep_compression(measured["deep_compression"], _other_form(run))


def entropy_floor_bytes(layers: Any) -> float | None:
    """The lower bound for the weights if each value is coded by its frequency; biases as stored."""
    total, known = 0.0, False
    for row in layers:
        if is_missing(row.get("entropy_bits")) or is_missing(row.get("weight_bytes")):
            continue
        known = True
        kernels = row.get("kernel_values") or 0
        coded = kernels or row.get("parameters") or 0
        stored = kernels * (row.get("bits_per_weight") or 0) / 8 if kernels else row["weight_bytes"]
        total += coded * row["entropy_bits"] / 8 + max(0.0, row["weight_bytes"] - stored)
    return total if known else None


def _other_form(run: StoredRun) -> int | None:
    """Bytes of the file in a storage form that LiteRT does not run; None where there is none."""
    return run.metrics.get("stored_bytes") if run.stored_sha256 else None


def _four_ways(run: StoredRun, layers: Any) -> None:
    floor = entropy_floor_bytes(layers)
    cells = [
        ("File", run.size_bytes, "as flashed", "The .tflite, byte for byte"),
        ("Stored", _other_form(run), "in its storage form", "Look-up tables or coded: a file beside the .tflite"),
        ("Gzipped", run.gzip_bytes, "as downloaded", "The whole file through gzip: shows the gain from zeros and repeats"),
        ("Weights", run.metrics.get("weight_bytes"), "as stored", "The trained values in the file"),
        ("Huffman", run.metrics.get("huffman_bytes"), "the weights coded", "Code bits and code books, tensor by tensor"),
        ("Entropy floor", floor, "value by value", "The lower bound for a code of single values, without its code book"),
    ]  # fmt: skip
    with st.container(horizontal=True, key="figures-bytes"):
        for label, value, below, help in cells:
            if not is_missing(value):
                with st.container(border=True, width=METRIC_WIDTH, gap=None):
                    st.metric(label, size(value), help=help)
                    st.caption(below)


def _categories(parts: pd.DataFrame) -> None:
    totals = parts.groupby("category")["bytes"].sum()
    whole = int(totals.sum())
    table = pd.DataFrame(
        [
            {
                "category": label,
                "bytes": int(totals[name]),
                "share": 100 * totals[name] / whole,
                "meaning": meaning,
            }
            for name, (label, _, meaning) in CATEGORIES.items()
            if name in totals
        ]
    )
    data_table(
        table,
        hide_index=True,
        alt="Bytes of the file by category",
        column_config={
            "category": st.column_config.TextColumn("What", width=110),
            "bytes": st.column_config.NumberColumn("Bytes", format="localized", width=90),
            "share": st.column_config.ProgressColumn(
                "Share (%)", format="%.1f", min_value=0, max_value=100, width=160
            ),
            "meaning": st.column_config.TextColumn("Meaning", width=460),
        },
    )
    st.caption(f"The categories sum to the file's {whole:,} bytes.")


def _layers(layers: Any) -> None:
    columns = {
        "weight_bytes": "Weights", "quantization_bytes": "Scales", "graph_bytes": "Graph", "name_bytes": "Names",
        "constant_bytes": "Constants", "bytes": "All", "huffman_bytes": "Weights, Huffman",
    }  # fmt: skip
    table = pd.DataFrame([{"layer": layer_of(row), **{c: row.get(c) for c in columns}} for row in layers])
    table = (
        table.dropna(axis="columns", how="all").groupby("layer", sort=False).sum(min_count=1).reset_index()
    )
    with st.expander(f"Bytes of each layer ({len(table)})"):
        data_table(
            table,
            hide_index=True,
            placeholder=NOTHING,
            alt="Bytes of each layer by category",
            column_config={
                "layer": st.column_config.TextColumn("Layer", pinned=True),
                **{
                    c: st.column_config.NumberColumn(f"{label} (B)", format="localized")
                    for c, label in columns.items()
                },
            },
        )
