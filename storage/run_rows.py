"""Runs in the database: single runs, states, and recorded details."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine, Select, select

from storage.records import RunDetails, RunProgress, StoredRun, run_values
from storage.runs import DETAILS
from storage.tables import Experiment, Run, RunDetail, State
from storage.target_results import target_results
from storage.visitors import is_run_seen

PROGRESS = (Run.id, Run.recipe, Run.state, Run.doing, Run.progress, Run.error, Run.started_at)
"""The columns of a `RunProgress`."""


def pending_details(engine: Engine, run_ids: Sequence[int]) -> list[int]:
    """The DETAILS analyses of these runs that have not ended."""
    query = select(Run.id).where(
        Run.of_run.in_(run_ids), Run.kind == DETAILS, Run.state.in_((State.QUEUED, State.RUNNING))
    )
    with engine.connect() as connection:
        return list(connection.execute(query).scalars())


def has_float_file(engine: Engine, model_sha256: str) -> bool:
    """True if a baseline of this model has been made."""
    query = (
        select(Run.id)
        .join(Experiment, Experiment.id == Run.experiment_id)
        .where(Experiment.model_sha256 == model_sha256, Run.is_baseline, Run.tflite_sha256.is_not(None))
        .limit(1)
    )
    with engine.connect() as connection:
        return connection.execute(query).scalar() is not None


def recipes_with_models(engine: Engine, run_ids: Sequence[int]) -> list[tuple[str, str]]:
    """(recipe, SHA-256 of the model) of these runs."""
    query = (
        select(Run.recipe, Experiment.model_sha256)
        .join(Experiment, Experiment.id == Run.experiment_id)
        .where(Run.id.in_(run_ids))
    )
    with engine.connect() as connection:
        return [(recipe, model) for recipe, model in connection.execute(query)]


def get_run(engine: Engine, run_id: int) -> StoredRun | None:
    """A run; None if it does not exist, or this engine's visitor may not see it."""
    query = select(Run.__table__).where(Run.id == run_id, is_run_seen(engine))
    with engine.connect() as connection:
        row = connection.execute(query).mappings().first()
    return StoredRun(**run_values(row)) if row else None


def get_progress(engine: Engine, run_ids: Sequence[int]) -> list[RunProgress]:
    """The progress of each existing run of these, oldest first."""
    return read_progress(
        engine, select(*PROGRESS).where(Run.id.in_(run_ids), is_run_seen(engine)).order_by(Run.id)
    )


def read_progress(engine: Engine, query: Select[*tuple[Any, ...]]) -> list[RunProgress]:
    """The runs of a query of PROGRESS."""
    with engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
    return [RunProgress(**{**row, "state": State(row["state"])}) for row in rows]


def get_detail(engine: Engine, run_id: int) -> RunDetails:
    """The records of compressing and measuring a run.

    `measured` also holds the measurements of the run's DETAILS analysis, once it has succeeded, and its `targets`.
    """
    details = (
        select(RunDetail.measured)
        .join(Run, Run.id == RunDetail.run_id)
        .where(Run.of_run == run_id, Run.kind == DETAILS, Run.state == State.SUCCEEDED)
        .order_by(Run.id.desc())
        .limit(1)
    )
    with engine.connect() as connection:
        row = (
            connection.execute(select(RunDetail.__table__).where(RunDetail.run_id == run_id))
            .mappings()
            .first()
        )
        more = connection.execute(details).scalar()
    if row is None:
        return RunDetails({}, {})
    measured = {**(row["measured"] or {}), **((more or {}) if row["measured"] else {})}
    if targets := target_results(engine, [run_id]).get(run_id):
        measured["targets"] = {**(measured.get("targets") or {}), **targets}
    return RunDetails(row["compressed"] or {}, measured)
