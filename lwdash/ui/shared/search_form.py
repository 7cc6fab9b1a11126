"""The form of a search: its goal, its number of runs, and the techniques to leave out."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from lwdash.engine.devices.target_metrics import titles_of_devices
from lwdash.engine.submit import MAX_SEARCH_RUNS, usable_techniques
from lwdash.keras_models.model_facts import ModelFacts
from lwdash.metrics.offers import columns_of_targets
from lwdash.metrics.target_values import measure_of
from lwdash.search.proposals import DEFAULT_SAMPLER, SAMPLERS
from lwdash.search.space import GOALS, INTEGER_FORMATS, goal_of
from lwdash.techniques import TECHNIQUES
from lwdash.ui.shared.number_text import seconds
from storage.store import Store
from storage.time_left import seconds_per_run

NO_GOAL = ""
RUNS = 24


@dataclass(frozen=True)
class SearchChoice:
    """Arguments of `submit.start_search`."""

    goal: str
    budget: int
    formats: tuple[str, ...]
    techniques: tuple[str, ...]
    sampler: str = DEFAULT_SAMPLER
    stops_early: bool = True


def search_form(
    store: Store,
    facts: Mapping[str, Any],
    limits: Mapping[str, float],
    *,
    key: str,
    may_be_none: bool = False,
    targets: Collection[str] = (),
) -> SearchChoice | None:
    """The fields of a search, and a description of what it will do; None while it cannot be started.

    facts: the model's, as stored. limits: the experiment's. may_be_none: adds the choice of no search, as the
    first one. targets: those whose metrics can be the goal as well.
    """
    names = titles_of_devices(store.database) if targets else {}
    goals = [*([NO_GOAL] if may_be_none else []), *GOALS, *columns_of_targets(targets)]
    _settle(f"{key}:goal", lambda goal: goal in goals)
    _settle(f"{key}:runs", lambda runs: 1 <= runs <= MAX_SEARCH_RUNS)
    _settle(f"{key}:sampler", lambda name: name in SAMPLERS)
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    goal = left.selectbox(
        "Search for",
        goals,
        format_func=lambda goal: _goal_text(goal, names),
        key=f"{key}:goal",
        help="lwdash chooses recipes, a few at a time, and uses each result to choose the next. It also "
        "keeps quality high. Targets that are switched on in the menu Targets, and devices, add their metrics.",
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
    formats = INTEGER_FORMATS if is_integer else goal_of(goal).formats
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
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    sampler = left.selectbox(
        "Sampler",
        list(SAMPLERS),
        key=f"{key}:sampler",
        help="The way to choose the next recipes.\n\n"
        + "\n".join(f"- `{k}`: {v}" for k, v in SAMPLERS.items()),
    )
    stops_early = not right.toggle(
        "Finish all runs",
        key=f"{key}:finish_all",
        help="Also runs whose training has lost more accuracy than the limit allows and later steps recover. Otherwise they "
        "are stopped early.",
    )
    chosen = SearchChoice(
        goal,
        budget,
        tuple(name for name in formats if name not in left_out),
        tuple(name for name in usable if name not in left_out),
        sampler,
        stops_early,
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


def _goal_text(goal: str, names: Mapping[str, str]) -> str:
    if not goal:
        return "Nothing more: only the recipes above"
    if goal in GOALS:
        return f"{GOALS[goal].label[:1].upper()}{GOALS[goal].label[1:]}"
    measure = measure_of(goal, names)
    return f"{'Highest' if measure.is_higher_better else 'Lowest'}: {measure.label}"


def _caption(store: Store, chosen: SearchChoice, limits: Mapping[str, float]) -> str:
    """The techniques that the search uses and why, its criterion, and its estimated time from earlier runs here."""
    used = ", ".join(TECHNIQUES[name].LABEL for name in chosen.techniques)
    parts = [
        f"Before quantizing: {used}." if used else "Nothing is trained: number formats only.",
        goal_of(chosen.goal).why,
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
