"""The results of one experiment: what runs, the trade-off, the table, runs side by side, the report."""

import streamlit as st

from lwdash.ui.results.limits_panel import edit_limits
from lwdash.ui.results.page_body import show_results
from lwdash.ui.results.search_panel import show_searches
from lwdash.ui.results.share_link import show_sharing
from lwdash.ui.shared import page_paths
from lwdash.ui.shared.access import can_change
from lwdash.ui.shared.address_ids import absent, chosen_id
from lwdash.ui.shared.context import expect_runs, opened
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.more_recipes import show_more_recipes
from lwdash.ui.shared.progress import live_runs
from storage import experiments
from storage.frames import newest_experiment

settings, store = opened()
expect_runs(settings)
experiment_id = chosen_id("experiment", newest_experiment(store.database))
experiment = experiments.get_experiment(store.database, experiment_id) if experiment_id else None
if experiment is None or experiment_id is None:
    st.title("Results")
    st.info(f"{absent('experiment')} Start one to see its results here.", icon=":material/science:")
    st.page_link(page_paths.NEW, label="New experiment", icon=":material/add_circle:")
    st.page_link(page_paths.OVERVIEW, label="All experiments", icon=":material/science:")
    st.stop()

is_changeable = can_change(experiment)
with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
    st.title(plain(experiment["name"]), width="content")
    with st.container(horizontal=True, width="content"):
        if is_changeable:
            edit_limits(store, experiment_id, experiment["limits"] or {})
        show_sharing(settings, store, experiment)
st.caption(f"{plain(experiment['model_name'])} · {plain(experiment['data_name'])} · {experiment['task']}")
# Each has a place of its own: what comes and goes above moves nothing below, which would be there twice for a moment.
with st.container():
    live_runs(store, experiment_id, can_cancel=is_changeable)
with st.container():
    show_results(store, experiment, can_change=is_changeable)
with st.container():
    show_searches(store, experiment, can_change=is_changeable)
if is_changeable:
    show_more_recipes(store, experiment)
