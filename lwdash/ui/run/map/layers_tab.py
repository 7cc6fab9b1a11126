"""The table of a file's operators, with selectable columns, and bars of any metric."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from lwdash.charts.operator_bars import describe_operator_bars, plot_operator_bars
from lwdash.metrics.layer_metrics import QUANTITIES, by_layer, layer_of, measured_quantities
from lwdash.ui.shared.data_table import data_table
from lwdash.ui.shared.figure import show_figure
from lwdash.ui.shared.number_text import NOTHING, counted

_text, _number = st.column_config.TextColumn, st.column_config.NumberColumn
_share = st.column_config.ProgressColumn
COLUMNS: Mapping[str, Any] = {
    "type": _text("Operator", width=165),
    "layer": _text("Keras layer", width=160, pinned=True, help="The Keras layer of this operator"),
    "weights": st.column_config.BarChartColumn(
        "Weights", width=95, help="Histogram of the kernel's weights from the smallest to the largest, without zeros"
    ),
    "parameters": _number("Params", format="localized", width=80, help="Weights and biases"),
    "macs": _number("MACs", format="localized", width=90, help="Multiply-accumulates for one sample"),
    "bytes": _number("Bytes (B)", format="localized", width=85, help="All bytes in the file that belong to the operator"),
    "weight_bytes": _number("Weights (B)", format="localized", width=95, help="As stored"),
    "quantization_bytes": _number("Scales (B)", format="localized", width=85, help="Scales and zero points"),
    "huffman_bytes": _number("Huffman (B)", format="localized", width=95, help="The weights Huffman-coded"),
    "bits_per_weight": _number("Bits", format="%.1f", width=55, help="Bits a weight"),
    "sparsity": _share(
        "Zeros (%)", format="%.1f", min_value=0, max_value=100, width=100, help="Sparsity: weights that are zero",
    ),
    "distinct_values": _number("Distinct stored", format="localized", width=110, help="Integers in a quantized kernel"),
    "entropy_bits": _number("Entropy (bit)", format="%.2f", width=95, help="Minimum bits per weight"),
    "weight_sqnr_db": _number("Weight SQNR (dB)", format="%.1f", width=125, help="Compared with the baseline's weights"),
    "output_sqnr_db": _number(
        "Output SQNR (dB)", format="%.1f", width=115,
        help="Compared with the baseline's output on calibration rows: ratio of the signal to the error",
    ),
    "output_sqnr_generated_db": _number(
        "Output SQNR, generated rows (dB)", format="%.1f", width=215,
        help="Compared with the baseline's output on rows that were generated from the model, not on real ones",
    ),
    "time_share": _share(
        "Time (%)", format="%.1f", min_value=0, max_value=100, width=110, help="Each operator is timed alone",
    ),
    "ms": _number("Time (µs)", format="%.2f", width=85, help="The operator, cut out and timed alone"),
    "is_in_xnnpack": st.column_config.CheckboxColumn(
        "Fast kernel", width=85, help="XNNPACK, LiteRT's fast kernels, runs it; empty for unpacking of weights",
    ),
    "weight_dtype": _text("Weight type", width=85),
    "input_dtype": _text("Input type", width=80),
    "output_dtype": _text("Output type", width=90),
    "output_shape": _text("Output shape", width=120),
    "constant_bytes": _number("Constants (B)", format="localized", width=100, help="Shapes, axes and scalars"),
    "graph_bytes": _number("Graph (B)", format="localized", width=85, help="Its part of the graph's tables"),
    "name_bytes": _number("Names (B)", format="localized", width=85, help="Names of its tensors"),
}  # fmt: skip
"""Column → its format, in the order of the table."""
FIRST = (
    "type", "layer", "weights", "parameters", "bytes", "bits_per_weight", "sparsity", "distinct_values",
    "output_sqnr_db", "output_sqnr_generated_db", "time_share", "weight_dtype", "output_dtype",
)  # fmt: skip
"""The columns shown at first."""


def show_layers(layers: Sequence[Mapping[str, Any]], kernels: Sequence[Mapping[str, Any]]) -> None:
    """Bars of a chosen metric, and the table. kernels: from `analyses.graph_data`, for the small histograms."""
    offered = measured_quantities(layers)
    if offered:
        quantity = QUANTITIES[
            st.selectbox(
                "Quantity", offered, format_func=lambda q: QUANTITIES[q].label, key="run:quantity", width=260
            )
        ]
        st.caption(quantity.meaning)
        values = by_layer(layers, quantity)
        show_figure(
            plot_operator_bars(values, quantity),
            alt=describe_operator_bars(values, quantity),
            key="run:bars",
            file_name=f"layers-{quantity.label.lower().replace(' ', '-')}",
        )
    table = layer_frame(layers, kernels)
    known = list(table.columns)
    with st.popover("Columns", icon=":material/view_column:"):
        chosen = st.pills(
            "Columns of the table", known, default=[c for c in FIRST if c in known], selection_mode="multi",
            format_func=_label, key="run:columns",
        )  # fmt: skip
    shown = [c for c in known if c in chosen] or known
    data_table(
        table[shown],
        hide_index=True,
        placeholder=NOTHING,
        height="auto" if len(table) <= 12 else 460,
        row_height=40 if "weights" in shown else None,
        alt=f"{counted(len(table), 'operator')} of the file with {len(shown)} of {len(known)} columns",
        column_config={c: COLUMNS[c] for c in shown},
    )
    is_generated = "output_sqnr_generated_db" in known
    st.caption(
        "SQNR is the ratio of the signal to the error, compared with the baseline on "
        f"{'rows that were generated from the model' if is_generated else 'calibration rows'}: "
        "at 20 dB the error is 1 % of the signal's power. An output's SQNR includes earlier losses. The "
        "last one's may differ from the file's, which is measured on evaluation rows and with XNNPACK: "
        "its kernels hide values between operators and round a dynamic file's activations in another "
        "way. Each operator is timed alone, so times show proportions; the whole file's latency is above."
    )


def layer_frame(layers: Sequence[Mapping[str, Any]], kernels: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per operator; only the columns with measured values, in the order of `COLUMNS`."""
    histograms = {kernel["index"]: halved(kernel["counts"]) for kernel in reversed(kernels)}
    rows = []
    for row in layers:
        values = {c: row.get(c) for c in COLUMNS}
        values["layer"] = row.get("layer") or layer_of(row)
        values["weights"] = None if row.get("subgraph") else histograms.get(row.get("index"))
        for share in ("sparsity", "time_share"):
            values[share] = None if row.get(share) is None else 100 * row[share]
        values["ms"] = None if row.get("ms") is None else 1000 * row["ms"]
        if not row.get("parameters"):
            values |= dict.fromkeys(("sparsity", "distinct_values", "entropy_bits"))
        if row.get("output_shape"):
            values["output_shape"] = "×".join(map(str, row["output_shape"]))
        rows.append(values)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.dropna(axis="columns", how="all")


def halved(counts: Sequence[int]) -> list[int]:
    """Pairs of bins joined, to fit a cell's width."""
    return [a + b for a, b in zip(counts[::2], counts[1::2], strict=True)]


def _label(column: str) -> str:
    return str(COLUMNS[column]["label"])
