"""On a run's page: what stands out, and what to try next, each with one click."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from lwdash.advice.evidence import Evidence
from lwdash.advice.run_findings import findings
from lwdash.advice.suggestions import Suggestion, suggest
from lwdash.ui.run.try_recipe import try_recipe
from lwdash.ui.shared.markdown_text import code, plain
from storage.neighbours import runs_of_recipes
from storage.store import Store

ICONS = {
    "good": ":green[:material/check_circle:]",
    "note": ":material/info:",
    "problem": ":orange[:material/warning:]",
}
CARD_WIDTH = 352


def evidence_of(run: Mapping[str, Any], detail: Mapping[str, Any], experiment: Mapping[str, Any]) -> Evidence:
    """What advice goes by, of a run that has ended well."""
    library = (experiment.get("model_facts") or {}).get("library")
    compressed, measured = detail["compressed"] or {}, detail["measured"] or {}
    return Evidence(run["recipe"], run, compressed, measured, can_train=library != "none")


def show_findings(evidence: Evidence) -> None:
    """One line a finding, problems first."""
    found = findings(evidence)
    if not found:
        return
    st.header("What stands out", anchor=False)
    for finding in found:
        st.markdown(f"{ICONS[finding.kind]} {plain(finding.text)}")


def show_suggestions(store: Store, run: Mapping[str, Any], evidence: Evidence, *, may_start: bool) -> None:
    """A card a recipe: why, and a button that queues it; or a link to the run that has tried it."""
    suggestions = suggest(evidence)
    if not suggestions:
        return
    st.header("What to try next", anchor=False)
    st.caption("Recipes that the figures of this run call for. One click queues a run in this experiment.")
    tried = runs_of_recipes(store.database, run["experiment_id"], [s.recipe for s in suggestions])
    with st.container(horizontal=True):
        for suggestion in suggestions:
            with st.container(
                border=True, width=CARD_WIDTH, height="stretch", vertical_alignment="distribute"
            ):
                _card(store, run, suggestion, tried, may_start=may_start)


def _card(
    store: Store, run: Mapping[str, Any], suggestion: Suggestion, tried: Mapping[str, int], *, may_start: bool
) -> None:
    with st.container(gap="small"):
        st.markdown(f"**{plain(suggestion.title)}**")
        st.caption(plain(suggestion.reason))
        st.markdown(code(suggestion.recipe))
    try_recipe(store, run, suggestion.recipe, tried, may_start=may_start)
