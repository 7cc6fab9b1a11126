"""Targets that a run is measured on only when asked for, and the layers as targets report them."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from lwdash.engine import submit
from lwdash.targets import TARGETS
from lwdash.ui.shared.data_table import data_table
from lwdash.ui.shared.markdown_text import plain
from storage.analyses import analysis_of
from storage.errors import StorageError
from storage.records import StoredRun
from storage.store import Store
from storage.target_results import target_kind

WAITING_SECONDS = 2.0


def ask_for_target(store: Store, run: StoredRun, targets: Mapping[str, Any]) -> None:
    """The menu of targets without a result; targets: the results by name."""
    rest = [name for name in TARGETS if name not in targets]
    if not rest:
        return
    with st.popover("Measure on another target", icon=":material/memory:"):
        name = st.selectbox(
            "Target", rest, key="run:target", width=320, format_func=lambda name: TARGETS[name].LABEL
        )
        st.caption(TARGETS[name].SUMMARY)
        if st.button("Measure", key="run:measure_on_target", icon=":material/play_arrow:", type="primary"):
            try:
                submit.measure_on_target(store, run.id, name)
            except StorageError as error:
                st.error(plain(str(error)))
    asked = {name: analysis_of(store.database, run.id, target_kind(name)) for name in rest}
    waiting = tuple(
        name for name, analysis in asked.items() if analysis is not None and not analysis.has_ended
    )
    if waiting:
        _follow(store, run.id, waiting)
    for name, analysis in asked.items():
        if analysis is not None and analysis.is_retryable:
            st.caption(plain(f"{TARGETS[name].LABEL}: {analysis.error or 'it was cancelled'}"))


@st.fragment(run_every=WAITING_SECONDS)
def _follow(store: Store, run_id: int, names: tuple[str, ...]) -> None:
    """The progress of targets that were asked for; the page is drawn again when one has ended."""
    for name in names:
        analysis = analysis_of(store.database, run_id, target_kind(name))
        if analysis is None or analysis.has_ended:
            st.rerun()
        st.caption(f"{TARGETS[name].LABEL}: {plain(analysis.doing or analysis.state)}")


def show_target_layers(targets: Mapping[str, Any]) -> None:
    """The layers of the targets that report them, one table a target."""
    for name, found in targets.items():
        if not found.get("layers"):
            continue
        label = TARGETS[name].LABEL if name in TARGETS else name
        with st.expander(f"Layers on {label}"):
            data_table(
                layers_frame(found["layers"]),
                hide_index=True,
                placeholder="–",
                column_config={
                    "Cycles": st.column_config.NumberColumn(
                        format="localized", help="Estimate of Arm's compiler Vela"
                    ),
                    "Share (%)": st.column_config.ProgressColumn(
                        format="%.1f", min_value=0.0, max_value=100.0
                    ),
                    "MACs": st.column_config.NumberColumn(format="localized"),
                },
            )


def layers_frame(layers: list[Mapping[str, Any]]) -> pd.DataFrame:
    """Operators in order, with their share of the cycles; no cycles for those that stay on the CPU."""
    total = sum(layer["cycles"] or 0 for layer in layers)
    return pd.DataFrame(
        {
            "Runs on": [layer["unit"] for layer in layers],
            "Operator": [layer["operator"] for layer in layers],
            "Cycles": [layer["cycles"] for layer in layers],
            "Share (%)": [
                100 * layer["cycles"] / total if layer["cycles"] and total else None for layer in layers
            ],
            "MACs": [layer["macs"] for layer in layers],
            "Name": [layer["name"] for layer in layers],
        }
    )
