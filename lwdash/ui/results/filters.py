"""Filters of the runs: a search, and choices of state, technique, tag and limits."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from lwdash.metrics.limits import meets_all_limits
from lwdash.metrics.technique_families import techniques_of
from lwdash.techniques import TECHNIQUES
from lwdash.ui.results.view_state import settle
from lwdash.ui.shared.memo import remembered

HIDDEN = "hidden"
"""Runs with this tag are shown only if a filter asks for it."""
PINNED = "pinned"
"""Runs with this tag stand above the others in the table."""
STATES = ("succeeded", "running", "queued", "failed", "stopped", "cancelled")


def filter_runs(runs: pd.DataFrame, limits: Mapping[str, float]) -> pd.DataFrame:
    """Show the row of filters; return the matching runs, in the same order."""
    states, techniques, tags = remembered("choices", (runs,), lambda: _choices(runs))
    # "Running" stays chosen after the last run has ended; otherwise all runs would appear.
    asked = st.session_state.get("results:states") or []
    states = [state for state in STATES if state in states or state in asked]
    for key, options in (("states", states), ("techniques", techniques), ("tags", tags)):
        settle(f"results:{key}", options, [])
    with st.container(horizontal=True, vertical_alignment="bottom", key="results-filters"):
        text = st.text_input(
            "Search", key="results:search", placeholder="recipe, title, note, tag, number", width=300,
            icon=":material/search:",
            help="Runs that contain each of the words",
        )  # fmt: skip
        chosen = st.multiselect("State", states, key="results:states", placeholder="all", width=190)
        steps = st.multiselect(
            "Technique", techniques, key="results:techniques", placeholder="any", width=230,
            help="Runs whose recipe has all of these", format_func=lambda name: TECHNIQUES[name].LABEL,
        )  # fmt: skip
        marks = st.multiselect("Tag", tags, key="results:tags", placeholder="any", width=190) if tags else []
        fits = bool(limits) and st.toggle("Meets all limits", key="results:fits")
    wanted = (runs, tuple(limits.items()), text, tuple(chosen), tuple(steps), tuple(marks), fits)
    return remembered(
        "filtered",
        wanted,
        lambda: matching(runs, limits, text=text, states=chosen, techniques=steps, tags=marks, fits=fits),
    )


def hidden_among(runs: pd.DataFrame) -> int:
    """Number of these runs that are left out because they are hidden."""
    if HIDDEN in (st.session_state.get("results:tags") or ()):
        return 0
    return int(runs["tags"].map(lambda own: HIDDEN in (own or ())).sum())


def clear_filters() -> None:
    """Reset the filters so that all runs except hidden ones match."""
    for key, empty in (
        ("search", ""),
        ("states", []),
        ("techniques", []),
        ("tags", []),
        ("fits", False),
        ("front", False),
    ):
        st.session_state[f"results:{key}"] = empty


def matching(
    runs: pd.DataFrame,
    limits: Mapping[str, float],
    *,
    text: str = "",
    states: list[str] | None = None,
    techniques: list[str] | None = None,
    tags: list[str] | None = None,
    fits: bool = False,
) -> pd.DataFrame:
    """The runs with each word of `text`, one of `states`, all of `techniques`, one of `tags`; without hidden ones."""
    keep = pd.Series(True, index=runs.index)
    has_tags = runs["tags"].map(bool)
    if states:
        keep &= runs["state"].isin(states)
    if techniques:
        wanted = set(techniques)
        fitting = {recipe for recipe in runs["recipe"].unique() if wanted <= _steps(recipe)}
        keep &= runs["recipe"].isin(fitting)
    if tags:
        keep &= has_tags & runs["tags"].map(lambda own: bool(set(own or ()) & set(tags)))
    if HIDDEN not in (tags or ()) and has_tags.any():
        keep &= ~(has_tags & runs["tags"].map(lambda own: HIDDEN in (own or ())))
    if fits:
        keep &= meets_all_limits(runs, limits)
    words = text.lower().split()
    if words:
        searched = runs["recipe"].str.lower() + " " + runs["title"].fillna("").str.lower() + " "
        searched += runs["note"].fillna("").str.lower() + " "
        if has_tags.any():
            searched += runs["tags"].map(lambda own: " ".join(own or ()).lower())
        numbers = runs["id"].astype(str)
        for word in words:
            keep &= searched.str.contains(word, regex=False) | (numbers == word)
    return runs if keep.all() else runs[keep]


def _choices(runs: pd.DataFrame) -> tuple[list[str], list[str], list[str]]:
    """The existing states, techniques and tags."""
    there = set(runs["state"].unique())
    used = [_steps(recipe) for recipe in runs["recipe"].unique()]
    techniques = [name for name in TECHNIQUES if any(name in steps for steps in used)]
    return [state for state in STATES if state in there], techniques, tags_of(runs)


def tags_of(runs: pd.DataFrame) -> list[str]:
    """All tags that these runs have, in alphabetical order."""
    some = runs.loc[runs["tags"].map(bool), "tags"]
    return sorted({tag for own in some for tag in own})


def _steps(recipe: str) -> frozenset[str]:
    return frozenset(techniques_of(recipe))
