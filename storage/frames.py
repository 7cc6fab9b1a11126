"""Rows and counts for the pages, bounded so that ten thousand runs cost no more than a hundred.

Runs here are runs of recipes: analyses of runs (`storage.analyses`) are left out everywhere.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine, case, func, select

from storage.records import RunProgress
from storage.run_rows import PROGRESS, read_progress
from storage.runs import IS_BASELINE
from storage.searches import is_searching
from storage.tables import FINAL, RECIPE, Experiment, Run, State
from storage.visitors import is_run_seen, is_seen

IS_RUN = Run.kind == RECIPE
RUN_COLUMNS = (
    Run.id, Run.experiment_id, Run.recipe, Run.is_baseline, Run.state, Run.step, Run.doing, Run.progress,
    Run.error, Run.attempt, Run.created_at, Run.started_at, Run.finished_at, Run.size_bytes, Run.gzip_bytes,
    Run.accuracy, Run.agreement, Run.latency_ms_p50, Run.speedup, Run.sparsity, Run.figures, Run.tflite_sha256,
)  # fmt: skip


def baseline_run(engine: Engine, experiment_id: int) -> int | None:
    """The experiment's baseline: the succeeded one, or an unfinished one; None when there is none."""
    query = select(Run.id).where(Run.experiment_id == experiment_id, *IS_BASELINE)
    with engine.connect() as connection:
        return connection.execute(query.limit(1)).scalar()


def run_row(engine: Engine, run_id: int) -> dict[str, Any] | None:
    """One run with its `figures` spread; None where there is none, or none that this engine's visitor sees."""
    with engine.connect() as connection:
        row = (
            connection.execute(select(*RUN_COLUMNS).where(Run.id == run_id, IS_RUN, is_run_seen(engine)))
            .mappings()
            .first()
        )
    if row is None:
        return None
    values = dict(row)
    return {**(values.pop("figures") or {}), **values}


def progress_of(engine: Engine, experiment_id: int) -> dict[str, int]:
    """Number of runs of an experiment in each state."""
    query = (
        select(Run.state, func.count()).where(Run.experiment_id == experiment_id, IS_RUN).group_by(Run.state)
    )
    with engine.connect() as connection:
        counted: dict[str, int] = dict(connection.execute(query).tuples().all())
    return {state.value: counted.get(state, 0) for state in State}


def is_busy(engine: Engine, experiment_id: int) -> bool:
    """True if any run of the experiment has not ended, or a search may start more."""
    query = select(Run.id).where(Run.experiment_id == experiment_id, IS_RUN, Run.state.not_in(FINAL)).limit(1)
    with engine.connect() as connection:
        if connection.execute(query).scalar() is not None:
            return True
    return is_searching(engine, experiment_id)


def count_experiments(engine: Engine) -> int:
    """Number of experiments that this engine's visitor may see."""
    with engine.connect() as connection:
        return connection.execute(
            select(func.count()).select_from(Experiment).where(is_seen(engine))
        ).scalar_one()


def count_states(engine: Engine) -> dict[str, int]:
    """Number of runs in each state, over all experiments."""
    with engine.connect() as connection:
        query = select(Run.state, func.count()).where(IS_RUN).group_by(Run.state)
        counted: dict[str, int] = dict(connection.execute(query).tuples().all())
    return {state.value: counted.get(state, 0) for state in State}


def active_runs(engine: Engine, experiment_id: int, limit: int) -> list[RunProgress]:
    """Runs that have not ended, running ones first."""
    query = (
        select(*PROGRESS)
        .where(Run.experiment_id == experiment_id, IS_RUN, Run.state.in_((State.QUEUED, State.RUNNING)))
        .order_by(case((Run.state == State.RUNNING, 0), else_=1), Run.id)
        .limit(limit)
    )
    return read_progress(engine, query)


def newest_experiment(engine: Engine) -> int | None:
    """The id of the newest experiment."""
    with engine.connect() as connection:
        return connection.execute(select(func.max(Experiment.id)).where(is_seen(engine))).scalar()


def newest_run(engine: Engine) -> int | None:
    """The id of the newest run."""
    with engine.connect() as connection:
        return connection.execute(select(func.max(Run.id)).where(IS_RUN, is_run_seen(engine))).scalar()


def newest_runs(engine: Engine, experiment_ids: Sequence[int] | None, limit: int) -> list[int]:
    """Ids of the newest runs of these experiments, of all where None, newest first."""
    query = select(Run.id).where(IS_RUN, is_run_seen(engine)).order_by(Run.id.desc()).limit(limit)
    if experiment_ids is not None:
        query = query.where(Run.experiment_id.in_(experiment_ids))
    with engine.connect() as connection:
        return list(connection.execute(query).scalars())
