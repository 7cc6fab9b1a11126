"""Searches in the database: runs whose recipes lwdash chooses, queued a few at a time.

A search goes running → ended | stopped | failed. A server that queues its next runs states how many there
were, so that only one of two servers queues them.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from sqlalchemy import ColumnElement, Engine, case, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from storage.database import now
from storage.errors import StorageError
from storage.file_runs import has_recipe
from storage.records import StoredSearch
from storage.runs import STOPPED_DROP, new_run
from storage.tables import RECIPE, Experiment, Run, RunDetail, Search, SearchState, State
from storage.visitors import is_seen, must_change, visitor_of

UNDER_WAY = (State.QUEUED, State.RUNNING)


class SearchRefused(StorageError):
    """The search cannot be started in this form."""


def add_search(
    engine: Engine,
    experiment_id: int,
    *,
    goal: str,
    budget: int,
    settings: Mapping[str, Any],
    owner: str | None = None,
) -> int:
    """Start a search. Raises SearchRefused while the experiment has a running one, NotAllowed for another
    user's experiment.
    """
    must_change(engine, experiment_id)
    added = insert(Search).values(
        experiment_id=experiment_id,
        submission=uuid.uuid4().hex,
        owner=owner or visitor_of(engine).email,
        goal=goal,
        budget=budget,
        asked=0,
        settings=dict(settings),
        state=SearchState.RUNNING,
        created_at=now(engine),
    )
    message = "this experiment already has a running search. Stop it, or wait for its end"
    running = select(Search.id).where(*_runs(experiment_id))
    with engine.connect() as connection:
        if connection.execute(running).scalar() is not None:
            raise SearchRefused(message)
    try:
        with engine.begin() as connection:
            return connection.execute(added.returning(Search.id)).scalar_one()
    except IntegrityError as error:  # another was started at the same time, unless the cause is different
        with engine.connect() as connection:
            if connection.execute(running).scalar() is None:
                raise
        raise SearchRefused(message) from error


def get_searches(engine: Engine, experiment_id: int) -> list[StoredSearch]:
    """The searches of an experiment, newest first."""
    return _read(engine, Search.experiment_id == experiment_id, _is_seen(engine))


def running_searches(engine: Engine) -> list[StoredSearch]:
    """All searches that run, oldest first."""
    return _read(engine, Search.state == SearchState.RUNNING)[::-1]


def get_search(engine: Engine, search_id: int) -> StoredSearch | None:
    """A search; None where there is none, or none that this engine's visitor sees."""
    found = _read(engine, Search.id == search_id, _is_seen(engine))
    return found[0] if found else None


def search_of(engine: Engine, submission: str) -> StoredSearch | None:
    """The search that has started the runs of this submission."""
    found = _read(engine, Search.submission == submission)
    return found[0] if found else None


def search_runs(engine: Engine, search: StoredSearch) -> list[int]:
    """Ids of the runs that a search has started, oldest first."""
    query = select(Run.id).where(*_of(search)).order_by(Run.id)
    with engine.connect() as connection:
        return list(connection.execute(query).scalars())


def tried(engine: Engine, search: StoredSearch, limit: int) -> pd.DataFrame:
    """The experiment's newest runs of recipes, oldest first: id, recipe, state, error, is_baseline, is_own (started by
    this search), figures (a dict, None where nothing was measured), drop (that a stopped run had, else None).
    """
    query = (
        select(
            Run.id,
            Run.recipe,
            Run.state,
            Run.error,
            Run.is_baseline,
            Run.submission == search.submission,
            Run.figures,
            case((Run.state == State.STOPPED, RunDetail.compressed[STOPPED_DROP].as_float())),
        )
        .outerjoin(RunDetail, RunDetail.run_id == Run.id)
        .where(Run.experiment_id == search.experiment_id, Run.kind == RECIPE, has_recipe())
        .order_by(Run.id.desc())
        .limit(limit)
    )
    with engine.connect() as connection:
        rows = [tuple(row) for row in connection.execute(query)][::-1]
    names = ["id", "recipe", "state", "error", "is_baseline", "is_own", "figures", "drop"]
    return pd.DataFrame(rows, columns=names)


def changed_rows(engine: Engine, run_ids: Sequence[int]) -> dict[int, tuple[list[int], list[int]]]:
    """Run → the evaluation rows that it lost compared with its baseline, and those it gained, numbered from
    0.

    Runs without this information are left out.
    """
    query = select(RunDetail.run_id, RunDetail.measured["turned"]).where(RunDetail.run_id.in_(run_ids))
    with engine.connect() as connection:
        return {
            run: (changed["lost"], changed["gained"]) for run, changed in connection.execute(query) if changed
        }


def recipes_tried(engine: Engine, experiment_id: int) -> set[str]:
    """Every recipe of the experiment's runs, in any state; added files have none."""
    is_of_recipe = (Run.experiment_id == experiment_id, Run.kind == RECIPE, has_recipe())
    query = select(Run.recipe).where(*is_of_recipe).distinct()
    with engine.connect() as connection:
        return set(connection.execute(query).scalars())


def enter(
    engine: Engine, search: StoredSearch, recipes: Sequence[tuple[str, bool, bool]], asked: int
) -> list[int]:
    """Queue the next runs of a search, `asked` of which count; recipes: as for `runs.add_runs`.

    Returns their ids; none if since `search` was read the search has ended, or another server has queued runs
    or the experiment's baseline.
    """
    ours = (
        update(Search)
        .where(Search.id == search.id, Search.state == SearchState.RUNNING, Search.asked == search.asked)
        .values(asked=Search.asked + asked)
    )
    try:
        with engine.begin() as connection:
            if connection.execute(ours).rowcount != 1:
                return []
            return [
                connection.execute(
                    new_run(engine, search.experiment_id, recipe, search.submission, search.owner)
                ).scalar_one()
                for recipe in recipes
            ]
    except IntegrityError:
        if any(is_baseline for _, is_baseline, _ in recipes):
            return []
        raise


def end_search(engine: Engine, search_id: int, message: str, state: SearchState = SearchState.ENDED) -> bool:
    """End a running search and store the reason. False when it had already ended."""
    ended = (
        update(Search)
        .where(Search.id == search_id, Search.state == SearchState.RUNNING)
        .values(state=state, words=message, finished_at=now(engine))
    )
    with engine.begin() as connection:
        return connection.execute(ended).rowcount == 1


def stop_searches(engine: Engine, experiment_id: int) -> bool:
    """End an experiment's running search on a user's request; its running runs continue. False when none
    runs.

    Raises NotAllowed for another user's experiment.
    """
    must_change(engine, experiment_id)
    return any(
        end_search(engine, search.id, "stopped by the user", SearchState.STOPPED)
        for search in get_searches(engine, experiment_id)
    )


def _read(engine: Engine, *conditions: ColumnElement[bool]) -> list[StoredSearch]:
    is_own = Run.submission == Search.submission
    under_way = (Run.experiment_id == Search.experiment_id, Run.kind == RECIPE, Run.state.in_(UNDER_WAY))
    everything, own = (
        select(column).where(*under_way).correlate(Search).scalar_subquery()
        for column in (func.count(), func.count(case((is_own, 1))))
    )
    query = (
        select(Search.__table__, everything.label("pending"), own.label("own_pending"))
        .where(*conditions)
        .order_by(Search.id.desc())
    )
    with engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
    return [StoredSearch(**{**row, "state": SearchState(row["state"])}) for row in rows]


def is_searching(engine: Engine, experiment_id: int) -> bool:
    """True if the experiment has a running search."""
    query = select(Search.id).where(*_runs(experiment_id), _is_seen(engine)).limit(1)
    with engine.connect() as connection:
        return connection.execute(query).scalar() is not None


def _runs(experiment_id: int) -> tuple[ColumnElement[bool], ...]:
    return (Search.experiment_id == experiment_id, Search.state == SearchState.RUNNING)


def _of(search: StoredSearch) -> tuple[ColumnElement[bool], ...]:
    return (
        Run.experiment_id == search.experiment_id,
        Run.submission == search.submission,
        Run.kind == RECIPE,
        Run.is_baseline.is_(False),
    )


def _is_seen(engine: Engine) -> ColumnElement[bool]:
    return Search.experiment_id.in_(select(Experiment.id).where(is_seen(engine)))
