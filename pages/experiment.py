"""The results of one experiment: running steps, the trade-off, the table, comparison of runs, the report."""

import streamlit as st

from lwdash.ui.results.add_file_panel import add_file_menu
from lwdash.ui.results.limits_panel import edit_limits
from lwdash.ui.results.page_body import show_results
from lwdash.ui.results.search_panel import show_searches
from lwdash.ui.results.share_link import show_sharing
from lwdash.ui.results.targets_panel import edit_targets
from lwdash.ui.shared import page_paths
from lwdash.ui.shared.access import can_change
from lwdash.ui.shared.address_ids import absent, chosen_id
from lwdash.ui.shared.code_text import code_text
from lwdash.ui.shared.context import expect_runs, opened
from lwdash.ui.shared.generated_notice import show_generated
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.more_recipes import show_more_recipes
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
    st.title(plain(experiment.name), width="content")
    with st.container(horizontal=True, width="content"):
        if is_changeable:
            add_file_menu(settings, store, experiment_id)
            edit_targets(store, experiment)
            edit_limits(settings, store, experiment)
        show_sharing(settings, store, experiment)
parts = [plain(experiment.model_name), code_text(experiment), plain(experiment.data_name), experiment.task]
st.caption(" · ".join(part for part in parts if part))
show_generated(experiment)
# Each has a fixed place: elements that appear or disappear above do not move those below, which would briefly
# exist twice.
with st.container():
    show_results(settings, store, experiment, can_change=is_changeable)
with st.container():
    show_searches(store, experiment, can_change=is_changeable)
if is_changeable:
    show_more_recipes(store, experiment)
