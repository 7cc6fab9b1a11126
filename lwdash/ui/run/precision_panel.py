"""The choice of `auto` on a run's page: the recipe that it found, and the files that it tried."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from lwdash.charts.precision_steps import describe_precision_steps, plot_precision_steps, precision_steps
from lwdash.ui.shared.figure import show_figure
from lwdash.ui.shared.number_text import NOTHING


def show_precision(compressed: Mapping[str, Any]) -> None:
    """Recipe, chart and table; nothing for runs without an automatic choice."""
    facts = [stage.get("facts") or {} for stage in compressed.get("stages", [])]
    found = next((one["auto"] for one in facts if "auto" in one), None)
    if not found:
        return
    st.header("Formats by layer")
    st.caption(
        "Chosen on calibration rows, without their labels. This recipe makes the same file; copy it to change single layers."
    )
    st.code(found["recipe"], language=None, wrap_lines=True)
    show_figure(
        plot_precision_steps(found),
        alt=describe_precision_steps(found),
        key="run:precision",
        file_name="formats-by-layer",
    )
    with st.expander("As a table"):
        steps = precision_steps(found)
        table = pd.DataFrame(
            {
                "Recipe": steps["recipe"],
                "Size (kB)": steps["kb"],
                "SQNR (dB)": steps["sqnr_db"],
                "Changed rows (%)": steps["changed"],
                "Chosen": steps["is_chosen"],
            }
        )
        st.dataframe(
            table,
            hide_index=True,
            placeholder=NOTHING,
            alt=describe_precision_steps(found),
            column_config={
                "Size (kB)": st.column_config.NumberColumn(format="%.1f"),
                "SQNR (dB)": st.column_config.NumberColumn(format="%.1f", help="Against the float file"),
                "Changed rows (%)": st.column_config.NumberColumn(
                    format="%.2f", help="Calibration rows with another result than the float file"
                ),
            },
        )
