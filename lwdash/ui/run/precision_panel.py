"""The choices that a run made for each layer: the recipe that it found, and the files or models that it tried."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from lwdash.charts.precision_steps import describe_precision_steps, plot_precision_steps, precision_steps
from lwdash.ui.shared.data_table import data_table
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
        data_table(
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


def show_by_layer(compressed: Mapping[str, Any]) -> None:
    """Step and table for each stage with `sparsity=auto`; nothing for other runs."""
    for stage in compressed.get("stages", []):
        found = (stage.get("facts") or {}).get("by_layer")
        if found:
            _show_strengths(found)


def _show_strengths(found: Mapping[str, Any]) -> None:
    st.header("Sparsity by layer")
    st.caption(
        "Chosen on train rows, without their labels. This step does the same; copy it to change single layers. The values "
        "below are those before the fine-tuning."
    )
    st.code(found["recipe"], language=None, wrap_lines=True)
    attempts = found["attempts"]
    table = pd.DataFrame(
        {
            "Step": [one["recipe"] for one in attempts],
            "Weights left (%)": [100 * one["cost"] for one in attempts],
            "SQNR (dB)": [one["sqnr_db"] for one in attempts],
            "Changed rows (%)": [100 * one["changed"] for one in attempts],
            "Chosen": [one["recipe"] == found["recipe"] for one in attempts],
        }
    )
    data_table(
        table,
        hide_index=True,
        placeholder=NOTHING,
        alt=f"{len(attempts)} models that were tried; the chosen one changes {found['changed_rows']:.1%} of the rows",
        column_config={
            "Weights left (%)": st.column_config.NumberColumn(
                format="%.1f", help="Mean of the treated weights"
            ),
            "SQNR (dB)": st.column_config.NumberColumn(format="%.1f", help="Against the original model"),
            "Changed rows (%)": st.column_config.NumberColumn(
                format="%.2f", help="Train rows with another result than the original model"
            ),
        },
    )
