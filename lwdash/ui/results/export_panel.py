"""Exports of the results: the table as CSV or JSON, and the report."""

import pandas as pd
import streamlit as st

from lwdash.report.file_names import experiment_file_name
from lwdash.ui.results.experiment_report import report_of
from lwdash.ui.results.plain_records import to_csv, to_json
from lwdash.ui.results.trade_off_chart import chosen_axes
from lwdash.ui.results.view_state import selected
from storage.records import StoredExperiment
from storage.store import Store


def show_exports(store: Store, experiment: StoredExperiment, runs: pd.DataFrame, shown: pd.DataFrame) -> None:
    """The menu of exports: of the selected runs if any, otherwise of the shown ones."""
    chosen = runs[runs["id"].isin(selected())]
    exported = chosen if len(chosen) else shown
    of = (
        f"the {len(exported):,} {'selected' if len(chosen) else 'shown'} runs"
        if len(exported) != 1
        else "one run"
    )
    name = experiment_file_name(experiment.name)
    is_measured = bool((exported["state"] == "succeeded").any())
    # Downloads are created outside the session, on the click, so they must not use it.
    axes = chosen_axes(runs) if is_measured else None
    with st.popover("Export", icon=":material/download:"):
        st.caption(f"Export of {of}. To save a figure, point at it and choose PNG or SVG.")
        for label, has_figures, key, help in (
            ("Report (HTML)", True, "report", "One file with interactive figures and all tables, about 5 MB"),
            (
                "Light report (HTML)",
                False,
                "light-report",
                "Tables, and the figures in words; a few hundred kB",
            ),
        ):
            st.download_button(
                label,
                lambda has_figures=has_figures: (  # type: ignore[misc]
                    report_of(store, experiment, exported, axes, has_figures=has_figures) if axes else ""
                ),
                f"{name}-{key}.html", "text/html", key=f"results:{key}", icon=":material/description:",
                on_click="ignore", disabled=not is_measured, help=f"{help}; it needs no network", width="stretch",
            )  # fmt: skip
        for label, write, ending, kind in (
            ("Table (CSV)", to_csv, "csv", "text/csv"),
            ("Table (JSON)", to_json, "json", "application/json"),
        ):
            st.download_button(
                label, lambda write=write: write(exported), f"{name}-runs.{ending}", kind, key=f"results:{ending}",  # type: ignore[misc]
                icon=":material/table_view:", on_click="ignore", disabled=exported.empty, width="stretch",
            )  # fmt: skip
