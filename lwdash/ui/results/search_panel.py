"""Searches on an experiment's page: start, progress, and results."""

from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd
import streamlit as st

from lwdash.charts.search_progress import describe_search, plot_search
from lwdash.engine import submit
from lwdash.engine.devices.device_waiting import waiting_text
from lwdash.engine.devices.target_metrics import titles_of_devices, tried_with_targets
from lwdash.errors import LwdashError
from lwdash.metrics.limits import ACCURACY_DROP, limits_summary
from lwdash.metrics.run_metrics import Measure
from lwdash.search.outcomes import Outcome, best, limits_of_search
from lwdash.search.search_report import MAX_RUNS, SearchReport, bias_message, ended_early, report_search
from lwdash.search.space import Space, goal_of
from lwdash.ui.shared import page_paths
from lwdash.ui.shared.figure import show_figure
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.memo import remembered
from lwdash.ui.shared.number_text import seconds
from lwdash.ui.shared.search_form import search_form
from storage.errors import StorageError
from storage.records import StoredExperiment, StoredSearch
from storage.searches import changed_rows, get_search, get_searches, stop_searches
from storage.store import Store
from storage.target_results import is_measuring


def show_searches(store: Store, experiment: StoredExperiment, *, can_change: bool) -> None:
    """Show the results of the experiment's last search, and below them the form that starts another."""
    known = get_searches(store.database, experiment.id)
    if known:
        every = 2.0 if known[0].is_running else None
        st.fragment(_show_found, run_every=every)(store, experiment, known[0].id)
    if can_change and experiment.generated is None and not (known and known[0].is_running):
        _offer(store, experiment)


def search_line(store: Store, search: StoredSearch, *, can_stop: bool) -> None:
    """A running search, above its runs, with a button that ends it."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        goal = goal_of(search.goal).label
        doing = "" if search.pending else f" · {_waits(store, search)}"
        st.markdown(
            f":material/travel_explore: **Searching for {goal}** · {search.asked:,} of at most "
            f"{search.budget:,} runs started{doing}"
        )
        if can_stop and st.button(
            "Stop searching", key=f"search-stop:{search.id}", icon=":material/stop:",
            help="Starts no more runs; running ones continue",
        ):  # fmt: skip
            stop_searches(store.database, search.experiment_id)
            st.rerun()


def _waits(store: Store, search: StoredSearch) -> str:
    """Present activity of a search without pending runs."""
    if text := waiting_text(store, search.experiment_id):
        return plain(text)
    if is_measuring(store.database, search.experiment_id):
        return "waiting for the measurements on targets"
    return "choosing the next recipes"


@st.fragment
def _offer(_store: Store, experiment: StoredExperiment) -> None:
    key = f"search:{experiment.id}"
    place = st.expander(
        "Let lwdash search for recipes",
        icon=":material/travel_explore:",
        key=f"{key}:open",
        on_change="rerun",
    )
    if not place.open:
        return
    with place:
        chosen = search_form(
            _store,
            experiment.model_facts,
            experiment.limits,
            key=key,
            targets=(*experiment.targets, *titles_of_devices(_store.database)),
        )
        start = st.button(
            "Search",
            type="primary",
            key=f"{key}:start",
            icon=":material/travel_explore:",
            disabled=chosen is None,
        )
        if start and chosen is not None:
            try:
                submit.start_search(_store, experiment.id, **asdict(chosen))
            except (LwdashError, StorageError) as error:
                st.error(plain(str(error)), icon=":material/error:")
                return
            del st.session_state[f"{key}:open"]
            st.rerun()


def _show_found(_store: Store, experiment: StoredExperiment, search_id: int) -> None:
    search = get_search(_store.database, search_id)
    assert search is not None, "searches are never removed"
    space = Space.from_dict(search.settings["space"])
    limits = limits_of_search(search.settings, experiment.limits)
    report = report_search(
        search.goal,
        space,
        limits,
        tried_with_targets(_store.database, search, MAX_RUNS, [search.goal, *limits]),
    )
    st.header("Search", anchor="search")
    winner = _winner(search, report, is_own=bool(experiment.limits))
    st.markdown(f"**For {goal_of(search.goal).label}**, {_standing(search, report)}. {winner}")
    if search.has_failed:
        st.error(plain(search.words or ""), icon=":material/error:")
    if report.best is not None:
        _show_selection_bias(_store, report)
        link = {"run": str(report.best.run)}
        st.page_link(
            page_paths.RUN, label=f"Run {report.best.run}", icon=":material/layers:", query_params=link
        )
    _draw(search.experiment_id, report)


def _standing(search: StoredSearch, report: SearchReport) -> str:
    """`24 runs in 6 min, 1 of which failed: all 24 runs were made`."""
    ended = ended_early(report.tried.loc[report.tried["id"].isin(report.own), "state"])
    text = f"{search.asked:,} run{'' if search.asked == 1 else 's'}"
    if search.finished_at is None:
        return f"{text} so far{ended}"
    took = seconds(search.finished_at - search.created_at)
    reason = "" if search.has_failed else f": {plain(search.words or '')}"
    return f"{text} in {took}{ended}{reason}"


def _winner(search: StoredSearch, report: SearchReport, *, is_own: bool) -> str:
    """The best run by the search's goal. is_own: True if the limits are the experiment's."""
    if not report.found:
        return "Nothing was measured yet."
    if not report.limits:
        return "Without limits the search maps the whole trade-off. See the Pareto front above."
    chosen = report.best
    if chosen is None:
        return f"No run meets {_limits(report, is_own)}{' yet' if search.is_running else ''}."
    row = report.done.loc[chosen.run]
    values = ", ".join((report.goal.write(row[report.goal.column]), _quality(report, row)))
    whose = "" if chosen.run in report.own else ", from before the search"
    under = "your limits" if is_own else _limits(report, is_own)
    return f"Best under {under}: **{plain(chosen.recipe)}** ({plain(values)}){whose}."


def _limits(report: SearchReport, is_own: bool) -> str:
    return "all limits" if is_own else f"the search's limits ({plain(limits_summary(report.limits))})"


def _show_selection_bias(store: Store, report: SearchReport) -> None:
    """Show the estimated selection bias of the best run, if it can be estimated."""
    ids = tuple(outcome.run for outcome in report.found)
    bias = remembered(
        "luck",
        (ids, tuple(report.limits.items())),
        lambda: report.selection_bias(changed_rows(store.database, ids)),
    )
    limit = report.limits.get(ACCURACY_DROP)
    if bias is None:
        on = f"the same {report.rows:,} rows" if report.rows else "the same rows"
        st.caption(
            f"It is the best of {len(report.found):,} on {on}, so its metrics have a small selection "
            "bias. Look at its interval, and check it on rows that no run was measured on."
        )
    elif limit is not None and bias.out_of_sample_drop > limit:
        st.warning(
            f"{bias_message(bias)}. That exceeds the limit. Take a run with a larger distance from the "
            "limit, or measure on more rows.",
            icon=":material/casino:",
        )
    else:
        st.caption(f":material/casino: {bias_message(bias)}.")


def _quality(report: SearchReport, row: pd.Series) -> str:
    return f"{report.quality.label.lower()} {report.quality.write(row[report.quality.column])}"


def _draw(experiment_id: int, report: SearchReport) -> None:
    """Plot of the progress of the search, if a metric improved."""
    ours = [outcome for outcome in report.found if outcome.run in report.own]
    measure = report.charted
    if measure is None or not ours:
        return
    points = _points(report, ours, measure)
    others = best([outcome for outcome in report.found if outcome.run not in report.own])
    before = None if others is None else float(report.done.loc[others.run, measure.column])
    show_figure(
        plot_search(points, measure, before),
        key=f"search:{experiment_id}:figure",
        alt=describe_search(points, measure, before),
        file_name="search",
    )


def _points(report: SearchReport, ours: Sequence[Outcome], measure: Measure) -> pd.DataFrame:
    """The rows that the figure draws, see charts.search_progress."""
    values = report.done[measure.column].astype(float)
    leaders = [best(ours[:number]) for number in range(1, len(ours) + 1)]
    return pd.DataFrame(
        {
            "number": range(1, len(ours) + 1),
            "run": [outcome.run for outcome in ours],
            "name": [outcome.recipe for outcome in ours],
            "value": [float(values[outcome.run]) for outcome in ours],
            "keeps": [outcome.keeps_limits for outcome in ours],
            "hover": [
                f"{report.goal.label}: {report.goal.write(row[report.goal.column])}\n{_quality(report, row)}"
                for row in (report.done.loc[outcome.run] for outcome in ours)
            ],
            "best": [float("nan") if leader is None else float(values[leader.run]) for leader in leaders],
        }
    )
