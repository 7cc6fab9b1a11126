"""Analyses of finished runs: rows in the runs table with the same states, left out of lists and counts of runs."""

import uuid

from sqlalchemy import Engine, delete, insert, select
from sqlalchemy.exc import IntegrityError

from storage.database import now
from storage.errors import StorageError
from storage.file_runs import is_file_recipe
from storage.records import StoredAnalysis, run_values
from storage.run_rows import get_run
from storage.tables import RECIPE, Run, RunDetail, State
from storage.target_results import target_of
from storage.visitors import is_run_seen, visitor_of

SENSITIVITY = "sensitivity"
ANALYSES = (SENSITIVITY,)
"""The kinds of analyses; the only step of an analysis has the name of its kind."""


class NotAnalysable(StorageError):
    """Only a run that has succeeded can be analysed."""


def add_analysis(engine: Engine, run_id: int, kind: str) -> int:
    """Queue an analysis of a run and return its id; if one waits, runs or has succeeded, return its id.

    kind: one of ANALYSES, or the kind of a target (storage.target_results). Raises NotAnalysable.
    """
    if kind not in ANALYSES and target_of(kind) is None:
        raise ValueError(f"kind must be one of {', '.join(ANALYSES)}; received {kind!r}")
    known = analysis_of(engine, run_id, kind)
    if known is not None and not known.is_retryable:
        return known.id
    run = get_run(engine, run_id)
    if run is None or run.kind != RECIPE:
        raise NotAnalysable(f"there is no run {run_id}")
    if kind == SENSITIVITY and is_file_recipe(run.recipe):
        raise NotAnalysable(
            f"run {run_id} is a file that was made elsewhere, and the float file that it was made from is not known: its "
            "layers cannot be quantized one by one. Analyse a run of the same number format instead"
        )
    if not run.has_succeeded:
        raise NotAnalysable(f"run {run_id} is {run.state}: only a run that has succeeded can be analysed")
    added = insert(Run).values(
        experiment_id=run.experiment_id,
        recipe=run.recipe,
        kind=kind,
        of_run=run_id,
        owner=visitor_of(engine).email or run.owner,
        submission=uuid.uuid4().hex,
        state=State.QUEUED,
        step=kind,
        tflite_sha256=run.tflite_sha256,
        baseline_sha256=run.baseline_sha256,
        stored_sha256=run.stored_sha256,
        created_at=now(engine),
    )
    try:
        with engine.begin() as connection:
            return connection.execute(added.returning(Run.id)).scalar_one()
    except IntegrityError:  # another request created the same analysis at the same time
        known = analysis_of(engine, run_id, kind)
        if known is None or known.is_retryable:
            raise
        return known.id


def forget_analysis(engine: Engine, analysis_id: int) -> None:
    """Remove a succeeded analysis whose files are no longer stored, so that it can be done again."""
    with engine.begin() as connection:
        connection.execute(delete(RunDetail).where(RunDetail.run_id == analysis_id))
        connection.execute(
            delete(Run).where(Run.id == analysis_id, Run.kind != RECIPE, Run.state == State.SUCCEEDED)
        )


def analysis_of(engine: Engine, run_id: int, kind: str) -> StoredAnalysis | None:
    """The newest analysis of this kind of a run; None where there is none."""
    query = (
        select(Run.__table__, RunDetail.measured)
        .outerjoin(RunDetail, RunDetail.run_id == Run.id)
        .where(Run.of_run == run_id, Run.kind == kind, is_run_seen(engine))
        .order_by(Run.id.desc())
        .limit(1)
    )
    with engine.connect() as connection:
        row = connection.execute(query).mappings().first()
    if row is None:
        return None
    values = run_values(row)
    return StoredAnalysis(**values | {"measured": values["measured"] or {}})
