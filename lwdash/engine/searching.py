"""Searches that run: looks at what came of their runs, and enters the next ones.

All that a search knows is in the database, so it goes on where it was after a restart, and on any server.
"""

import logging
from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from lwdash.engine.submit import BASELINE
from lwdash.recipe import Recipe
from lwdash.search.outcomes import failures, measured, outcomes
from lwdash.search.proposals import LEARNT, Task, propose
from lwdash.search.space import Space
from storage import experiments, searches
from storage.frames import baseline_run
from storage.store import Store
from storage.tables import SearchState

logger = logging.getLogger(__name__)

AT_ONCE = 4
"""So many runs of a search wait or run at once: each more is chosen without knowing what comes of the others."""
REFILLED_AT = 1
"""With so many left, the next are chosen, so that no slot waits for a long training. Other runs of the experiment count
as well: a search learns from them too."""
FAILED_AT_FIRST = 6
"""When so many runs of a search have failed and none has succeeded, the rest would fail too."""


def advance_searches(store: Store) -> None:
    """Enters the next runs of every search that needs some, and ends those that are done."""
    for search in searches.running_searches(store.database):
        _advance(store, search)


def _advance(store: Store, search: Mapping[str, Any]) -> None:
    is_spent = search["asked"] >= search["budget"]
    if search["own_pending"] if is_spent else search["pending"] > REFILLED_AT:
        return
    if is_spent:
        searches.end_search(store.database, search["id"], f"all {search['budget']:,} runs were made")
        return
    tried = searches.tried(store.database, search, LEARNT)
    experiment = experiments.get_experiment(store.database, search["experiment_id"])
    assert experiment is not None, "a search is of an experiment"
    own = tried[tried["is_own"].astype(bool)]
    if len(own) >= FAILED_AT_FIRST and (own["state"] == "failed").all():
        words = f"its first {len(own):,} runs failed, the last with: {own['error'].iloc[-1]}"
        searches.end_search(store.database, search["id"], words, SearchState.FAILED)
        return
    known = searches.recipes_tried(store.database, search["experiment_id"])
    try:
        recipes = _next(search, tried, known, experiment["limits"] or {})
    except Exception as error:  # whatever is wrong with one search, the other work goes on
        logger.exception("search %s cannot go on", search["id"])
        words = f"it cannot go on: {type(error).__name__}: {error}"
        searches.end_search(store.database, search["id"], words, SearchState.FAILED)
        return
    if not recipes:
        if not search["own_pending"]:
            words = "no recipe is left that was not tried"
            searches.end_search(store.database, search["id"], words)
        return
    entries = [(str(recipe), False, recipe.is_trained) for recipe in recipes]
    if baseline_run(store.database, search["experiment_id"]) is None:
        entries.insert(0, (BASELINE, True, False))
    searches.enter(store.database, search, entries, len(recipes))


def _next(
    search: Mapping[str, Any], tried: pd.DataFrame, known: Collection[str], limits: Mapping[str, float]
) -> list[Recipe]:
    settings = search["settings"]
    given = {key: limit for key, limit in limits.items() if limit is not None}
    found = outcomes(measured(tried), search["goal"], given)
    task = Task(Space.from_dict(settings["space"]), search["goal"], given, search["budget"])
    return propose(
        task,
        [*found, *failures(tried, found)],
        known,
        min(AT_ONCE - search["pending"], search["budget"] - search["asked"]),
        sampler=settings["sampler"],
        seed=settings["seed"] + search["asked"],
    )
