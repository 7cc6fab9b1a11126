"""The goal and the device of a new experiment, and the first recipes that follow from them."""

from collections.abc import Sequence

import streamlit as st

from lwdash.keras_models.model_facts import ModelFacts
from lwdash.keras_models.obstacles import obstacle
from lwdash.recipe import parse_recipe
from lwdash.search.sweeps import DEVICES, SWEEP_GOALS, sweep
from lwdash.techniques import TECHNIQUES
from lwdash.ui.shared.recipe_editor import fill_recipes

_SWEEP = "new:sweep"
"""In the session: the recipes of the goal and device that were chosen when the page was last drawn."""


def goal_fields() -> tuple[str, str]:
    """The two questions at the top; a goal of `SWEEP_GOALS` and a device of `DEVICES`."""
    for key, known, usual in (("new:aim", SWEEP_GOALS, "size"), ("new:device", DEVICES, "any")):
        if st.session_state.get(key) not in known:
            st.session_state[key] = usual
    with st.container(horizontal=True):
        aim = st.segmented_control(
            "Goal", list(SWEEP_GOALS), key="new:aim", required=True, wrap=True, format_func=SWEEP_GOALS.__getitem__,
            help="The recipes of step 4 begin with those that serve it. You can change them there",
        )  # fmt: skip
        device = st.segmented_control(
            "Device", list(DEVICES), key="new:device", required=True, wrap=True,
            format_func=lambda name: DEVICES[name].label,
            help="  \n".join(f"{one.label}: {one.help}" for one in DEVICES.values()),
        )  # fmt: skip
    if aim == "board":
        st.caption(
            "Set the board's flash and RAM in step 3. The page of each run shows which boards it fits."
        )
    return str(aim), str(device)


def follow_goal(
    editor: str, facts: ModelFacts, aim: str, device: str, *, may_train: bool = True
) -> Sequence[str]:
    """The recipes to start with. A list that the user has not edited is replaced when the goal or the device changes.

    editor: key of the `recipe_editor`. facts: the model's; recipes that cannot work with it are left out.
    may_train: False leaves out recipes that train, which need data.
    """
    start = possible_recipes(sweep(aim, device), facts, may_train=may_train)
    text = "\n".join(start)
    kept = st.session_state.get(f"{editor}:kept")
    if (
        kept is not None
        and kept != text
        and kept in (st.session_state.get(_SWEEP), "\n".join(sweep(aim, device)))
    ):
        fill_recipes(editor, start)
    st.session_state[_SWEEP] = text
    return start


def possible_recipes(recipes: Sequence[str], facts: ModelFacts, *, may_train: bool = True) -> list[str]:
    """Those recipes whose steps can all treat this model; may_train: True includes those that train."""
    return [
        text
        for text in recipes
        if (may_train or not parse_recipe(text).is_trained)
        and not any(
            obstacle(facts, step.name, TECHNIQUES[step.name].STAGE) for step in parse_recipe(text).steps
        )
    ]
