"""The queue: in which order steps are handed out, where a run stands in it, and how long that will take.

The order is fair between those who share an installation: everybody's first step comes before anybody's
second. Whose a step is says its owner, or its submission where nobody signs in.
"""

from dataclasses import dataclass
from statistics import median
from typing import Any

from sqlalchemy import ColumnElement, Engine, Subquery, and_, case, func, or_, select, update

from storage.runs import DETAILS
from storage.tables import Run, State

LEAST_MEASURED = 3
"""So many ended runs of a kind are needed before a wait is estimated from them."""
RECENT = 60
"""So many ended runs are looked at for the estimate."""


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
        """Whose it is, for taking turns."""
        return self.owner or self.submission


@dataclass(frozen=True)
class Position:
    """Where a queued run stands."""

    ahead: int
    """Queued steps whose turn is earlier."""
    wait_s: float | None
    """About how long until its turn, in seconds; None before enough runs of its kind were measured."""


def waiting(engine: Engine, limit: int = 1000) -> list[Waiting]:
    """Queued steps in the order of their turns."""
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
    """How many steps come before this run's, and about how long they take; None when it is not queued."""
    turns = _turns(Run.kind != DETAILS)
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


def seconds_per_run(engine: Engine) -> dict[bool, float | None]:
    """What one run adds to the time of a queue, by whether it trains, in seconds; None where too few were measured.

    From the runs that ended last: from the end of the one before, or its own start if that was later, to its
    end. What runs side by side is so counted once.
    """
    query = (
        select(Run.is_trained, Run.started_at, Run.finished_at)
        .where(Run.state == State.SUCCEEDED, Run.kind != DETAILS, Run.started_at.is_not(None))
        .order_by(Run.id.desc())
        .limit(RECENT)
    )
    with engine.connect() as connection:
        rows = connection.execute(query)
        ended = sorted((row.finished_at or 0.0, row.started_at or 0.0, row.is_trained) for row in rows)
    taken: dict[bool, list[float]] = {True: [], False: []}
    before = 0.0
    for finished, started, is_trained in ended:
        taken[is_trained].append(max(0.0, finished - max(before, started)))
        before = finished
    return {kind: median(found) if len(found) >= LEAST_MEASURED else None for kind, found in taken.items()}


def explain_wait(engine: Engine, words: str | None, before: str | None = None) -> None:
    """Writes on every queued run why it has to wait; None takes the words `before` back."""
    queued = (Run.state == State.QUEUED,)
    if words is None:
        changed = update(Run).where(*queued, Run.doing == (before or "")[:200]).values(doing=None)
    else:
        short = words[:200]
        changed = update(Run).where(*queued, Run.doing.is_distinct_from(short)).values(doing=short)
    with engine.begin() as connection:
        connection.execute(changed)


def _share() -> ColumnElement[Any]:
    return func.coalesce(Run.owner, Run.submission)


def _turns(*conditions: ColumnElement[bool]) -> Subquery:
    """Queued runs that meet `conditions` with their turn: the how-manieth of their share they are, from 1."""
    turn = func.row_number().over(partition_by=_share(), order_by=Run.id)
    return (
        select(Run.id, Run.is_trained, turn.label("turn"))
        .where(Run.state == State.QUEUED, Run.cancel_requested.is_(False), *conditions)
        .subquery()
    )


def _running() -> Any:
    return select(Run.is_trained).where(Run.state == State.RUNNING, Run.kind != DETAILS)
