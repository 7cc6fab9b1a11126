"""Notice on a run's page while its details are measured: layers, operators, loss of each stage."""

import streamlit as st

from lwdash.ui.shared.markdown_text import plain
from storage import run_rows, runs
from storage.analyses import analysis_of
from storage.store import Store


def show_details_state(store: Store, run_id: int) -> None:
    """One line while the details are being measured, or the reason why they could not be; nothing once they exist."""
    details = analysis_of(store.database, run_id, runs.DETAILS)
    if details is None or details.has_succeeded:
        return
    if not details.has_ended:
        _follow(store, details.id)
        return
    why = plain(details.error or "it was cancelled")
    st.warning(
        (
            f"The times and errors of single layers were not measured: {why} Start the run again to "
            "measure them."
        ),
        icon=":material/warning:",
    )


@st.fragment(run_every=1.0)
def _follow(_store: Store, details_id: int) -> None:
    details = run_rows.get_run(_store.database, details_id)
    if details is None or details.has_ended:
        st.rerun()
    st.caption(":material/progress_activity: Times and errors of single layers are being measured.")
