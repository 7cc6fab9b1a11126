"""One run: its cost in a sentence, and its metrics, its verdict and all details in tabs."""

import streamlit as st

from lwdash.ui.run.actions import show_changes, show_file_problem, show_results_links
from lwdash.ui.run.advice_panel import show_growth
from lwdash.ui.run.details_state import show_details_state
from lwdash.ui.run.downloads_panel import show_takeaway
from lwdash.ui.run.overview_tab import show_name, show_output_findings, show_state, summary, waiting_message
from lwdash.ui.run.stages_log import show_log, show_stages
from lwdash.ui.run.tabs import show_tabs
from lwdash.ui.run.try_recipe import show_started
from lwdash.ui.shared import page_paths
from lwdash.ui.shared.access import can_change
from lwdash.ui.shared.address_ids import absent, chosen_id
from lwdash.ui.shared.context import opened
from lwdash.ui.shared.generated_notice import show_generated
from lwdash.ui.shared.progress import follow_run
from storage import experiments, run_rows
from storage.frames import newest_run
from storage.tables import RECIPE

settings, store = opened()
run_id = chosen_id("run", newest_run(store.database))
run = run_rows.get_run(store.database, run_id) if run_id else None
experiment = experiments.get_experiment(store.database, run.experiment_id) if run else None
if run is None or experiment is None or run_id is None or run.kind != RECIPE:
    st.title("Run")
    st.info(absent("run"), icon=":material/layers:")
    st.page_link(page_paths.OVERVIEW, label="All experiments", icon=":material/science:")
    st.stop()

may_change = can_change(experiment)
show_name(store, run, experiment)
show_generated(experiment)
show_file_problem(store, run, may_start=may_change)
if run.has_succeeded:
    st.header(summary(run)[:1].upper() + summary(run)[1:], anchor=False)
    show_growth(store, run, experiment)
with st.container(horizontal=True, vertical_alignment="center"):
    if run.has_succeeded:
        show_takeaway(run, may_change=may_change)
    if may_change:
        show_changes(store, run)
    show_results_links(store, run)

show_started()
details = run_rows.get_detail(store.database, run_id)
if run.has_succeeded:
    show_output_findings(run)
    show_details_state(store, run_id)
    show_tabs(settings, store, run, details, experiment, may_start=may_change)
else:
    if not run.has_ended:
        st.caption(waiting_message(run))
        follow_run(store, run_id, can_cancel=may_change)
    else:
        show_state(run)
    if details.compressed:
        show_stages(details.compressed)
    if run.state != "queued":
        show_log(settings, store, run_id)
