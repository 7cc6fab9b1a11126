"""Queries of the results page: all runs of an experiment; small columns each time, metrics only once.

A succeeded run never changes, so its metrics may be cached. The changing columns (state, progress, tags) are
small.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from sqlalchemy import ColumnElement, Engine, case, func, select

from storage.tables import FINAL, RECIPE, Run, State

STANDING = (
    Run.id, Run.recipe, Run.is_baseline, Run.state, Run.doing, Run.progress, Run.error, Run.attempt,
    Run.created_at, Run.started_at, Run.finished_at, Run.title, Run.tags, Run.note, Run.owner,
)  # fmt: skip
AT_ONCE = 500


def standing(engine: Engine, experiment_id: int, *, has_ended: bool) -> pd.DataFrame:
    """The ended runs, or those that have not ended, oldest first: `STANDING`'s columns, no metrics."""
    query = select(*STANDING).where(*_of(experiment_id, has_ended)).order_by(Run.id)
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    return pd.DataFrame([tuple(row) for row in rows], columns=[column.key for column in STANDING])


def ended_mark(engine: Engine, experiment_id: int) -> tuple[Any, ...]:
    """A value that changes whenever the set of ended runs or their states change. Annotations do not count."""
    query = select(func.count(), func.sum(Run.id), func.sum(Run.attempt), func.max(Run.finished_at)).where(
        *_of(experiment_id, True)
    )
    with engine.connect() as connection:
        return tuple(connection.execute(query).one())


def under_way_mark(engine: Engine, experiment_id: int) -> tuple[Any, ...] | None:
    """A value that changes whenever the set of queued and running runs changes, progress excluded; None if
    there are none.
    """
    is_running = func.count(case((Run.state == State.RUNNING, 1)))
    query = select(func.count(), func.sum(Run.id), func.sum(Run.attempt), is_running).where(
        *_of(experiment_id, False)
    )
    with engine.connect() as connection:
        mark = tuple(connection.execute(query).one())
    return mark if mark[0] else None


def figures_of(engine: Engine, run_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """All metrics of each of these runs, by id; runs without metrics are left out."""
    found: dict[int, dict[str, Any]] = {}
    with engine.connect() as connection:
        for start in range(0, len(run_ids), AT_ONCE):
            part = list(run_ids[start : start + AT_ONCE])
            query = select(Run.id, Run.figures).where(Run.id.in_(part))
            found.update({run_id: figures for run_id, figures in connection.execute(query) if figures})
    return found


def _of(experiment_id: int, has_ended: bool) -> tuple[ColumnElement[bool], ...]:
    is_there = Run.state.in_(FINAL) if has_ended else Run.state.not_in(FINAL)
    return (Run.experiment_id == experiment_id, Run.kind == RECIPE, is_there)
