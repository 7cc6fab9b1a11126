"""Devices that work waits for, as text, and waiting for them with a limit of time."""

import time
from collections.abc import Callable, Collection, Sequence

from lwdash.engine.devices.device_work import measure_on_device
from lwdash.metrics.offers import targets_of
from storage import device_tasks, run_rows
from storage.analyses import analysis_of
from storage.devices import StoredDevice, devices
from storage.store import Store
from storage.target_results import DEVICE_ROWS

LOOK_SECONDS = 0.5


def waiting_text(store: Store, experiment_id: int) -> str | None:
    """`waiting for 'Pi 4' (offline: start its agent) to measure 2 files`; None if no device has work of the experiment."""
    open_work = device_tasks.open_tasks_of(store.database, experiment_id)
    known = {device.id: device for device in devices(store.database)}
    parts = []
    for device_id, count in open_work.items():
        device = known.get(device_id)
        name = f"device {device_id}" if device is None else repr(device.name)
        is_offline = device is not None and not device.is_online
        files = f"{count} file{'s' * (count != 1)}"
        parts.append(f"{name}{' (offline: start its agent)' * is_offline} to measure {files}")
    return f"waiting for {' and '.join(parts)}" if parts else None


def queue_on_devices(
    store: Store, run_ids: Sequence[int], keys: Collection[str]
) -> tuple[list[int], list[int]]:
    """Queue the measurements that these limits need of devices, for runs that have succeeded.

    Returns the tasks of the devices, and the analyses that prepare them.
    """
    wanted = set(targets_of(keys))
    done = [i for i in run_ids if (row := run_rows.get_run(store.database, i)) and row.has_succeeded]
    used: list[StoredDevice] = [device for device in devices(store.database) if device.target in wanted]
    tasks = [measure_on_device(store, run_id, device) for device in used for run_id in done]
    prepared = (analysis_of(store.database, run_id, DEVICE_ROWS) for run_id in done if used)
    return tasks, [analysis.id for analysis in prepared if analysis is not None]


def wait_for_devices(
    store: Store,
    experiment_id: int,
    tasks: Sequence[int],
    limit_seconds: float,
    report: Callable[[str], None],
) -> bool:
    """Wait until the devices have reported; False if they have not within the limit. The measurements stay queued.

    report: called with a line whenever what is waited for changes.
    """
    ends, told = time.monotonic() + limit_seconds, ""
    while True:
        found = [device_tasks.get_task(store.database, task) for task in tasks]
        if all(task is None or task.has_ended for task in found):
            for task in found:
                if task is not None and task.error:
                    report(f"run {task.run_id} on device {task.device_id}: {task.error}")
            return True
        text = waiting_text(store, experiment_id) or ""
        if text != told:
            report(f"{text}, for at most {limit_seconds:.0f} s")
            told = text
        if time.monotonic() >= ends:
            return False
        time.sleep(LOOK_SECONDS)
