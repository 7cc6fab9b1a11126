"""Deep Compression's table, on a run's own weights."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from lwdash.ui.shared.data_table import data_table
from lwdash.ui.shared.number_text import NOTHING, size, times


def show_deep_compression(coded: Mapping[str, Any], stored_bytes: int | None) -> None:
    """The table of Han et al., arXiv 1510.00149, on this file's own weights.

    stored_bytes: size of the file in its storage form, where it has another one.
    """
    kernels, total = coded["kernels"], coded["total"]
    if not kernels:
        return
    st.header("Packed weights: Deep Compression")
    st.caption(
        "The accounting of Han et al. (arXiv 1510.00149) on this file's weights: only non-zero weights "
        "are stored, as a distance and an index into a code book (P+Q), then Huffman-coded (P+Q+H). Each "
        "code was built and decoded again. Rates are relative to 32-bit floats; a plain .tflite stores "
        "every weight, a sparse one those that are not zero."
    )
    cells = st.columns(3 if stored_bytes is None else 4)
    if stored_bytes is not None:
        rate = times(total["float_bytes"] / stored_bytes)
        cells[3].metric(
            "Whole file, as stored", size(stored_bytes), help=f"A real file: {rate} smaller than the floats"
        )
    cells[0].metric("As floats", size(total["float_bytes"]))
    cells[1].metric("P+Q", size(total["pq_bytes"]), help=f"{times(total['pq_rate'])} smaller than as floats")
    cells[2].metric(
        "P+Q+H", size(total["pqh_bytes"]), help=f"{times(total['pqh_rate'])} smaller than as floats"
    )
    table = pd.DataFrame(kernels)
    table["kept"] *= 100
    number = st.column_config.NumberColumn
    data_table(
        table[["layer", "weights", "kept", "weight_bits", "weight_bits_huffman", "index_bits", "index_bits_huffman",
               "pq_rate", "pqh_bytes", "pqh_rate"]],
        hide_index=True,
        placeholder=NOTHING,
        column_config={
            "layer": "Keras layer",
            "weights": number("Weights", format="localized"),
            "kept": number("Kept (%)", format="%.1f", help="Weights that are not zero"),
            "weight_bits": number("Weight bits (P+Q)", format="%.0f", help="Index into the code book, per kept weight"),
            "weight_bits_huffman": number("Weight bits (P+Q+H)", format="%.2f"),
            "index_bits": number("Index bits (P+Q)", format="%.0f", help="Bits of the distance; 0: all are stored"),
            "index_bits_huffman": number("Index bits (P+Q+H)", format="%.2f"),
            "pq_rate": number("Rate (P+Q)", format="%.1f×"),
            "pqh_bytes": number("Bytes (P+Q+H)", format="localized"),
            "pqh_rate": number("Rate (P+Q+H)", format="%.1f×"),
        },
    )  # fmt: skip
    st.caption(
        f"Biases, scales and other trained values: {size(coded['others_bytes'])}, as stored; included "
        "in the totals above."
    )
