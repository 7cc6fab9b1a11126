"""The form of a search: its goal, its number of runs, and the techniques to leave out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from lwdash.engine.submit import MAX_SEARCH_RUNS, usable_techniques
from lwdash.keras_models.model_facts import ModelFacts
from lwdash.search.space import GOALS, INTEGER_FORMATS
from lwdash.techniques import TECHNIQUES
from lwdash.ui.shared.number_text import seconds
from storage.queue import seconds_per_run
from storage.store import Store

NO_GOAL = ""
RUNS = 24


@dataclass(frozen=True)
class SearchChoice:
    """Arguments of `submit.start_search`."""

    goal: str
    budget: int
    formats: tuple[str, ...]
    techniques: tuple[str, ...]


def search_form(
    store: Store,
    facts: Mapping[str, Any],
    limits: Mapping[str, float],
    *,
    key: str,
    may_be_none: bool = False,
) -> SearchChoice | None:
    """The fields of a search, and a description of what it will do; None while it cannot be started.

    facts: the model's, as stored. limits: the experiment's. may_be_none: adds the choice of no search, as the
    first one.
    """
    goals = [*([NO_GOAL] if may_be_none else []), *GOALS]
    _settle(f"{key}:goal", lambda goal: goal in goals)
    _settle(f"{key}:runs", lambda runs: 1 <= runs <= MAX_SEARCH_RUNS)
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    goal = left.selectbox(
        "Search for",
        goals,
        format_func=_goal_text,
        key=f"{key}:goal",
        help="lwdash chooses recipes, a few at a time, and uses each result to choose the next. It also "
        "keeps quality high.",
    )
    if goal == NO_GOAL:
        return None
    budget = int(right.number_input("Maximum runs", 1, MAX_SEARCH_RUNS, RUNS, key=f"{key}:runs"))
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    is_integer = right.toggle(
        "Integer files only",
        key=f"{key}:integer",
        help="int8 and int16x8, for processors without a floating-point unit",
    )
    formats = INTEGER_FORMATS if is_integer else GOALS[goal].formats
    usable = usable_techniques(ModelFacts.from_dict(dict(facts)), goal, formats)
    options = [*usable, *formats]
    _settle(f"{key}:left_out", lambda names: set(names) <= set(options))  # another goal has other options
    left_out = left.multiselect(
        "Leave out",
        options,
        key=f"{key}:left_out",
        format_func=lambda name: TECHNIQUES[name].LABEL if name in usable else name,
        placeholder="nothing: all useful techniques are used",
    )
    chosen = SearchChoice(
        goal,
        budget,
        tuple(name for name in formats if name not in left_out),
        tuple(name for name in usable if name not in left_out),
    )
    st.caption(_caption(store, chosen, limits))
    if not chosen.formats:
        st.warning("Every number format is left out. Keep at least one.", icon=":material/block:")
        return None
    return chosen


def _settle(key: str, can_be: Callable[[Any], bool]) -> None:
    """Remove an invalid value from an address or an earlier choice."""
    if key in st.session_state and not can_be(st.session_state[key]):
        del st.session_state[key]


def _goal_text(goal: str) -> str:
    return (
        f"{GOALS[goal].label[:1].upper()}{GOALS[goal].label[1:]}"
        if goal
        else "Nothing more: only the recipes above"
    )


def _caption(store: Store, chosen: SearchChoice, limits: Mapping[str, float]) -> str:
    """The techniques that the search uses and why, its criterion, and its estimated time from earlier runs here."""
    used = ", ".join(TECHNIQUES[name].LABEL for name in chosen.techniques)
    parts = [
        f"Before quantizing: {used}." if used else "Nothing is trained: number formats only.",
        GOALS[chosen.goal].why,
        "The search looks for runs that meet your limits."
        if limits
        else "There are no limits, so the whole trade-off is explored. With a limit on the drop of "
        "accuracy, the search concentrates on useful runs.",
    ]
    each = seconds_per_run(store.database)[bool(chosen.techniques)]
    if each is not None:
        what = "that trained" if chosen.techniques else "that did not train"
        took = seconds(each * chosen.budget)
        parts.append(f"About {took}, if they take as long as the last runs {what} here.")
    return " ".join(parts)
