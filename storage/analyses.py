"""Analyses of finished runs: rows among the runs, with the same states, that lists and counts of runs leave out."""

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine, insert, select
from sqlalchemy.exc import IntegrityError

from storage.database import now
from storage.errors import StorageError
from storage.run_rows import get_run
from storage.tables import RECIPE, Run, RunDetail, State
from storage.visitors import is_run_seen, visitor_of

SENSITIVITY = "sensitivity"
ANALYSES = (SENSITIVITY,)
"""The kinds there are; the one step of an analysis is called like its kind."""


class NotAnalysable(StorageError):
    """Only a run that has succeeded can be analysed."""


def add_analysis(engine: Engine, run_id: int, kind: str) -> int:
    """Queues an analysis of a run and returns its id; of one that waits, runs or has succeeded the id it has.

    kind: one of ANALYSES. Raises NotAnalysable.
    """
    if kind not in ANALYSES:
        raise ValueError(f"kind must be one of {', '.join(ANALYSES)}; received {kind!r}")
    known = analysis_of(engine, run_id, kind)
    if known is not None and known["state"] not in (State.FAILED, State.CANCELLED):
        return int(known["id"])
    run = get_run(engine, run_id)
    if run is None or run["kind"] != RECIPE:
        raise NotAnalysable(f"there is no run {run_id}")
    if run["state"] != State.SUCCEEDED:
        raise NotAnalysable(f"run {run_id} is {run['state']}: only a run that has succeeded can be analysed")
    added = insert(Run).values(
        experiment_id=run["experiment_id"],
        recipe=run["recipe"],
        kind=kind,
        of_run=run_id,
        owner=visitor_of(engine).email or run["owner"],
        submission=uuid.uuid4().hex,
        state=State.QUEUED,
        step=kind,
        tflite_sha256=run["tflite_sha256"],
        baseline_sha256=run["baseline_sha256"],
        created_at=now(engine),
    )
    try:
        with engine.begin() as connection:
            return connection.execute(added.returning(Run.id)).scalar_one()
    except IntegrityError:  # another request for the same analysis was a moment faster
        known = analysis_of(engine, run_id, kind)
        if known is None or known["state"] in (State.FAILED, State.CANCELLED):
            raise
        return int(known["id"])


def analysis_of(engine: Engine, run_id: int, kind: str) -> Mapping[str, Any] | None:
    """The newest analysis of a run: all columns of its row, and `measured`, None until it has succeeded.

    None where there is none.
    """
    query = (
        select(Run.__table__, RunDetail.measured)
        .outerjoin(RunDetail, RunDetail.run_id == Run.id)
        .where(Run.of_run == run_id, Run.kind == kind, is_run_seen(engine))
        .order_by(Run.id.desc())
        .limit(1)
    )
    with engine.connect() as connection:
        row = connection.execute(query).mappings().first()
    return dict(row) if row else None
