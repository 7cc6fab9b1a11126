"""The line of steps at the top of a new experiment, and notes before its start."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from lwdash.datasets.linter.findings import ERROR, NOTE, Finding
from lwdash.recipe import Recipe
from lwdash.ui.new.linter_findings import count_text
from lwdash.ui.shared.markdown_text import plain
from storage.records import StoredExperiment

STEPS = ("Model", "Data", "Limits", "Recipes")


def show_steps(place: Any, reached: int, findings: Sequence[Finding] = ()) -> None:
    """Draw into `place` the finished steps, the next one, and a mark on the data if it has findings."""
    with place.container(horizontal=True, gap="small"):
        for number, name in enumerate(STEPS):
            grave = [f for f in findings if f.severity != NOTE] if name == "Data" else []
            if number < reached and grave:
                has_errors = any(f.severity == ERROR for f in grave)
                icon = ":material/error:" if has_errors else ":material/warning:"
                st.badge(f"{name}: {count_text(grave)}", icon=icon, color="red" if has_errors else "orange")
            elif number < reached:
                st.badge(f"{name}: done", icon=":material/check:", color="green")
            elif number == reached:
                st.badge(f"{name}: now", icon=":material/arrow_forward:", color="blue")
            else:
                st.badge(name, icon=":material/radio_button_unchecked:", color="gray")


def recipe_notes(recipes: Sequence[Recipe] | None, findings: Sequence[Finding]) -> None:
    """Number of runs that start, number of training ones, and a warning if the data has errors."""
    if not recipes:
        return
    trained = sum(recipe.is_trained for recipe in recipes)
    text = f"{len(recipes)} recipe{'s' if len(recipes) > 1 else ''} and the float32 baseline for comparison."
    if trained:
        text += f" {trained} of them train{'s' if trained == 1 else ''} and take{'s' if trained == 1 else ''} longer."
    st.caption(text)
    errors = [finding for finding in findings if finding.severity == ERROR]
    if errors:
        st.error(
            f"The data has {count_text(errors)}, so metrics would be wrong. See step 2.",
            icon=":material/error:",
        )


def joins_note(known: StoredExperiment | None, limits: Mapping[str, float]) -> None:
    """A sentence on the experiment that the runs are added to, and on its limits; nothing for a new experiment."""
    if known is None:
        return
    text = f"The experiment “{known.name}” has this model and this data already: the runs are added to it."
    if limits and dict(known.limits) != dict(limits):
        text += " The limits of step 3 replace its own." if known.limits else " It gets the limits of step 3."
    elif known.limits and not limits:
        text += " It keeps its limits."
    st.caption(plain(text))
