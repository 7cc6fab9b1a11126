"""Running steps without heartbeats: their worker is lost, and they are queued again."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Engine, case, false, or_, select, update

from storage.database import now
from storage.tables import Run, State

MAX_LOSSES = 3
"""A run fails when its worker is lost this many times."""


@dataclass(frozen=True)
class Beat:
    """The last heartbeat of a running step: `heartbeat_at` in the database's seconds since 1970."""

    run_id: int
    attempt: int
    heartbeat_at: float
    worker: str


def heartbeats(engine: Engine) -> list[Beat]:
    """The last heartbeat of every running step."""
    query = select(Run.id, Run.attempt, Run.heartbeat_at, Run.worker).where(Run.state == State.RUNNING)
    with engine.connect() as connection:
        rows = connection.execute(query)
        return [Beat(row.id, row.attempt, row.heartbeat_at or 0.0, row.worker or "") for row in rows]


def recover(engine: Engine, silent: Collection[Beat]) -> list[int]:
    """Queue running steps without heartbeats as a new attempt; after the third time they fail.

    silent: their last known heartbeats; a step with a newer one is left alone. Returns the changed runs.
    """
    last_heard = [
        (Run.id == beat.run_id) & (Run.attempt == beat.attempt) & (Run.heartbeat_at == beat.heartbeat_at)
        for beat in silent
    ]
    stale = (Run.state == State.RUNNING) & or_(false(), *last_heard)
    cancelled, again = Run.cancel_requested.is_(True), Run.vanished + 1 < MAX_LOSSES
    message = f"the worker was lost {MAX_LOSSES} times while it worked on this run. See the run's log"
    recovered = (
        update(Run)
        .where(stale)
        .values(
            state=case((cancelled, State.CANCELLED), (again, State.QUEUED), else_=State.FAILED),
            error=case((cancelled | again, None), else_=message),
            finished_at=case((again & ~cancelled, None), else_=now(engine)),
            attempt=Run.attempt + 1,
            vanished=Run.vanished + 1,
            doing=None,
        )
        .returning(Run.id)
    )
    with engine.begin() as connection:
        return sorted(connection.execute(recovered).scalars())
