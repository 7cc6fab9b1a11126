"""More runs for an existing experiment: the recipe editor below its results, created when it is opened."""

import streamlit as st

from lwdash.engine import submit
from lwdash.ui.shared.recipe_editor import clear_recipes, fill_recipes, recipe_editor, without_training
from storage.records import StoredExperiment
from storage.store import Store


def offer_recipes(experiment_id: int, recipes: list[str]) -> None:
    """Copy these recipes into the editor of an experiment's page and open it."""
    fill_recipes(_editor(experiment_id), recipes)
    st.session_state[_open(experiment_id)] = True
    text = "The recipe is" if len(recipes) == 1 else "The recipes are"
    st.toast(f"{text} in the editor at the end of the page.", icon=":material/content_copy:")


@st.fragment
def show_more_recipes(store: Store, experiment: StoredExperiment) -> None:
    """A folded form that queues more recipes in an experiment.

    experiment: a row of `get_experiment`.
    """
    number = experiment.id
    place = st.expander(
        "More recipes for this experiment", icon=":material/add:", key=_open(number), on_change="rerun"
    )
    if not place.open:
        return
    with place:
        recipes = recipe_editor([], key=_editor(number), facts=experiment.model_facts)
        if experiment.generated is not None:
            recipes = without_training(recipes)
        if st.button("Start", type="primary", icon=":material/play_arrow:", disabled=not recipes) and recipes:
            submit.submit_runs(store, number, recipes)
            clear_recipes(_editor(number))
            del st.session_state[_open(number)]
            st.rerun()


def _editor(experiment_id: int) -> str:
    return f"more:{experiment_id}"


def _open(experiment_id: int) -> str:
    return f"{_editor(experiment_id)}:open"
