"""Numbers about the whole installation, for monitoring: runs by state, steps in the queue, duration of runs."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, case, func, select

from storage.tables import FINAL, RECIPE, Experiment, Run, State
from storage.visitors import is_run_seen

RUN_SECONDS = (1, 3, 10, 30, 100, 300, 1000, 3000, 10000)
"""Upper bounds of the histogram's buckets."""


def runs_by_state(engine: Engine) -> dict[str, int]:
    """Number of runs of recipes in each state."""
    query = select(Run.state, func.count()).where(Run.kind == RECIPE).group_by(Run.state)
    with engine.connect() as connection:
        counted: dict[str, int] = dict(connection.execute(query).tuples().all())
    return {state.value: counted.get(state, 0) for state in State}


def queue_by_step(engine: Engine) -> dict[str, dict[str, int]]:
    """{"queued": {step: number}, "running": {…}}, of runs and analyses."""
    active = (State.QUEUED, State.RUNNING)
    query = (
        select(Run.state, Run.step, func.count()).where(Run.state.in_(active)).group_by(Run.state, Run.step)
    )
    found: dict[str, dict[str, int]] = {"queued": {}, "running": {}}
    with engine.connect() as connection:
        for state, step, number in connection.execute(query):
            found[state][step] = number
    return found


def run_seconds(engine: Engine) -> dict[str, tuple[list[int], float]]:
    """Final state → number of runs that took at most each of RUN_SECONDS, total number, and sum of their
    seconds. Runs that ended before they started are left out.
    """
    taken = Run.finished_at - Run.started_at
    within = [func.count(case((taken <= bound, 1))) for bound in RUN_SECONDS]
    query = (
        select(Run.state, *within, func.count(), func.sum(taken))
        .where(Run.state.in_(FINAL), Run.started_at.is_not(None), Run.finished_at.is_not(None))
        .group_by(Run.state)
    )
    with engine.connect() as connection:
        rows = [tuple(row) for row in connection.execute(query)]
    return {str(state): (list(counts), float(total)) for state, *counts, total in rows}


@dataclass(frozen=True)
class Active:
    """A queued or running step. `recipe` and `experiment` are None where the visitor may not see them."""

    run_id: int
    state: str
    step: str
    attempt: int
    owner: str | None
    worker: str | None
    doing: str | None
    progress: float
    started_at: float | None
    recipe: str | None
    experiment: str | None


def active_steps(engine: Engine, limit: int) -> list[Active]:
    """Running steps, then queued ones, oldest first; hidden steps are included without their content."""
    seen: Any = is_run_seen(engine)
    query = (
        select(
            Run.id, Run.state, Run.step, Run.attempt, Run.owner, Run.worker,
            case((seen, Run.doing)), Run.progress, Run.started_at,
            case((seen, Run.recipe)), case((seen, Experiment.name)),
        )
        .join(Experiment, Experiment.id == Run.experiment_id)
        .where(Run.state.in_((State.QUEUED, State.RUNNING)))
        .order_by(case((Run.state == State.RUNNING, 0), else_=1), Run.id)
        .limit(limit)
    )  # fmt: skip
    with engine.connect() as connection:
        return [Active(*row) for row in connection.execute(query)]
