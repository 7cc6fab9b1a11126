"""Running searches: reads the outcomes of their runs, and queues the next ones.

The whole state of a search is in the database, so it continues after a restart, and on any server.
"""

import logging
from collections.abc import Collection, Mapping

import pandas as pd

from lwdash.engine.devices.device_work import measure_on_device
from lwdash.engine.devices.target_metrics import needs_target_metrics, tried_with_targets
from lwdash.engine.submit import BASELINE
from lwdash.metrics.offers import targets_of
from lwdash.recipe import Recipe
from lwdash.search.outcomes import failures, limits_of_search, measured, outcomes, stopped
from lwdash.search.proposals import MAX_LEARNT, Task, propose
from lwdash.search.space import Space
from storage import device_tasks, experiments, searches
from storage.devices import devices
from storage.frames import baseline_run
from storage.records import StoredSearch
from storage.store import Store
from storage.tables import SearchState
from storage.target_results import is_measuring, runs_without

logger = logging.getLogger(__name__)

AT_ONCE = 4
"""Number of runs of a search that wait or run at once: each additional one is chosen without the results of the others."""
REFILLED_AT = 1
"""Number of unfinished runs at which the next are chosen, so that no slot waits for a long training. Other runs of the
experiment count as well: a search learns from them too.
"""
FAILED_AT_FIRST = 6
"""Number of failed runs, with none succeeded, at which a search stops."""


def advance_searches(store: Store) -> None:
    """Queue the next runs of every search that needs some, and end finished searches."""
    for search in searches.running_searches(store.database):
        _advance(store, search)


def _advance(store: Store, search: StoredSearch) -> None:
    is_spent = search.asked >= search.budget
    if search.own_pending if is_spent else search.pending > REFILLED_AT:
        return
    experiment = experiments.get_experiment(store.database, search.experiment_id)
    assert experiment is not None, "a search is of an experiment"
    keys = [search.goal, *limits_of_search(search.settings, experiment.limits)]
    if needs_target_metrics(keys) and _waits_for_targets(store, search, keys):
        return
    if is_spent:
        searches.end_search(store.database, search.id, f"all {search.budget:,} runs were made")
        return
    tried = tried_with_targets(store.database, search, MAX_LEARNT, keys)
    own = tried[tried["is_own"].astype(bool)]
    if len(own) >= FAILED_AT_FIRST and (own["state"] == "failed").all():
        message = f"its first {len(own):,} runs failed. The error of the last: {own['error'].iloc[-1]}"
        searches.end_search(store.database, search.id, message, SearchState.FAILED)
        return
    known = searches.recipes_tried(store.database, search.experiment_id)
    try:
        recipes = _next(search, tried, known, experiment.limits)
    except Exception as error:  # a fault in one search must not stop other work
        logger.exception("search %s cannot go on", search.id)
        message = f"it cannot go on: {type(error).__name__}: {error}"
        searches.end_search(store.database, search.id, message, SearchState.FAILED)
        return
    if not recipes:
        if not search.own_pending:
            message = "all recipes of the space were tried"
            searches.end_search(store.database, search.id, message)
        return
    entries = [(str(recipe), False, recipe.is_trained) for recipe in recipes]
    if baseline_run(store.database, search.experiment_id) is None:
        entries.insert(0, (BASELINE, True, False))
    searches.enter(store.database, search, entries, len(recipes))


def _waits_for_targets(store: Store, search: StoredSearch, keys: Collection[str]) -> bool:
    """True while results on targets, which follow the runs, are still measured: the next choice needs them.

    Measurements on devices that the goal or a limit needs are queued here.
    """
    wanted = set(targets_of(keys))
    for device in devices(store.database):
        if device.target not in wanted:
            continue
        for run_id in runs_without(store.database, search.experiment_id, device.target, MAX_LEARNT):
            if device_tasks.newest_task(store.database, device.id, run_id) is None:
                measure_on_device(store, run_id, device)
    return is_measuring(store.database, search.experiment_id) or (
        bool(wanted) and device_tasks.has_open_tasks(store.database, search.experiment_id)
    )


def _next(
    search: StoredSearch, tried: pd.DataFrame, known: Collection[str], limits: Mapping[str, float]
) -> list[Recipe]:
    settings = search.settings
    given = limits_of_search(settings, limits)
    found = outcomes(measured(tried), search.goal, given)
    task = Task(Space.from_dict(settings["space"]), search.goal, given, search.budget)
    return propose(
        task,
        [*found, *failures(tried, found), *stopped(tried, found, given)],
        known,
        min(AT_ONCE - search.pending, search.budget - search.asked),
        sampler=settings["sampler"],
        seed=settings["seed"] + search.asked,
    )
