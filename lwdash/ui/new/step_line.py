"""The line of steps on top of a new experiment, and what is to be said before its start."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from lwdash.datasets.linter.findings import ERROR, NOTE, Finding
from lwdash.recipe import Recipe
from lwdash.ui.new.linter_findings import count_words

STEPS = ("Model", "Data", "Limits", "Recipes")


def show_steps(place: Any, reached: int, findings: Sequence[Finding] = ()) -> None:
    """Draws into `place` which steps are done, which one is next, and a mark on the data where it has findings."""
    with place.container(horizontal=True, gap="small"):
        for number, name in enumerate(STEPS):
            grave = [f for f in findings if f.severity != NOTE] if name == "Data" else []
            if number < reached and grave:
                has_errors = any(f.severity == ERROR for f in grave)
                icon = ":material/error:" if has_errors else ":material/warning:"
                st.badge(f"{name}: {count_words(grave)}", icon=icon, color="red" if has_errors else "orange")
            elif number < reached:
                st.badge(f"{name}: done", icon=":material/check:", color="green")
            elif number == reached:
                st.badge(f"{name}: now", icon=":material/arrow_forward:", color="blue")
            else:
                st.badge(name, icon=":material/radio_button_unchecked:", color="gray")


def recipe_notes(recipes: Sequence[Recipe] | None, findings: Sequence[Finding]) -> None:
    """How many runs start, how many of them train, and whether the data has errors that they would be based on."""
    if not recipes:
        return
    trained = sum(recipe.is_trained for recipe in recipes)
    words = f"{len(recipes)} recipe{'s' if len(recipes) > 1 else ''} and the float32 baseline that they are compared with."
    if trained:
        words += f" {trained} of them train{'s' if trained == 1 else ''} and take{'s' if trained == 1 else ''} longer."
    st.caption(words)
    errors = [finding for finding in findings if finding.severity == ERROR]
    if errors:
        st.error(
            f"The data has {count_words(errors)}: figures made from it would be wrong. See step 2.",
            icon=":material/error:",
        )
