"""Chosen runs of one experiment beside each other; the address names them, so that it can be shared."""

import streamlit as st

from lwdash.ui.compare.chosen_runs import MIN_RUNS, choose_runs
from lwdash.ui.compare.comparison import show_comparison
from lwdash.ui.results.run_frame import results_frame
from lwdash.ui.shared import page_paths
from lwdash.ui.shared.address_ids import absent, chosen_id
from lwdash.ui.shared.context import opened
from lwdash.ui.shared.generated_notice import show_generated
from lwdash.ui.shared.markdown_text import plain
from storage import experiments
from storage.frames import newest_experiment

_, store = opened()
experiment_id = chosen_id("experiment", newest_experiment(store.database))
experiment = experiments.get_experiment(store.database, experiment_id) if experiment_id else None
st.title("Compare")
if experiment is None or experiment_id is None:
    st.info(absent("experiment"), icon=":material/compare:")
    st.page_link(page_paths.OVERVIEW, label="All experiments", icon=":material/science:")
    st.stop()

st.page_link(
    page_paths.EXPERIMENT,
    label=f"Results of {plain(experiment.name)}",
    icon=":material/scatter_plot:",
    query_params={"experiment": str(experiment_id)},
)
show_generated(experiment)
runs = results_frame(store, experiment_id)
done = runs[runs["state"] == "succeeded"]
chosen, reference = choose_runs(done)
if reference is None or len(chosen) < MIN_RUNS:
    st.info(
        "Choose two to six measured runs above, or select them on the results page.",
        icon=":material/compare:",
    )
    st.stop()
compared = done.set_index("id", drop=False).loc[chosen].reset_index(drop=True)
show_comparison(store, experiment, compared, reference)
