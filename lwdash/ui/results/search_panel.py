"""Searches on an experiment's page: started, followed, and what they found."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd
import streamlit as st

from lwdash.charts.search_progress import describe_search, plot_search
from lwdash.engine import submit
from lwdash.errors import LwdashError
from lwdash.metrics.run_metrics import Measure
from lwdash.search.outcomes import Outcome, best
from lwdash.search.search_report import LOOKED_AT, Story, luck_words, tell
from lwdash.search.space import GOALS
from lwdash.ui.shared import page_paths
from lwdash.ui.shared.figure import show_figure
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.memo import remembered
from lwdash.ui.shared.number_text import seconds
from lwdash.ui.shared.search_form import search_form
from storage.errors import StorageError
from storage.searches import get_search, get_searches, stop_searches, tried, turned_rows
from storage.store import Store


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
            st.rerun()


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
    story = tell(search, experiment["limits"] or {}, tried(_store.database, search, LOOKED_AT))
    st.header("Search", anchor="search")
    st.markdown(f"**For {GOALS[search['goal']].label}**, {_standing(story)}. {_winner(story)}")
    if search["state"] == "failed":
        st.error(plain(search["words"] or ""), icon=":material/error:")
    if story.best is not None:
        _show_luck(_store, story)
        link = {"run": str(story.best.run)}
        st.page_link(
            page_paths.RUN, label=f"Run {story.best.run}", icon=":material/layers:", query_params=link
        )
    _draw(story)


def _standing(story: Story) -> str:
    """`24 runs in 6 min, 1 of which failed: all 24 runs were made`."""
    search = story.search
    failed = int((story.tried["id"].isin(story.own) & (story.tried["state"] == "failed")).sum())
    words = f"{search['asked']:,} run{'' if search['asked'] == 1 else 's'}"
    if search["finished_at"] is None:
        return f"{words} so far{_failed(failed)}"
    took = seconds(search["finished_at"] - search["created_at"])
    reason = "" if search["state"] == "failed" else f": {plain(search['words'] or '')}"
    return f"{words} in {took}{_failed(failed)}{reason}"


def _failed(number: int) -> str:
    return f", {number:,} of which failed" if number else ""


def _winner(story: Story) -> str:
    """Which run to take by the search's goal."""
    if not story.found:
        return "Nothing was measured yet."
    if not story.limits:
        return "Without limits it maps the whole trade-off: see the Pareto front above."
    chosen = story.best
    if chosen is None:
        return f"No run keeps all limits{' yet' if story.search['state'] == 'running' else ''}."
    row = story.done.loc[chosen.run]
    figures = ", ".join((story.goal.write(row[story.goal.column]), _quality(story, row)))
    whose = "" if chosen.run in story.own else ", which was there before the search"
    return f"Best under your limits: **{plain(chosen.recipe)}** ({plain(figures)}){whose}."


def _show_luck(store: Store, story: Story) -> None:
    """How much of the best run's figure is the luck of being chosen, measured where it can be."""
    ids = tuple(outcome.run for outcome in story.found)
    luck = remembered(
        "luck", (ids, tuple(story.limits.items())), lambda: story.luck(turned_rows(store.database, ids))
    )
    limit = story.limits.get("accuracy_drop")
    if luck is None:
        on = f"the same {story.rows:,} rows" if story.rows else "the same rows"
        st.caption(
            f"It is the best of {len(story.found):,} on {on}, so its figure flatters it a little: look at its interval, "
            "and check it on rows that no run was measured on."
        )
    elif limit is not None and luck.elsewhere > limit:
        st.warning(
            f"{luck_words(luck)}. That is more than your limit: take a run that stays further away from it, or measure "
            "on more rows.",
            icon=":material/casino:",
        )
    else:
        st.caption(f":material/casino: {luck_words(luck)}.")


def _quality(story: Story, row: pd.Series) -> str:
    return f"{story.quality.label.lower()} {story.quality.write(row[story.quality.column])}"


def _draw(story: Story) -> None:
    """How the search went, where there is something that got better."""
    ours = [outcome for outcome in story.found if outcome.run in story.own]
    measure = story.charted
    if measure is None or not ours:
        return
    points = _points(story, ours, measure)
    others = best([outcome for outcome in story.found if outcome.run not in story.own])
    before = None if others is None else float(story.done.loc[others.run, measure.column])
    show_figure(
        plot_search(points, measure, before),
        key=f"search:{story.search['experiment_id']}:figure",
        alt=describe_search(points, measure, before),
        file_name="search",
    )


def _points(story: Story, ours: Sequence[Outcome], measure: Measure) -> pd.DataFrame:
    """The rows that the figure draws, see charts.search_progress."""
    values = story.done[measure.column].astype(float)
    leaders = [best(ours[:number]) for number in range(1, len(ours) + 1)]
    return pd.DataFrame(
        {
            "number": range(1, len(ours) + 1),
            "run": [outcome.run for outcome in ours],
            "name": [outcome.recipe for outcome in ours],
            "value": [float(values[outcome.run]) for outcome in ours],
            "keeps": [outcome.keeps_limits for outcome in ours],
            "words": [
                f"{story.goal.label}: {story.goal.write(row[story.goal.column])}\n{_quality(story, row)}"
                for row in (story.done.loc[outcome.run] for outcome in ours)
            ],
            "best": [float("nan") if leader is None else float(values[leader.run]) for leader in leaders],
        }
    )
