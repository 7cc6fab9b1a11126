"""Estimates of the time until running and queued runs have ended, from the durations of ended runs."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

from sqlalchemy import ColumnElement, Engine, select

from storage.runs import DETAILS
from storage.tables import Run, State
from storage.target_results import KIND_PREFIX

MIN_MEASURED = 3
"""Minimum number of ended runs of a kind for an estimate from the runs of all experiments. Of the same experiment, one
suffices."""
IS_WAITED_FOR = (Run.kind != DETAILS, Run.kind.not_like(f"{KIND_PREFIX}%"))
"""Condition for steps that delay others: what follows a run runs beside them."""
RECENT = 60
"""Number of ended runs used for the estimate."""


@dataclass(frozen=True)
class TimeLeft:
    """Estimated time until the last run of an experiment ends."""

    seconds: float
    unknown: int = 0
    """Runs that are not part of it, because no run of their kind was measured."""


def seconds_left(engine: Engine, experiment_id: int, now: float) -> TimeLeft | None:
    """From runs of the same experiment, or of all where it has none; None if nothing is known of any. now: Unix time."""
    query = select(Run.is_trained, Run.state, Run.started_at).where(
        Run.experiment_id == experiment_id, Run.state.in_((State.QUEUED, State.RUNNING)), *IS_WAITED_FOR
    )
    with engine.connect() as connection:
        open_runs = list(connection.execute(query))
    own, of_all = seconds_per_run(engine, experiment_id, 1), seconds_per_run(engine)
    cost = {kind: of_all[kind] if seconds is None else seconds for kind, seconds in own.items()}
    total, beside, unknown = 0.0, [0.0], 0
    for is_trained, state, started in open_runs:
        seconds = cost[is_trained]
        if seconds is None:
            unknown += 1
        elif state == State.QUEUED:
            total += seconds
        else:
            beside.append(max(0.0, seconds - (now - (started or now))))
    return None if unknown == len(open_runs) else TimeLeft(total + max(beside), unknown)


def seconds_left_of_runs(engine: Engine, experiment_id: int, now: float) -> dict[int, float]:
    """For the running runs of an experiment the estimated time left: the usual duration of their kind, less the time
    since their start. Runs that take longer than usual are left out, and those of a kind that was not measured.
    """
    query = select(Run.id, Run.is_trained, Run.started_at).where(
        Run.experiment_id == experiment_id,
        Run.state == State.RUNNING,
        Run.started_at.is_not(None),
        *IS_WAITED_FOR,
    )
    with engine.connect() as connection:
        running = list(connection.execute(query))
        own = _durations(_ended(connection, Run.experiment_id == experiment_id), 1) if running else {}
        of_all = _durations(_ended(connection), MIN_MEASURED) if running else {}
    found = {}
    for run, is_trained, started in running:
        usual = own[is_trained] or of_all[is_trained]
        if usual is not None and (left := usual - (now - (started or now))) > 0:
            found[run] = left
    return found


def seconds_per_run(
    engine: Engine, experiment_id: int | None = None, least: int = MIN_MEASURED
) -> dict[bool, float | None]:
    """Seconds that one run adds to the queue, by whether it trains; None where fewer than `least` were measured.

    From the newest ended runs, of one experiment if given: from the end of the previous one, or its own start if that
    was later, to its end. So runs side by side are counted once.
    """
    of_experiment = () if experiment_id is None else (Run.experiment_id == experiment_id,)
    with engine.connect() as connection:
        rows = _ended(connection, *of_experiment)
    ended = sorted((row.finished_at or 0.0, row.started_at or 0.0, row.is_trained) for row in rows)
    taken: dict[bool, list[float]] = {True: [], False: []}
    before = 0.0
    for finished, started, is_trained in ended:
        taken[is_trained].append(max(0.0, finished - max(before, started)))
        before = finished
    return _medians(taken, least)


def _ended(connection: Any, *conditions: ColumnElement[bool]) -> list[Any]:
    """The newest succeeded runs: is_trained, started_at, finished_at."""
    query = (
        select(Run.is_trained, Run.started_at, Run.finished_at)
        .where(Run.state == State.SUCCEEDED, *IS_WAITED_FOR, Run.started_at.is_not(None), *conditions)
        .order_by(Run.id.desc())
        .limit(RECENT)
    )
    return list(connection.execute(query))


def _durations(rows: Iterable[Any], least: int) -> dict[bool, float | None]:
    """The usual duration of a run from its own start to its end, by whether it trains."""
    taken: dict[bool, list[float]] = {True: [], False: []}
    for is_trained, started, finished in rows:
        taken[is_trained].append((finished or started) - started)
    return _medians(taken, least)


def _medians(taken: dict[bool, list[float]], least: int) -> dict[bool, float | None]:
    return {kind: median(found) if len(found) >= least else None for kind, found in taken.items()}
