"""Findings and suggestions on a run's page, each with one click."""

from collections.abc import Mapping

import streamlit as st

from lwdash.advice.evidence import Evidence
from lwdash.advice.run_findings import findings, growth_reason
from lwdash.advice.suggestions import Suggestion, suggest
from lwdash.ui.run.try_recipe import try_recipe
from lwdash.ui.shared.markdown_text import code, plain
from storage import run_rows
from storage.neighbours import runs_of_recipes
from storage.records import RunDetails, StoredExperiment, StoredRun
from storage.store import Store

ICONS = {
    "good": ":green[:material/check_circle:]",
    "note": ":material/info:",
    "problem": ":orange[:material/warning:]",
}
CARD_WIDTH = 352


def evidence_of(run: StoredRun, details: RunDetails, experiment: StoredExperiment) -> Evidence:
    """Input of the advice, for a succeeded run."""
    library = experiment.model_facts.get("library")
    metrics = {**run.metrics, "is_baseline": run.is_baseline}
    return Evidence(run.recipe, metrics, details.compressed, details.measured, can_train=library != "none")


def show_growth(store: Store, run: StoredRun, experiment: StoredExperiment) -> None:
    """Below the headline of a file that is larger than the baseline: the reason."""
    before = run.metrics.get("baseline_size_bytes")
    if run.size_bytes is None or before is None or run.size_bytes <= before:
        return
    details = run_rows.get_detail(store.database, run.id)
    if reason := growth_reason(evidence_of(run, details, experiment)):
        st.markdown(f":orange[:material/trending_up:] {plain(reason)}")


def show_findings(evidence: Evidence) -> None:
    """One line per finding, problems first."""
    found = findings(evidence)
    if not found:
        return
    st.header("What stands out", anchor=False)
    for finding in found:
        st.markdown(f"{ICONS[finding.kind]} {plain(finding.text)}")


def show_suggestions(store: Store, run: StoredRun, evidence: Evidence, *, may_start: bool) -> None:
    """One card per recipe: the reason, and a button that queues it; or a link to the run that has tried it."""
    suggestions = suggest(evidence)
    if not suggestions:
        return
    st.header("What to try next", anchor=False)
    st.caption("Recipes that this run's metrics suggest. One click queues a run in this experiment.")
    tried = runs_of_recipes(store.database, run.experiment_id, [s.recipe for s in suggestions])
    with st.container(horizontal=True):
        for suggestion in suggestions:
            with st.container(
                border=True, width=CARD_WIDTH, height="stretch", vertical_alignment="distribute"
            ):
                _card(store, run, suggestion, tried, may_start=may_start)


def _card(
    store: Store, run: StoredRun, suggestion: Suggestion, tried: Mapping[str, int], *, may_start: bool
) -> None:
    with st.container(gap="small"):
        st.markdown(f"**{plain(suggestion.title)}**")
        st.caption(plain(suggestion.reason))
        st.markdown(code(suggestion.recipe))
    try_recipe(store, run, suggestion.recipe, tried, may_start=may_start)
