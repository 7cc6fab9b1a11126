"""`lwdash device …`: adds and removes devices, and measures runs on them."""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lwdash.cli.progress_lines import ProgressLines, report_line
from lwdash.engine.devices import device_work
from lwdash.engine.waiting import wait, working
from lwdash.errors import UserMistake
from lwdash.settings import Settings
from storage.analyses import analysis_of
from storage.device_tasks import get_task, open_tasks
from storage.devices import StoredDevice, add_device, find_device, remove_device
from storage.devices import devices as known_devices
from storage.store import Store
from storage.target_results import DEVICE_ROWS, target_results

LOOK_SECONDS = 0.5
Shown = tuple[dict[str, Any], list[str]]
"""The record of a command, and its lines for a terminal."""


def run_device_command(options: argparse.Namespace, settings: Settings, store: Store) -> Shown:
    """Run the action of `options`. Raises UserMistake, StorageError."""
    return ACTIONS[options.action](options, settings, store)


def _add(options: argparse.Namespace, settings: Settings, store: Store) -> Shown:
    if options.out is not None:
        _check_folder(options.out)
    device, token = add_device(store.database, options.device)
    command = device_work.start_command(options.server, token)
    lines = [
        f"device {device.id}, {device.name!r}, is added. Run this there; the token is shown only now:",
        f"  {device_work.install_command()}",
        f"  {command}",
    ]
    if options.out is not None:
        options.out.write_text(device_work.agent_file(), encoding="utf-8")
        lines.append(f"{options.out}: the agent's file, which the command fetches from the server")
    return {**device_record(store, device), "token": token, "command": command}, lines


def _list(options: argparse.Namespace, settings: Settings, store: Store) -> Shown:
    found = [device_record(store, device) for device in known_devices(store.database)]
    lines = [
        f"{record['id']:>3}  {record['name']}  {'online' if record['is_online'] else 'offline'}  "
        f"{device_work.describe_machine(record['facts'])}  {len(record['tasks'])} open"
        for record in found
    ]
    return {"devices": found}, lines or ["no devices; add one: lwdash device add NAME"]


def _remove(options: argparse.Namespace, settings: Settings, store: Store) -> Shown:
    device = find_device(store.database, options.device)
    remove_device(store.database, device.id)
    line = f"device {device.name!r} is removed: its token is invalid, its results stay"
    return {"device": device.id, "removed": True}, [line]


def _measure(options: argparse.Namespace, settings: Settings, store: Store) -> Shown:
    device = find_device(store.database, options.device)
    number = device_work.measure_on_device(store, options.run, device)
    if not options.no_wait:
        with working(settings, store) as engine:
            rows = analysis_of(store.database, options.run, DEVICE_ROWS)
            if rows is not None:
                wait(store, engine, [rows.id], ProgressLines())
        _wait_for(store, device, number)
    task = get_task(store.database, number)
    assert task is not None
    result = target_results(store.database, [options.run]).get(options.run, {}).get(device.target)
    record = {
        "run": options.run,
        "device": device.id,
        "state": task.state,
        "error": task.error,
        "result": result if task.state == "done" else None,
    }
    if record["result"] is None:
        return record, [
            f"run {options.run} on {device.name!r}: {task.state}{f': {task.error}' if task.error else ''}"
        ]
    return record, result_lines(record["result"])


def _wait_for(store: Store, device: StoredDevice, number: int) -> None:
    """Wait until the task has ended, while the device is seen now and then."""
    told = ""
    while True:
        task, seen = get_task(store.database, number), find_device(store.database, str(device.name))
        if task is None or task.has_ended:
            return
        if not seen.is_online:
            raise UserMistake(
                f"{device.name!r} is offline; the measurement waits for its agent. Start the agent, then `lwdash targets "
                f"{task.run_id}` shows the result"
            )
        doing = task.doing or task.state
        if doing != told:
            report_line(f"{device.name}: {doing}")
            told = doing
        time.sleep(LOOK_SECONDS)


def _agent(options: argparse.Namespace, settings: Settings, store: Store) -> Shown:
    _check_folder(options.out)
    options.out.write_text(device_work.agent_file(), encoding="utf-8")
    size = options.out.stat().st_size
    return {"file": str(options.out), "size_bytes": size}, [f"{options.out}: {size:,} bytes"]


def _check_folder(path: Path) -> None:
    if not path.parent.is_dir():
        raise UserMistake(f"there is no folder {path.parent}")


def device_record(store: Store, device: StoredDevice) -> dict[str, Any]:
    """A device for programs."""
    tasks = open_tasks(store.database).get(device.id, [])
    return {
        "id": device.id,
        "name": device.name,
        "owner": device.owner,
        "is_online": device.is_online,
        "last_seen_at": device.last_seen_at,
        "facts": dict(device.facts),
        "tasks": [{"run": task.run_id, "state": task.state, "doing": task.doing} for task in tasks],
    }


def result_lines(found: dict[str, Any]) -> list[str]:
    """A result on a device for a terminal."""
    lines = [f"{found['label']}: {found['state']} ({found['host']['cpu']}, LiteRT {found['host']['litert']})"]
    if found["reason"]:
        lines += [found["reason"], f"what to do: {found['remedy']}"]
    for metric in found["metrics"].values():
        if metric["value"] is not None:
            value = metric["value"]
            text = f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
            lines.append(f"  {metric['label']}: {text} {metric['unit']}".rstrip())
    return lines


ACTIONS: dict[str, Callable[[argparse.Namespace, Settings, Store], Shown]] = {
    "add": _add,
    "list": _list,
    "remove": _remove,
    "measure": _measure,
    "agent": _agent,
}
