"""Tasks of devices: each is leased to one agent at a time, and ends with one recorded result.

An agent that does not report before its lease ends has lost the task: another agent, or the same one, may take it.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Engine, Select, and_, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from storage.database import now
from storage.devices import StoredDevice
from storage.errors import StorageError
from storage.tables import DeviceTask, Run, TaskState
from storage.target_results import keep_results
from storage.visitors import must_change, visitor_of

LEASE_SECONDS = 60.0
MAX_ATTEMPTS = 3
"""Number of agents that may take a task and not report."""
LEASE_BYTES = 24
OPEN = (TaskState.QUEUED, TaskState.LEASED)
MAX_DOING_LENGTH = 200
LOST = "this task is no longer this agent's: its lease ended and another agent took it, or it was cancelled"


class LeaseLost(StorageError):
    """This task is no longer this agent's: its lease ended and another took it, or it was cancelled."""


@dataclass(frozen=True, kw_only=True)
class StoredTask:
    """The measurement of one run's file on one device."""

    id: int
    device_id: int
    run_id: int
    owner: str | None
    state: str
    attempts: int
    doing: str | None
    error: str | None
    created_at: float
    finished_at: float | None

    @property
    def has_ended(self) -> bool:
        return self.state not in OPEN


def add_task(engine: Engine, device: StoredDevice, run_id: int, experiment_id: int) -> int:
    """Queue the measurement of a run on a device; one that is open is returned instead. Raises NotAllowed."""
    must_change(engine, experiment_id)
    values = {"device_id": device.id, "run_id": run_id, "owner": visitor_of(engine).email}
    added = insert(DeviceTask).values(**values, state=TaskState.QUEUED, created_at=now(engine))
    known = select(DeviceTask.id).where(
        DeviceTask.device_id == device.id, DeviceTask.run_id == run_id, DeviceTask.state.in_(OPEN)
    )
    try:
        with engine.begin() as connection:
            return connection.execute(added.returning(DeviceTask.id)).scalar_one()
    except IntegrityError:
        with engine.connect() as connection:
            return connection.execute(known).scalar_one()


def claimable(engine: Engine, device_id: int) -> list[StoredTask]:
    """The device's tasks that no agent has, oldest first; tasks that too many agents have lost are failed first."""
    lost = and_(_is_free(engine), DeviceTask.attempts >= MAX_ATTEMPTS)
    error = f"{MAX_ATTEMPTS} agents began to measure it and none reported: look at the agent's output"
    with engine.begin() as connection:
        connection.execute(
            update(DeviceTask)
            .where(DeviceTask.device_id == device_id, lost)
            .values(state=TaskState.FAILED, error=error, finished_at=now(engine))
        )
    query = _query().where(DeviceTask.device_id == device_id, _is_free(engine)).order_by(DeviceTask.id)
    return _read(engine, query)


def give_back(engine: Engine, device_id: int, agent: str) -> None:
    """Queue the tasks again that are leased to an agent which asks for work: the reply with the lease was lost."""
    held = (
        DeviceTask.device_id == device_id,
        DeviceTask.state == TaskState.LEASED,
        DeviceTask.lease.startswith(f"{agent}.", autoescape=True),
    )
    values = {"state": TaskState.QUEUED, "attempts": DeviceTask.attempts - 1, "lease": None}
    with engine.begin() as connection:
        connection.execute(update(DeviceTask).where(*held).values(**values))


def lease_task(engine: Engine, task_id: int, agent: str) -> str | None:
    """Lease a task to an agent; return the lease's secret, or None where another agent was faster."""
    lease = f"{agent}.{secrets.token_urlsafe(LEASE_BYTES)}"
    taken = (
        update(DeviceTask)
        .where(DeviceTask.id == task_id, _is_free(engine))
        .values(
            state=TaskState.LEASED,
            lease=lease,
            leased_until=now(engine) + LEASE_SECONDS,
            attempts=DeviceTask.attempts + 1,
            doing=None,
        )
    )
    with engine.begin() as connection:
        return lease if connection.execute(taken).rowcount == 1 else None


def leased_task(engine: Engine, device_id: int, task_id: int, lease: str) -> StoredTask:
    """The task, while it is leased to this agent. Raises LeaseLost."""
    found = _read(engine, _query().where(*_held(device_id, task_id, lease)))
    if not found:
        raise LeaseLost(LOST)
    return found[0]


def extend_lease(engine: Engine, device_id: int, task_id: int, lease: str, doing: str) -> None:
    """Keep a task for another LEASE_SECONDS. Raises LeaseLost."""
    values = {"leased_until": now(engine) + LEASE_SECONDS, "doing": doing[:MAX_DOING_LENGTH]}
    _change(engine, update(DeviceTask).where(*_held(device_id, task_id, lease)).values(**values))


def finish_task(
    engine: Engine, device: StoredDevice, task_id: int, lease: str, result: Mapping[str, Any]
) -> bool:
    """Record the result of a task for its run, in one transaction; False where this agent's was recorded before.

    Raises LeaseLost.
    """
    ended = (
        update(DeviceTask)
        .where(*_held(device.id, task_id, lease))
        .values(state=TaskState.DONE, finished_at=now(engine), doing=None, error=None)
        .returning(DeviceTask.run_id)
    )
    with engine.begin() as connection:
        run_id = connection.execute(ended).scalar()
        if run_id is not None:
            keep_results(engine, connection, run_id, {device.target: result})
    if run_id is None:
        _must_be_finished(engine, device.id, task_id, lease)
    return run_id is not None


def fail_task(engine: Engine, device_id: int, task_id: int, lease: str, error: str) -> bool:
    """End a task without a result; False where it had ended before. Raises LeaseLost."""
    ended = update(DeviceTask).where(*_held(device_id, task_id, lease))
    with engine.begin() as connection:
        values = {"state": TaskState.FAILED, "finished_at": now(engine), "doing": None, "error": error}
        changed = connection.execute(ended.values(**values)).rowcount
    if not changed:
        _must_be_finished(engine, device_id, task_id, lease)
    return bool(changed)


def fail_unstarted(engine: Engine, task_id: int, error: str) -> None:
    """End a task that no agent has and none can begin."""
    ended = update(DeviceTask).where(DeviceTask.id == task_id, _is_free(engine))
    with engine.begin() as connection:
        connection.execute(
            ended.values(state=TaskState.FAILED, finished_at=now(engine), doing=None, error=error)
        )


def get_task(engine: Engine, task_id: int) -> StoredTask | None:
    """A task; None if it does not exist."""
    found = _read(engine, _query().where(DeviceTask.id == task_id))
    return found[0] if found else None


def newest_task(engine: Engine, device_id: int, run_id: int) -> StoredTask | None:
    """The newest task of a run on a device."""
    query = _query().where(DeviceTask.device_id == device_id, DeviceTask.run_id == run_id)
    found = _read(engine, query.order_by(DeviceTask.id.desc()).limit(1))
    return found[0] if found else None


def open_tasks(engine: Engine) -> dict[int, list[StoredTask]]:
    """Device → its tasks that have not ended, oldest first."""
    found: dict[int, list[StoredTask]] = {}
    for task in _read(engine, _query().where(DeviceTask.state.in_(OPEN)).order_by(DeviceTask.id)):
        found.setdefault(task.device_id, []).append(task)
    return found


def has_open_tasks(engine: Engine, experiment_id: int) -> bool:
    """True while a device may still record results of one of the experiment's runs."""
    query = (
        select(DeviceTask.id)
        .join(Run, Run.id == DeviceTask.run_id)
        .where(Run.experiment_id == experiment_id, DeviceTask.state.in_(OPEN))
    )
    with engine.connect() as connection:
        return connection.execute(query.limit(1)).scalar() is not None


def open_tasks_of(engine: Engine, experiment_id: int) -> dict[int, int]:
    """Device → number of its tasks for runs of the experiment that have not ended."""
    query = (
        select(DeviceTask.device_id, func.count())
        .join(Run, Run.id == DeviceTask.run_id)
        .where(Run.experiment_id == experiment_id, DeviceTask.state.in_(OPEN))
        .group_by(DeviceTask.device_id)
        .order_by(DeviceTask.device_id)
    )
    with engine.connect() as connection:
        return dict(connection.execute(query).tuples().all())


def _is_free(engine: Engine) -> ColumnElement[bool]:
    """Condition for tasks that an agent may take: they wait, or the agent that had them was lost."""
    is_lost = and_(DeviceTask.state == TaskState.LEASED, DeviceTask.leased_until < now(engine))
    return or_(DeviceTask.state == TaskState.QUEUED, is_lost)


def _held(device_id: int, task_id: int, lease: str) -> tuple[ColumnElement[bool], ...]:
    """Conditions for a task that is leased to this agent, also after its time while nobody else took it."""
    return (
        DeviceTask.id == task_id,
        DeviceTask.device_id == device_id,
        DeviceTask.lease == lease,
        DeviceTask.state == TaskState.LEASED,
    )


def was_finished(engine: Engine, device_id: int, task_id: int, lease: str) -> bool:
    """True if this agent ended the task before."""
    query = select(DeviceTask.id).where(
        DeviceTask.id == task_id,
        DeviceTask.device_id == device_id,
        DeviceTask.lease == lease,
        DeviceTask.state.in_((TaskState.DONE, TaskState.FAILED)),
    )
    with engine.connect() as connection:
        return connection.execute(query).scalar() is not None


def _must_be_finished(engine: Engine, device_id: int, task_id: int, lease: str) -> None:
    if not was_finished(engine, device_id, task_id, lease):
        raise LeaseLost(LOST)


def _change(engine: Engine, statement: Any) -> None:
    with engine.begin() as connection:
        if connection.execute(statement).rowcount != 1:
            raise LeaseLost(LOST)


def _query() -> Select[Any]:
    return select(*(DeviceTask.__table__.c[name] for name in StoredTask.__dataclass_fields__))


def _read(engine: Engine, query: Select[Any]) -> list[StoredTask]:
    with engine.connect() as connection:
        return [StoredTask(**row) for row in connection.execute(query).mappings()]
