"""Runs in the database: their transitions, and who may make them.

A run goes queued → running → … → succeeded | failed | cancelled | stopped. Between its steps it is queued again.
Every change names its attempt and happens in one UPDATE that checks the state. So of two workers one wins,
and a worker that was declared lost cannot overwrite a newer attempt.
A final run never changes; `retry` makes a new attempt of one without a result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    JSON,
    Engine,
    Insert,
    Update,
    case,
    delete,
    exists,
    false,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased
from sqlalchemy.sql.dml import ReturningInsert

from storage.database import now
from storage.errors import StorageError
from storage.tables import RECIPE, RETRYABLE, Run, RunDetail, State
from storage.target_results import keep_results

FIRST_STEP = "compress"
DETAILS = "details"
"""The analysis that follows each measured run automatically: details of its page besides the headline metrics."""
NEXT_STEP = {"compress": "measure", "measure": None, DETAILS: None, "sensitivity": None}
"""Step → the next one; the step of a target (storage.target_results) is the only one of its analysis."""
IS_BASELINE = (
    Run.kind == RECIPE,
    Run.is_baseline.is_(True),
    Run.state.in_((State.SUCCEEDED, State.QUEUED, State.RUNNING)),
)
"""Condition for the baseline of an experiment: there is at most one such run."""
STOPPED_DROP = "stopped_drop"
"""Accuracy that a stopped run had lost, in the record of its compression."""
COLUMNS = ("size_bytes", "gzip_bytes", "accuracy", "agreement", "latency_ms_p50", "speedup", "sparsity")


@dataclass(frozen=True)
class Claim:
    """A step of a run that this caller owns until it ends or its heartbeats stop."""

    run_id: int
    attempt: int
    step: str


class BaselineExists(StorageError):
    """The experiment already has a baseline, created at the same time."""


class Incomplete(StorageError):
    """A run cannot succeed without the record of its compression."""


def add_runs(
    engine: Engine,
    experiment_id: int,
    recipes: Sequence[tuple[str, bool, bool]],
    submission: str,
    owner: str | None = None,
) -> list[int]:
    """Queue runs; recipes: (canonical text, is_baseline, is_trained). Return their ids in the same order.

    owner: who starts them, if sign-in is enabled. Raises BaselineExists, with nothing queued, if a baseline
    is among `recipes` and the experiment has one that has not failed.
    """
    try:
        with engine.begin() as connection:
            return [
                connection.execute(new_run(engine, experiment_id, recipe, submission, owner)).scalar_one()
                for recipe in recipes
            ]
    except IntegrityError as error:
        if any(is_baseline for _, is_baseline, _ in recipes) and _has_baseline(engine, experiment_id):
            raise BaselineExists from error
        raise


def _has_baseline(engine: Engine, experiment_id: int) -> bool:
    query = select(Run.id).where(Run.experiment_id == experiment_id, *IS_BASELINE).limit(1)
    with engine.connect() as connection:
        return connection.execute(query).scalar() is not None


def new_run(
    engine: Engine, experiment_id: int, recipe: tuple[str, bool, bool], submission: str, owner: str | None
) -> ReturningInsert[int]:
    """The statement that queues a run and returns its id; parameters as for `add_runs`."""
    text, is_baseline, is_trained = recipe
    return (
        insert(Run)
        .values(
            experiment_id=experiment_id,
            recipe=text,
            is_baseline=is_baseline,
            is_trained=is_trained,
            submission=submission,
            owner=owner,
            state=State.QUEUED,
            step=FIRST_STEP,
            created_at=now(engine),
        )
        .returning(Run.id)
    )


def claim(engine: Engine, run_id: int, step: str, attempt: int, worker: str) -> Claim | None:
    """Claim a queued step; None when it was cancelled, claimed by another worker, or is of another attempt."""
    taken = (
        update(Run)
        .where(
            Run.id == run_id,
            Run.step == step,
            Run.attempt == attempt,
            Run.state == State.QUEUED,
            Run.cancel_requested.is_(False),
        )
        .values(
            state=State.RUNNING,
            worker=worker,
            doing="starting",
            progress=0.0,
            heartbeat_at=now(engine),
            started_at=func.coalesce(Run.started_at, now(engine)),
        )
    )
    return Claim(run_id, attempt, step) if _changes_one(engine, taken) else None


def beat(engine: Engine, owned: Claim, doing: str | None = None, progress: float | None = None) -> bool:
    """Send a heartbeat with the present activity. Return True if the step has to stop (see `should_stop`)."""
    values: dict[str, Any] = {"heartbeat_at": now(engine)}
    if doing is not None:
        values["doing"] = doing[:200]
    if progress is not None:
        values["progress"] = progress
    with engine.begin() as connection:
        connection.execute(update(Run).where(*_owned(owned)).values(**values))
    return should_stop(engine, owned)


def should_stop(engine: Engine, owned: Claim) -> bool:
    """True if the run was cancelled, or the step was taken from this caller because it was declared lost."""
    query = select(Run.id).where(*_owned(owned), Run.cancel_requested.is_(False))
    with engine.connect() as connection:
        return connection.execute(query).scalar() is None


def finish_compress(
    engine: Engine,
    owned: Claim,
    *,
    tflite_sha256: str,
    baseline_sha256: str,
    compressed: Mapping[str, Any],
    stored_sha256: str | None = None,
) -> bool:
    """Record the file and queue the measuring. False when the claim is no longer ours.

    stored_sha256: the file in a storage form that LiteRT does not run, where there is one.
    """
    with engine.begin() as connection:
        changed = connection.execute(
            update(Run)
            .where(*_owned(owned))
            .values(
                **_queued_or_cancelled(engine),
                step=NEXT_STEP[owned.step],
                tflite_sha256=tflite_sha256,
                baseline_sha256=baseline_sha256,
                stored_sha256=stored_sha256,
                doing="waits to be measured",
                progress=0.0,
            )
        ).rowcount
        if changed:
            connection.execute(delete(RunDetail).where(RunDetail.run_id == owned.run_id))
            connection.execute(insert(RunDetail).values(run_id=owned.run_id, compressed=dict(compressed)))
    return changed == 1


def finish_measure(
    engine: Engine,
    owned: Claim,
    *,
    figures: Mapping[str, Any],
    measured: Mapping[str, Any],
    has_details: bool = False,
) -> bool:
    """Record the measurements and end the run as succeeded, in one transaction. False when the claim is no
    longer ours.

    has_details: also queue an analysis of kind DETAILS, which measures the rest.
    Raises Incomplete when its compression was not recorded; the run is then unchanged.
    """
    with engine.begin() as connection:
        changed = connection.execute(
            update(Run)
            .where(*_owned(owned))
            .values(
                state=State.SUCCEEDED,
                figures=dict(figures),
                finished_at=now(engine),
                doing=None,
                progress=1.0,
                **{column: figures.get(column) for column in COLUMNS},
            )
        ).rowcount
        if changed:
            recorded = connection.execute(
                update(RunDetail).where(RunDetail.run_id == owned.run_id).values(measured=dict(measured))
            ).rowcount
            if recorded != 1:
                raise Incomplete(f"run {owned.run_id} has no record of its compression. Start it again")
            if has_details:
                connection.execute(_details_of(engine, owned.run_id))
    return changed == 1


def _details_of(engine: Engine, run_id: int) -> Insert:
    """The statement that queues the DETAILS analysis of a run."""
    taken_over: tuple[Any, ...] = (
        Run.experiment_id, Run.recipe, Run.is_trained, Run.submission, Run.owner, Run.tflite_sha256,
        Run.baseline_sha256, Run.stored_sha256,
    )  # fmt: skip
    added: dict[str, Any] = {
        "kind": literal(DETAILS), "step": literal(DETAILS), "state": literal(State.QUEUED.value), "of_run": Run.id,
        "is_baseline": false(), "tags": literal([], JSON), "note": literal(""), "attempt": literal(1),
        "vanished": literal(0), "cancel_requested": false(), "progress": literal(0.0), "created_at": now(engine),
    }  # fmt: skip
    source = select(*taken_over, *added.values()).where(Run.id == run_id)
    return insert(Run).from_select(
        [*(column.key for column in taken_over), *added], source, include_defaults=False
    )


def finish_analysis(engine: Engine, owned: Claim, *, measured: Mapping[str, Any]) -> bool:
    """Record an analysis's results and end it as succeeded, in one transaction. False when the claim is no longer ours.

    measured: `targets` in it are also recorded for the run (storage.target_results).
    """
    ended = (
        update(Run)
        .where(*_owned(owned))
        .values(state=State.SUCCEEDED, finished_at=now(engine), doing=None, progress=1.0)
        .returning(Run.of_run)
    )
    with engine.begin() as connection:
        of_run = connection.execute(ended).scalar()
        changed = of_run is not None
        if of_run is not None:
            if targets := measured.get("targets"):
                keep_results(engine, connection, of_run, targets)
            connection.execute(delete(RunDetail).where(RunDetail.run_id == owned.run_id))
            connection.execute(insert(RunDetail).values(run_id=owned.run_id, measured=dict(measured)))
    return changed


def fail(engine: Engine, owned: Claim, error: str) -> bool:
    """End a claimed run as failed, with a message for users."""
    return _end(engine, _owned(owned), State.FAILED, error)


def stop(engine: Engine, owned: Claim, reason: str, *, drop: float, compressed: Mapping[str, Any]) -> bool:
    """End a claimed run of a search that cannot meet the limit on the drop of accuracy.

    drop: the accuracy that it had lost, 0–1. compressed: the stages that were made. False when the claim is no longer ours.
    """
    ended = (
        update(Run)
        .where(*_owned(owned))
        .values(state=State.STOPPED, error=reason, finished_at=now(engine), doing=None)
    )
    with engine.begin() as connection:
        changed = connection.execute(ended).rowcount == 1
        if changed:
            connection.execute(delete(RunDetail).where(RunDetail.run_id == owned.run_id))
            record = {**compressed, STOPPED_DROP: drop}
            connection.execute(insert(RunDetail).values(run_id=owned.run_id, compressed=record))
    return changed


def end_cancelled(engine: Engine, owned: Claim) -> bool:
    """End a claimed run whose cancellation was requested."""
    return _end(engine, _owned(owned), State.CANCELLED, None)


def give_back(engine: Engine, owned: Claim) -> bool:
    """Queue a claimed step again, as a new attempt: its worker shuts down in an orderly way."""
    values = {**_queued_or_cancelled(engine), "attempt": Run.attempt + 1, "doing": None}
    return _changes_one(engine, update(Run).where(*_owned(owned)).values(**values))


def fail_waiting(engine: Engine, run_id: int, attempt: int, error: str) -> bool:
    """End a queued run that cannot even start."""
    waiting = (Run.id == run_id, Run.attempt == attempt, Run.state == State.QUEUED)
    return _end(engine, waiting, State.FAILED, error)


def cancel(engine: Engine, run_id: int) -> bool:
    """Request the end of a run; a queued one ends at once. False when it had already ended."""
    waits = Run.state == State.QUEUED
    cancelled = (
        update(Run)
        .where(Run.id == run_id, Run.state.in_((State.QUEUED, State.RUNNING)))
        .values(
            cancel_requested=True,
            state=case((waits, State.CANCELLED), else_=Run.state),
            finished_at=case((waits, now(engine)), else_=Run.finished_at),
            doing=case((waits, None), else_=Run.doing),
        )
    )
    return _changes_one(engine, cancelled)


def retry(engine: Engine, run_id: int) -> bool:
    """Queue a run that ended without a result again, as a new attempt. False for any other run.

    A baseline that was replaced in the meantime becomes an ordinary run. An analysis that was replaced stays
    unchanged: False.
    """
    other = aliased(Run)
    is_replaced = exists().where(
        other.experiment_id == Run.experiment_id,
        other.is_baseline.is_(True),
        other.state.in_((State.SUCCEEDED, State.QUEUED, State.RUNNING)),
    )
    again = (
        update(Run)
        .where(Run.id == run_id, Run.state.in_(RETRYABLE))
        .values(
            state=State.QUEUED,
            step=case((Run.kind == RECIPE, FIRST_STEP), else_=Run.kind),
            is_baseline=case((is_replaced, False), else_=Run.is_baseline),
            attempt=Run.attempt + 1,
            vanished=0,
            cancel_requested=False,
            error=None,
            started_at=None,
            finished_at=None,
            doing=None,
            progress=0.0,
        )
    )
    try:
        return _changes_one(engine, again)
    except IntegrityError:  # replaced, or about to be, by one created at the same time
        return False


def _owned(owned: Claim) -> tuple[Any, ...]:
    return (
        Run.id == owned.run_id,
        Run.attempt == owned.attempt,
        Run.step == owned.step,
        Run.state == State.RUNNING,
    )


def _queued_or_cancelled(engine: Engine) -> dict[str, Any]:
    """The state of an ended step when the run continues: it may have been cancelled in between."""
    cancelled = Run.cancel_requested.is_(True)
    return {
        "state": case((cancelled, State.CANCELLED), else_=State.QUEUED),
        "finished_at": case((cancelled, now(engine)), else_=None),
    }


def _end(engine: Engine, conditions: tuple[Any, ...], state: State, error: str | None) -> bool:
    ended = update(Run).where(*conditions)
    return _changes_one(engine, ended.values(state=state, error=error, finished_at=now(engine), doing=None))


def _changes_one(engine: Engine, statement: Update) -> bool:
    """Run an UPDATE in its own transaction; True if its conditions held."""
    with engine.begin() as connection:
        return connection.execute(statement).rowcount == 1
