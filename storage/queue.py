"""The queue: the order of steps, the position of a run in it, and the waiting time.

The order is fair between the users of an installation: everybody's first step comes before anybody's second.
The owner of a step is its user, or its submission if sign-in is disabled.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Engine, Subquery, and_, case, func, or_, select, update

from storage.tables import Run, State
from storage.time_left import IS_WAITED_FOR, seconds_per_run


@dataclass(frozen=True)
class Waiting:
    """A queued step."""

    run_id: int
    experiment_id: int
    step: str
    attempt: int
    submission: str
    is_trained: bool
    owner: str | None = None
    is_baseline: bool = False

    @property
    def share(self) -> str:
        """The key by which steps alternate: owner or submission."""
        return self.owner or self.submission


@dataclass(frozen=True)
class Position:
    """Position of a queued run."""

    ahead: int
    """Queued steps before this one."""
    wait_s: float | None
    """Estimated waiting time in seconds; None before enough runs of its kind were measured."""


def waiting(engine: Engine, limit: int = 1000) -> list[Waiting]:
    """Queued steps in order."""
    turns = _turns()
    query = (
        select(
            Run.id,
            Run.experiment_id,
            Run.step,
            Run.attempt,
            Run.submission,
            Run.is_trained,
            Run.owner,
            Run.is_baseline,
        )
        .join(turns, turns.c.id == Run.id)
        .order_by(turns.c.turn, Run.id)
        .limit(limit)
    )
    with engine.connect() as connection:
        return [Waiting(*row) for row in connection.execute(query)]


def queue_position(engine: Engine, run_id: int) -> Position | None:
    """Number of steps before this run's, and their estimated time; None when it is not queued."""
    turns = _turns(*IS_WAITED_FOR)
    own = select(turns.c.turn).where(turns.c.id == run_id).scalar_subquery()
    earlier = or_(turns.c.turn < own, and_(turns.c.turn == own, turns.c.id < run_id))
    query = select(func.count(), func.sum(case((turns.c.is_trained, 1), else_=0))).where(earlier)
    with engine.connect() as connection:
        if connection.execute(select(own)).scalar() is None:
            return None
        ahead, trained = connection.execute(query).one()
        running = [row.is_trained for row in connection.execute(_running())]
    counts = {True: trained or 0, False: ahead - (trained or 0)}
    if not ahead and not running:
        return Position(0, 0.0)
    cost = seconds_per_run(engine)
    if any(counts[kind] and cost[kind] is None for kind in counts):
        return Position(ahead, None)
    under_way = [cost[kind] for kind in running]
    first = min(((s or 0.0) / 2 for s in under_way), default=0.0)  # on average half of it is done
    return Position(ahead, first + sum(counts[kind] * (cost[kind] or 0.0) for kind in counts))


def explain_wait(engine: Engine, message: str | None, before: str | None = None) -> None:
    """Write on every queued run why it has to wait; None removes the message `before`."""
    queued = (Run.state == State.QUEUED,)
    if message is None:
        changed = update(Run).where(*queued, Run.doing == (before or "")[:200]).values(doing=None)
    else:
        short = message[:200]
        changed = update(Run).where(*queued, Run.doing.is_distinct_from(short)).values(doing=short)
    with engine.begin() as connection:
        connection.execute(changed)


def _share() -> ColumnElement[Any]:
    return func.coalesce(Run.owner, Run.submission)


def _turns(*conditions: ColumnElement[bool]) -> Subquery:
    """Queued runs that meet `conditions` with their turn: their index within their share, from 1."""
    turn = func.row_number().over(partition_by=_share(), order_by=Run.id)
    return (
        select(Run.id, Run.is_trained, turn.label("turn"))
        .where(Run.state == State.QUEUED, Run.cancel_requested.is_(False), *conditions)
        .subquery()
    )


def _running() -> Any:
    return select(Run.is_trained).where(Run.state == State.RUNNING, *IS_WAITED_FOR)
