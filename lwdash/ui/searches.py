"""Searches on an experiment's page: started, followed, and what they found."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd
import streamlit as st

from lwdash.charts.measures import MEASURES, Measure, quality_of
from lwdash.charts.search_progress import describe_search, plot_search
from lwdash.engine import submit
from lwdash.errors import LwdashError
from lwdash.search.outcomes import Outcome, best, measured, outcomes
from lwdash.search.space import GOALS
from lwdash.ui.cards import plain
from lwdash.ui.figure import show_figure
from lwdash.ui.formats import seconds
from lwdash.ui.search_form import search_form
from storage.errors import StorageError
from storage.searches import get_search, get_searches, stop_searches, tried
from storage.store import Store

LOOKED_AT = 1000
"""The newest runs of an experiment, among which what a search found is told."""


def show_searches(store: Store, experiment: Mapping[str, Any], *, can_change: bool) -> None:
    """What the experiment's last search found, and below it the form that starts another."""
    known = get_searches(store.database, experiment["id"])
    if known:
        every = 2.0 if known[0]["state"] == "running" else None
        st.fragment(_show_found, run_every=every)(store, experiment, known[0]["id"])
    if can_change and not (known and known[0]["state"] == "running"):
        _offer(store, experiment)


def search_line(store: Store, search: Mapping[str, Any], *, can_stop: bool) -> None:
    """A running search, above its runs, with a button that ends it."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        goal = GOALS[search["goal"]].label
        doing = "" if search["pending"] else " · choosing what to try next"
        st.markdown(
            f":material/travel_explore: **Searching for {goal}** · {search['asked']:,} of at most "
            f"{search['budget']:,} runs started{doing}"
        )
        if can_stop and st.button(
            "Stop searching", key=f"search-stop:{search['id']}", icon=":material/stop:",
            help="Starts no more runs; those under way go on",
        ):  # fmt: skip
            stop_searches(store.database, search["experiment_id"])
            st.rerun(scope="fragment")


@st.fragment
def _offer(_store: Store, experiment: Mapping[str, Any]) -> None:
    key = f"search:{experiment['id']}"
    place = st.expander(
        "Let lwdash search for recipes",
        icon=":material/travel_explore:",
        key=f"{key}:open",
        on_change="rerun",
    )
    if not place.open:
        return
    with place:
        chosen = search_form(_store, experiment["model_facts"], experiment["limits"] or {}, key=key)
        start = st.button(
            "Search",
            type="primary",
            key=f"{key}:start",
            icon=":material/travel_explore:",
            disabled=chosen is None,
        )
        if start and chosen is not None:
            try:
                submit.start_search(_store, experiment["id"], **asdict(chosen))
            except (LwdashError, StorageError) as error:
                st.error(plain(str(error)), icon=":material/error:")
                return
            del st.session_state[f"{key}:open"]
            st.rerun()


def _show_found(_store: Store, experiment: Mapping[str, Any], search_id: int) -> None:
    search = get_search(_store.database, search_id)
    assert search is not None, "searches are never removed"
    limits = experiment["limits"] or {}
    runs = tried(_store.database, search, LOOKED_AT)
    done = measured(runs)
    found = outcomes(done, search["goal"], limits)
    own = set(runs.loc[runs["is_own"].astype(bool), "id"])
    names = dict(zip(runs["id"], runs["recipe"], strict=True))
    st.header("Search", anchor="search")
    st.markdown(
        f"**For {GOALS[search['goal']].label}**, {_standing(search, runs)}. {_winner(found, own, names, search, done)}"
    )
    if search["state"] == "failed":
        st.error(plain(search["words"] or ""), icon=":material/error:")
    ours = [outcome for outcome in found if outcome.run in own]
    measure = _charted(search["goal"], limits, done)
    if measure is None or not ours:
        return
    others = best([outcome for outcome in found if outcome.run not in own])
    values = done.set_index("id")[measure.column].astype(float)
    points = _points(ours, names, values, MEASURES[search["goal"]], quality_of(done), done.set_index("id"))
    before = None if others is None else float(values[others.run])
    show_figure(
        plot_search(points, measure, before),
        key=f"search:{experiment['id']}:figure",
        alt=describe_search(points, measure, before),
        file_name="search",
    )


def _standing(search: Mapping[str, Any], runs: pd.DataFrame) -> str:
    """`24 runs in 6 min: all 24 runs were made`."""
    failed = int((runs["is_own"].astype(bool) & (runs["state"] == "failed")).sum())
    words = f"{search['asked']:,} run{'' if search['asked'] == 1 else 's'}"
    if failed:
        words += f", {failed:,} of which failed"
    if search["finished_at"] is None:
        return f"{words} so far"
    took = seconds(search["finished_at"] - search["created_at"])
    reason = "" if search["state"] == "failed" else f": {plain(search['words'] or '')}"
    return f"{words} in {took}{reason}"


def _winner(
    found: Sequence[Outcome],
    own: set[int],
    names: Mapping[int, str],
    search: Mapping[str, Any],
    done: pd.DataFrame,
) -> str:
    """Which run to take by the search's goal, and the trap in choosing the best of many."""
    if not found:
        return "Nothing was measured yet."
    if not found[0].excess:
        return "Without limits it maps the whole trade-off: see the Pareto front above."
    chosen = best(found)
    if chosen is None:
        return "No run keeps all limits yet." if search["state"] == "running" else "No run keeps all limits."
    row = done[done["id"] == chosen.run].iloc[0]
    quality, cost = quality_of(done), MEASURES[search["goal"]]
    figures = f"{cost.write(row[cost.column])}, {quality.label.lower()} {quality.write(row[quality.column])}"
    whose = "" if chosen.run in own else ", which was there before the search"
    rows = int(row["rows"]) if "rows" in row and row["rows"] == row["rows"] else None
    on = f"the same {rows:,} rows" if rows else "the same rows"
    return (
        f"Best under your limits: **{plain(names[chosen.run])}** ({plain(figures)}){whose}. "
        f":small[It is the best of {len(found):,} on {on}, so its figure flatters it a little: look at its interval, and "
        "check it on rows that no run was measured on.]"
    )


def _charted(goal: str, limits: Mapping[str, float], done: pd.DataFrame) -> Measure | None:
    """What gets better as the search goes on: the goal where quality is limited, else quality; None without limits."""
    if not limits or done.empty:
        return None
    return MEASURES[goal] if limits.get("accuracy_drop") is not None else quality_of(done)


def _points(
    ours: Sequence[Outcome],
    names: Mapping[int, str],
    values: pd.Series,
    cost: Measure,
    quality: Measure,
    figures: pd.DataFrame,
) -> pd.DataFrame:
    """The rows that the figure draws, see charts.search_progress."""
    rows = []
    for number, outcome in enumerate(ours, start=1):
        leader = best(ours[:number])
        row = figures.loc[outcome.run]
        rows.append(
            {
                "number": number,
                "run": outcome.run,
                "name": names[outcome.run],
                "value": float(values[outcome.run]),
                "keeps": outcome.keeps_limits,
                "words": "\n".join(f"{m.label}: {m.write(row[m.column])}" for m in (cost, quality)),
                "best": float("nan") if leader is None else float(values[leader.run]),
            }
        )
    return pd.DataFrame(rows)
