"""A new experiment in four steps: model, data, limits, recipes. A user can leave the page and continue by its address."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import streamlit as st

from lwdash.engine import submit
from lwdash.ui.new.draft import RECIPES, SEARCH, clear_draft, has_draft, keep_draft, restore_draft
from lwdash.ui.new.goal_step import follow_goal, goal_fields
from lwdash.ui.new.limits_step import limits_step, threads_field
from lwdash.ui.new.step_line import joins_note, recipe_notes, show_steps
from lwdash.ui.new.wizard import data_step, model_step
from lwdash.ui.shared import page_paths
from lwdash.ui.shared.context import expect_runs, opened
from lwdash.ui.shared.progress import follow_all
from lwdash.ui.shared.recipe_editor import clear_recipes, recipe_editor, without_training
from lwdash.ui.shared.search_form import search_form

settings, store = opened()
expect_runs(settings)
restore_draft(store)
with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
    st.title("New experiment", width="content")
    if has_draft():
        st.button("Start over", icon=":material/restart_alt:", on_click=clear_draft)
follow_all(store)
steps = st.container(key="step-line")

aim, device = goal_fields()
st.header("1 · Model", anchor="model")
model = model_step(settings, store)
if model is None:
    show_steps(steps, 0)
    keep_draft()
    st.stop()
facts, model_row = model

st.header("2 · Data", anchor="data")
data = data_step(settings, store, facts, model_row)
if data is None:
    show_steps(steps, 1)
    keep_draft()
    st.stop()

st.header("3 · Limits", anchor="limits")
has_data = data.settings.generated is None
limits = limits_step(settings, store, facts, has_data=has_data)

st.header("4 · Recipes", anchor="recipes")
start = follow_goal(RECIPES, facts, aim, device, may_train=has_data)
recipes = recipe_editor(start, key=RECIPES, facts=model_row.found_facts())
search = None
if has_data:
    search = search_form(store, model_row.found_facts(), limits, key=SEARCH, may_be_none=True)
else:
    recipes = without_training(recipes)
left, right = st.columns([3, 1], vertical_alignment="bottom")
name = left.text_input(
    "Name of the experiment", key="new:name", placeholder=Path(model_row.name).stem, max_chars=200
)
with right:
    threads = threads_field()
can_start = recipes is not None and bool(recipes or search)
show_steps(steps, 3 if can_start else 2, data.linted.findings)
described: dict[str, Any] = {
    "name": name or Path(model_row.name).stem,
    "model_row": model_row,
    "data_row": data.row,
    "settings": data.settings,
    "own_parts": data.own_parts,
    "threads": threads,
}
with st.container(horizontal=True, vertical_alignment="center", key="start-bar"):
    is_started = st.button("Start", type="primary", icon=":material/play_arrow:", disabled=not can_start)
    with st.container():
        recipe_notes(recipes, data.linted.findings)
        joins_note(submit.same_experiment(store, **described), limits)

if is_started and can_start:
    experiment = submit.create_experiment(store, limits=limits or None, **described)
    submit.switch_on_targets(store, experiment, limits)
    if recipes:
        submit.submit_runs(store, experiment, recipes)
    if search:
        submit.start_search(store, experiment, **asdict(search))
    clear_recipes(RECIPES)
    keep_draft()
    st.switch_page(page_paths.EXPERIMENT, query_params={"experiment": str(experiment)})
keep_draft()
