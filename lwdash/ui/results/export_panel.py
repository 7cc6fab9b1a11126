"""Exports of the results: the table as CSV or JSON, and the report."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from lwdash.report.file_names import experiment_file_name
from lwdash.ui.results.experiment_report import report_of
from lwdash.ui.results.plain_records import to_csv, to_json
from lwdash.ui.results.trade_off_chart import chosen_axes
from lwdash.ui.results.view_state import selected
from storage.store import Store


def show_exports(
    store: Store, experiment: Mapping[str, Any], runs: pd.DataFrame, shown: pd.DataFrame
) -> None:
    """The menu of exports: of the selected runs where some are selected, otherwise of those that are shown."""
    chosen = runs[runs["id"].isin(selected())]
    taken = chosen if len(chosen) else shown
    of = f"the {len(taken):,} {'selected' if len(chosen) else 'shown'} runs" if len(taken) != 1 else "one run"
    name = experiment_file_name(experiment["name"])
    is_measured = bool((taken["state"] == "succeeded").any())
    # Downloads are made outside of the session, on the click: they must not ask it for anything.
    axes = chosen_axes(runs) if is_measured else None
    with st.popover("Export", icon=":material/download:"):
        st.caption(f"Of {of}. A picture of a figure: hover over it, PNG or SVG.")
        st.download_button(
            "Report (HTML)", lambda: report_of(store, experiment, taken, axes) if axes else "",
            f"{name}-report.html", "text/html",
            key="results:report", icon=":material/description:", on_click="ignore", disabled=not is_measured,
            help="One file with figures to zoom into and all tables; it needs no network", width="stretch",
        )  # fmt: skip
        for label, write, ending, kind in (
            ("Table (CSV)", to_csv, "csv", "text/csv"),
            ("Table (JSON)", to_json, "json", "application/json"),
        ):
            st.download_button(
                label, lambda write=write: write(taken), f"{name}-runs.{ending}", kind, key=f"results:{ending}",  # type: ignore[misc]
                icon=":material/table_view:", on_click="ignore", disabled=taken.empty, width="stretch",
            )  # fmt: skip
