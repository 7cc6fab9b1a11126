"""One run: what it cost in a sentence, its figures and verdict, and all that is known of it in tabs."""

import streamlit as st

from lwdash.ui.run.actions import show_changes, show_file_problem, show_results_links
from lwdash.ui.run.details_state import show_details_state
from lwdash.ui.run.downloads_panel import show_takeaway
from lwdash.ui.run.overview_tab import show_figures, show_name, show_state, summary, waiting_words
from lwdash.ui.run.stages_log import show_log, show_stages
from lwdash.ui.run.tabs import show_tabs
from lwdash.ui.run.try_recipe import show_started
from lwdash.ui.shared import page_paths
from lwdash.ui.shared.access import can_change
from lwdash.ui.shared.address_ids import absent, chosen_id
from lwdash.ui.shared.context import opened
from lwdash.ui.shared.progress import follow_run
from storage import experiments, run_rows
from storage.frames import newest_run, run_row

settings, store = opened()
run_id = chosen_id("run", newest_run(store.database))
run = run_row(store.database, run_id) if run_id else None
if run is None or run_id is None:
    st.title("Run")
    st.info(absent("run"), icon=":material/layers:")
    st.page_link(page_paths.OVERVIEW, label="All experiments", icon=":material/science:")
    st.stop()

experiment = experiments.get_experiment(store.database, run["experiment_id"]) or {"name": "?"}
may_change = can_change(experiment)
whole = run_rows.get_run(store.database, run_id) or run
show_name(store, whole, experiment)
show_file_problem(store, whole, may_start=may_change)
if run["state"] == "succeeded":
    st.header(summary(run)[:1].upper() + summary(run)[1:], anchor=False)
with st.container(horizontal=True, vertical_alignment="center"):
    if run["state"] == "succeeded":
        show_takeaway(run_id, may_change=may_change)
    if may_change:
        show_changes(store, whole)
    show_results_links(store, run)

show_started()
detail = run_rows.get_detail(store.database, run_id)
if run["state"] == "succeeded":
    show_figures(run)
    show_details_state(store, run_id)
    show_tabs(settings, store, run, detail, experiment, may_start=may_change)
else:
    if run["state"] in ("queued", "running"):
        st.caption(waiting_words(run))
        follow_run(store, run_id, can_cancel=may_change)
    else:
        show_state(run)
    if detail["compressed"]:
        show_stages(detail["compressed"])
    if run["state"] != "queued":
        show_log(settings, store, run_id)
