"""The notice on pages of an experiment whose rows were generated from its model."""

import streamlit as st

from lwdash.ui.shared.markdown_text import plain
from storage.records import StoredExperiment

NOTICE = (
    "Generated rows: this experiment has no data. Its rows, for calibration and for evaluation, were generated from the "
    "model. No accuracy was measured, and agreement and SQNR on generated rows do not replace it."
)


def show_generated(experiment: StoredExperiment) -> None:
    """Above all metrics; nothing for an experiment with data."""
    if experiment.generated is not None:
        st.warning(f"{NOTICE}  \n:small[{plain(experiment.generated)}]", icon=":material/science_off:")
