"""Menu with the targets that an experiment's runs are measured on besides the usual ones."""

import streamlit as st

from lwdash.engine import submit
from lwdash.targets import TARGETS, USUAL
from lwdash.targets.result_columns import npu_of
from lwdash.ui.shared.number_text import counted
from storage.records import StoredExperiment
from storage.store import Store


def edit_targets(store: Store, experiment: StoredExperiment) -> None:
    """Runs that were measured before are measured on the chosen targets too."""
    usual = " and ".join(TARGETS[name].LABEL for name in USUAL)
    optional = [name for name in TARGETS if name not in USUAL]
    with (
        st.popover("Targets", icon=":material/memory:"),
        st.form(f"results:targets:{experiment.id}", border=False),
    ):
        st.caption(
            f"Every run is measured on {usual}. The metrics of an NPU are those of the first NPU chosen here."
        )
        chosen = st.multiselect(
            "Measure also on", optional, default=[name for name in experiment.targets if name in optional],
            format_func=lambda name: TARGETS[name].LABEL, key=f"results:targets:{experiment.id}:{experiment.targets}",
            placeholder="choose targets", width=360,
        )  # fmt: skip
        st.caption(f"NPU of the metrics now: {TARGETS[npu_of(experiment.targets)].LABEL}.")
        if st.form_submit_button("Save", icon=":material/save:", type="primary"):
            queued = submit.choose_targets(store, experiment.id, chosen)
            if queued:
                st.toast(f"{counted(queued, 'measurement')} queued", icon=":material/hourglass_empty:")
            st.rerun()
