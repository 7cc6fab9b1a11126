"""Measurements on devices: tasks for their agents, what the agents send, and the results of a run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lwdash.engine import submit
from lwdash.errors import NotFound, UserMistake
from lwdash.targets.device.agent import INSTALL, PROTOCOL, TOKEN_VARIABLE
from lwdash.targets.device.agent_file import FILE_NAME
from lwdash.targets.device.agent_file import agent_file as agent_file
from lwdash.targets.device.report import (
    ReportRefused,
    agent_name,
    checked_result,
    failure_of,
    is_same_machine,
    machine_facts,
)
from storage import device_tasks, run_rows
from storage.analyses import analysis_of, forget_analysis
from storage.device_tasks import LeaseLost, StoredTask
from storage.devices import StoredDevice, device_of_token, record_contact
from storage.errors import MissingArtifact, StorageError
from storage.experiments import get_experiment
from storage.records import StoredRun
from storage.store import Store
from storage.target_results import DEVICE_ROWS

WAIT_SECONDS = 5.0
"""Pause of an agent for which there is nothing to do."""
MAX_SECONDS = 4.0
"""Time of the sessions of one measurement; the rest is loading."""


class UnknownToken(UserMistake):
    """no device has this token: it was removed, or the token is wrong. Add the device again: lwdash device add NAME"""


class WrongAgent(UserMistake):
    """This agent cannot work for this device."""


@dataclass(frozen=True)
class PreparedTask:
    """A task with the files of its measurement: part → SHA-256."""

    task: StoredTask
    run: StoredRun
    threads: int
    files: Mapping[str, str]


def start_command(server: str, token: str) -> str:
    """The command that fetches the agent's file from the server and starts it. server: address of the dashboard."""
    url = server.rstrip("/")
    return (
        f"curl -fsS -o {FILE_NAME} {shlex.quote(f'{url}/device/agent.py')} && "
        f"{TOKEN_VARIABLE}={token} python3 {FILE_NAME} {shlex.quote(url)}"
    )


def install_command() -> str:
    """The command that installs the two libraries of the agent."""
    return INSTALL


def describe_machine(facts: Mapping[str, Any]) -> str:
    """`Cortex-A72, 4 cores, 4.0 GB, LiteRT 2.3`, from the facts that an agent reported."""
    if not facts:
        return "unknown until its agent connects"
    memory = [f"{facts['memory_bytes'] / 1e9:.1f} GB"] if facts.get("memory_bytes") else []
    cores = f"{facts['cores']} core{'s' * (facts['cores'] != 1)}"
    return ", ".join([facts["cpu"], cores, *memory, f"LiteRT {facts['litert']}"])


def measure_on_device(store: Store, run_id: int, device: StoredDevice) -> int:
    """Queue the measurement of a finished run's file on a device; an open task is returned instead.

    Raises NotFound, UserMistake for a run without a file, NotAllowed for another user's run.
    """
    run = run_rows.get_run(store.database, run_id)
    if run is None:
        raise NotFound(f"there is no run {run_id}")
    if not run.has_succeeded:
        raise UserMistake(
            f"run {run_id} is {run.state}: only a run that has succeeded can be measured on a device"
        )
    if device.removed_at is not None:
        raise UserMistake(f"the device {device.name!r} was removed")
    task = device_tasks.add_task(store.database, device, run_id, run.experiment_id)
    submit.start_analysis(store, run_id, DEVICE_ROWS)
    return task


def device_of(store: Store, token: str) -> StoredDevice:
    """The device of an agent's token. Raises UnknownToken."""
    device = device_of_token(store.database, token)
    if device is None:
        raise UnknownToken
    return device


def take_work(store: Store, device: StoredDevice, message: Mapping[str, Any]) -> dict[str, Any]:
    """The reply to an agent that asks for work. Raises ReportRefused, WrongAgent."""
    if message.get("protocol") != PROTOCOL:
        raise WrongAgent(
            "this agent and this server are of different versions of lwdash: fetch the agent's file again"
        )
    facts = machine_facts(message.get("facts"))
    if device.facts and not is_same_machine(device.facts, facts):
        raise WrongAgent(
            f"this token belongs to {device.name!r} ({device.facts['cpu']}), but this computer is {facts['cpu']}: "
            "results of different hosts are never mixed. Add a device for this computer"
        )
    record_contact(store.database, device.id, facts)
    agent = agent_name(message)
    device_tasks.give_back(store.database, device.id, agent)
    reply: dict[str, Any] = {"name": device.name, "wait_seconds": WAIT_SECONDS, "task": None}
    for task in device_tasks.claimable(store.database, device.id):
        prepared = _prepared(store, task)
        if prepared is None:
            continue
        lease = device_tasks.lease_task(store.database, task.id, agent)
        if lease is not None:
            reply["task"] = {
                "id": task.id,
                "lease": lease,
                "run": task.run_id,
                "files": dict(prepared.files),
                "threads": prepared.threads,
                "seconds": MAX_SECONDS,
            }
            break
    return reply


def task_file(store: Store, device: StoredDevice, task_id: int, lease: str, part: str) -> Path:
    """A file of an agent's task. Raises NotFound, LeaseLost, MissingArtifact."""
    task = device_tasks.leased_task(store.database, device.id, task_id, lease)
    prepared = _prepared(store, task)
    if prepared is None or part not in prepared.files:
        raise NotFound(f"task {task_id} has no part {part!r:.40}")
    device_tasks.extend_lease(store.database, device.id, task_id, lease, "fetching files")
    return store.artifacts.local_path(prepared.files[part])


def heartbeat(store: Store, device: StoredDevice, task_id: int, message: Mapping[str, Any]) -> None:
    """Keep an agent's task for it. Raises LeaseLost, ReportRefused."""
    doing = message.get("doing")
    if not isinstance(doing, str) or not doing.isprintable():
        raise ReportRefused("doing must be a printable text")
    record_contact(store.database, device.id)
    device_tasks.extend_lease(store.database, device.id, task_id, _lease(message), doing)


def keep_report(store: Store, device: StoredDevice, task_id: int, message: Mapping[str, Any]) -> str:
    """Record an agent's report; return a sentence for the agent. A repeated report changes nothing.

    Raises LeaseLost, ReportRefused; the task is failed then, since the agent would send the same again.
    """
    lease, report = _lease(message), message.get("report")
    record_contact(store.database, device.id)
    try:
        if (error := failure_of(report)) is not None:
            device_tasks.fail_task(store.database, device.id, task_id, lease, error)
            return "the failure is recorded"
        try:
            task = device_tasks.leased_task(store.database, device.id, task_id, lease)
        except LeaseLost:
            if device_tasks.was_finished(store.database, device.id, task_id, lease):
                return "the result was recorded before"
            raise
        prepared = _prepared(store, task)
        if prepared is None:
            raise NotFound(f"run {task.run_id} is gone")
        is_baseline = prepared.files["file"] == prepared.files["baseline"]
        result = checked_result(report, device.name, threads=prepared.threads, is_baseline=is_baseline)
    except ReportRefused as refused:
        error = f"the device sent a report that is not valid: {refused}"
        device_tasks.fail_task(store.database, device.id, task_id, lease, error)
        raise
    device_tasks.finish_task(store.database, device, task_id, lease, result)
    return "the result is recorded"


def _lease(message: Mapping[str, Any]) -> str:
    lease = message.get("lease")
    if not isinstance(lease, str) or not lease.isascii() or len(lease) > 64:
        raise ReportRefused("lease must be the text that came with the task")
    return lease


def _prepared(store: Store, task: StoredTask) -> PreparedTask | None:
    """The task with its files; None while its rows are packed. A task that cannot be prepared is failed."""
    run = run_rows.get_run(store.database, task.run_id)
    experiment = get_experiment(store.database, run.experiment_id) if run else None
    rows = analysis_of(store.database, task.run_id, DEVICE_ROWS)
    try:
        if run is None or experiment is None:
            raise NotFound(f"run {task.run_id} is gone")
        if rows is None:
            submit.start_analysis(store, task.run_id, DEVICE_ROWS)
            return None
        if rows.is_retryable:
            raise NotFound(f"its rows could not be packed: {rows.error or 'that was cancelled'}")
        if not rows.has_succeeded:
            return None
        files = {
            "file": run.files().tflite,
            "baseline": run.files().baseline,
            "rows": rows.measured["device_rows"],
        }
        try:
            store.artifacts.local_path(files["rows"])
        except MissingArtifact:  # removed by `lwdash gc`
            forget_analysis(store.database, rows.id)
            submit.start_analysis(store, task.run_id, DEVICE_ROWS)
            return None
        for part in ("file", "baseline"):
            store.artifacts.local_path(files[part])
    except (NotFound, StorageError) as error:
        device_tasks.fail_unstarted(store.database, task.id, str(error))
        return None
    return PreparedTask(task, run, experiment.threads, files)
