"""Runs as they stand in the database: single runs, states, and the details that were recorded."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Engine, select

from storage.runs import DETAILS
from storage.tables import Run, RunDetail, State
from storage.visitors import is_run_seen


def pending_details(engine: Engine, run_ids: Sequence[int]) -> list[int]:
    """The DETAILS analyses of these runs that have not ended."""
    query = select(Run.id).where(
        Run.of_run.in_(run_ids), Run.kind == DETAILS, Run.state.in_((State.QUEUED, State.RUNNING))
    )
    with engine.connect() as connection:
        return list(connection.execute(query).scalars())


def get_run(engine: Engine, run_id: int) -> Mapping[str, Any] | None:
    """All columns of a run by name; None where there is none, or none that this engine's visitor sees."""
    query = select(Run.__table__).where(Run.id == run_id, is_run_seen(engine))
    with engine.connect() as connection:
        row = connection.execute(query).mappings().first()
    return dict(row) if row else None


def get_states(engine: Engine, run_ids: Sequence[int]) -> list[Mapping[str, Any]]:
    """Where runs stand: id, recipe, state, doing and error of each that there is, oldest first."""
    query = (
        select(Run.id, Run.recipe, Run.state, Run.doing, Run.error)
        .where(Run.id.in_(run_ids), is_run_seen(engine))
        .order_by(Run.id)
    )
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def get_detail(engine: Engine, run_id: int) -> Mapping[str, Any]:
    """What was recorded while compressing and measuring: {"compressed": …, "measured": …}, each may be None.

    `measured` holds what the run's DETAILS analysis measured too, once it has succeeded.
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
        return {"compressed": None, "measured": None}
    return {**row, "measured": {**row["measured"], **more} if row["measured"] and more else row["measured"]}
