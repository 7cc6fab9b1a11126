"""The form of a search: its goal, its number of runs, and the techniques it leaves out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from lwdash.engine.submit import MOST_SEARCHED, usable_techniques
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
    """What `submit.start_search` takes."""

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
    """The fields of a search, and in words what it will do; None while it cannot be started as it stands.

    facts: the model's, as stored. limits: the experiment's. may_be_none: with the choice not to search at all, which is
    the first one.
    """
    goals = [*([NO_GOAL] if may_be_none else []), *GOALS]
    _settle(f"{key}:goal", lambda goal: goal in goals)
    _settle(f"{key}:runs", lambda runs: 1 <= runs <= MOST_SEARCHED)
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    goal = left.selectbox(
        "Search for",
        goals,
        format_func=_goal_words,
        key=f"{key}:goal",
        help="lwdash chooses recipes, a few at a time, and learns from each result what to try next. Quality is kept "
        "high at the same time.",
    )
    if goal == NO_GOAL:
        return None
    budget = int(right.number_input("Runs, at most", 1, MOST_SEARCHED, RUNS, key=f"{key}:runs"))
    usable = usable_techniques(ModelFacts.from_dict(dict(facts)), goal)
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    is_integer = right.toggle(
        "Integer files only",
        key=f"{key}:integer",
        help="int8 and int16x8: what a processor without floats runs",
    )
    formats = INTEGER_FORMATS if is_integer else GOALS[goal].formats
    options = [*usable, *formats]
    _settle(f"{key}:left_out", lambda names: set(names) <= set(options))  # another goal has other options
    left_out = left.multiselect(
        "Leave out",
        options,
        key=f"{key}:left_out",
        format_func=lambda name: TECHNIQUES[name].LABEL if name in usable else name,
        placeholder="nothing: whatever can help is used",
    )
    chosen = SearchChoice(
        goal,
        budget,
        tuple(name for name in formats if name not in left_out),
        tuple(name for name in usable if name not in left_out),
    )
    st.caption(_words(store, chosen, limits))
    if not chosen.formats:
        st.warning("Every number format is left out: keep one at least.", icon=":material/block:")
        return None
    return chosen


def _settle(key: str, can_be: Callable[[Any], bool]) -> None:
    """Forgets a value that an address, or an earlier choice, has left where it cannot be."""
    if key in st.session_state and not can_be(st.session_state[key]):
        del st.session_state[key]


def _goal_words(goal: str) -> str:
    return (
        f"{GOALS[goal].label[:1].upper()}{GOALS[goal].label[1:]}"
        if goal
        else "Nothing more: only the recipes above"
    )


def _words(store: Store, chosen: SearchChoice, limits: Mapping[str, float]) -> str:
    """What the search uses and why, what it takes for good, and how long it may take by what was measured here."""
    used = ", ".join(TECHNIQUES[name].LABEL for name in chosen.techniques)
    words = [
        f"Before quantizing: {used}." if used else "Nothing is trained: number formats only.",
        GOALS[chosen.goal].why,
        "Runs that keep your limits are looked for."
        if limits
        else "There are no limits: the whole trade-off is explored. With a limit on the drop of accuracy it looks "
        "closer at what you could use.",
    ]
    each = seconds_per_run(store.database)[bool(chosen.techniques)]
    if each is not None:
        what = "that trained" if chosen.techniques else "that did not train"
        took = seconds(each * chosen.budget)
        words.append(f"About {took}, if they take as long as the last runs {what} here.")
    return " ".join(words)
