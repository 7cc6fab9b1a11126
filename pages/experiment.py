"""The results of one experiment: what runs, the trade-off, the table, runs side by side."""

import streamlit as st

from lwdash.engine import submit
from lwdash.ui import places
from lwdash.ui.cards import plain
from lwdash.ui.context import opened
from lwdash.ui.pick import chosen_id
from lwdash.ui.progress import live_runs
from lwdash.ui.recipe_editor import clear_recipes, recipe_editor
from lwdash.ui.results import show_comparison, show_failures, show_table, show_tradeoff
from storage import experiments
from storage.frames import newest_experiment, progress_of, runs_frame

settings, store = opened()
experiment_id = chosen_id(newest_experiment(store.database))
experiment = experiments.get_experiment(store.database, experiment_id) if experiment_id else None
if experiment is None or experiment_id is None:
    st.title("Results")
    wanted = f"There is no experiment {experiment_id}." if experiment_id else "There are no experiments yet."
    st.info(f"{wanted} Start one to see its results here.", icon=":material/science:")
    st.page_link(places.NEW, label="New experiment", icon=":material/add_circle:")
    st.page_link(places.OVERVIEW, label="All experiments", icon=":material/science:")
    st.stop()

st.title(plain(experiment["name"]))
st.caption(f"{plain(experiment['model_name'])} · {plain(experiment['data_name'])} · {experiment['task']}")
live_runs(store, experiment_id)

frame = runs_frame(store.database, experiment_id)
total = sum(progress_of(store.database, experiment_id).values())
if total > len(frame):
    st.caption(f"Shown: {len(frame):,} of {total:,} runs, the newest and the baseline.")
if (frame["state"] == "succeeded").any():
    on_chart = show_tradeoff(frame)
else:
    on_chart = set()
    if (frame["state"].isin(["queued", "running"])).any():
        st.info("The chart appears with the first measured run.", icon=":material/hourglass_empty:")
ended = frame[~frame["state"].isin(["queued", "running"])].reset_index(drop=True)
if len(ended):
    in_table = show_table(ended)
    show_failures(ended)
    show_comparison(store, ended, on_chart | in_table)

with st.expander("More recipes for this experiment", icon=":material/add:"):
    recipes = recipe_editor([], key=f"more:{experiment_id}", facts=experiment["model_facts"])
    if st.button("Start", type="primary", icon=":material/play_arrow:", disabled=not recipes) and recipes:
        submit.submit_runs(store, experiment_id, recipes)
        clear_recipes(f"more:{experiment_id}")
        st.rerun()
