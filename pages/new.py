"""A new experiment: model, data, recipes, start."""

from pathlib import Path

import streamlit as st

from lwdash.engine import submit
from lwdash.ui import places
from lwdash.ui.context import opened
from lwdash.ui.progress import follow_all
from lwdash.ui.recipe_editor import clear_recipes, recipe_editor
from lwdash.ui.wizard import data_step, model_step

settings, store = opened()
st.title("New experiment")
follow_all(store)

st.header("1 · Model")
model = model_step(settings, store)
if model is None:
    st.stop()
facts, model_row = model

st.header("2 · Data")
data = data_step(settings, store, facts)
if data is None:
    st.stop()

st.header("3 · Recipes")
st.caption(
    "The standard sweep: each number format, two sparsities, clusters, and all of it together. Edit it as you like."
)
recipes = recipe_editor(submit.STANDARD_SWEEP, key="recipes", facts=model_row["facts"])
name = st.text_input("Name of the experiment", Path(model_row["name"]).stem, max_chars=200)

if recipes:
    st.caption(f"{len(recipes)} recipes and the float32 baseline that they are compared with.")
if st.button("Start", type="primary", icon=":material/play_arrow:", disabled=not recipes) and recipes:
    experiment = submit.create_experiment(
        store,
        name=name,
        model_row=model_row,
        data_row=data.row,
        settings=data.settings,
        own_parts=data.own_parts,
    )
    submit.submit_runs(store, experiment, recipes)
    clear_recipes("recipes")
    st.switch_page(places.EXPERIMENT, query_params={"id": str(experiment)})
