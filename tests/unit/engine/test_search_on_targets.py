"""A search for a metric of a target waits for it, and queues the measurements on devices itself."""

from sqlalchemy import update
from support.seeding import seed_experiment

from lwdash.engine import submit
from lwdash.engine.devices.device_waiting import queue_on_devices, wait_for_devices, waiting_text
from lwdash.engine.searching import advance_searches
from storage import device_tasks
from storage.devices import add_device
from storage.searches import get_searches
from storage.store import Store
from storage.tables import DeviceTask, Run, State, TaskState


def test_a_search_measures_runs_on_its_device_before_it_chooses(sqlite_store: Store) -> None:
    experiment = seed_experiment(sqlite_store, "beats", 4)
    device, _ = add_device(sqlite_store.database, "Pi 4")
    submit.start_search(sqlite_store, experiment, goal=f"{device.target}.latency_ms_p50", budget=4)
    advance_searches(sqlite_store)
    tasks = [device_tasks.newest_task(sqlite_store.database, device.id, run) for run in (1, 2, 3, 4)]
    assert [task and task.state for task in tasks] == [TaskState.QUEUED] * 4
    assert get_searches(sqlite_store.database, experiment)[0].asked == 0
    text = "waiting for 'Pi 4' (offline: start its agent) to measure 4 files"
    assert waiting_text(sqlite_store, experiment) == text
    with sqlite_store.database.begin() as connection:
        connection.execute(update(Run).where(Run.kind.startswith("on-")).values(state=State.CANCELLED))
        connection.execute(update(DeviceTask).values(state=TaskState.FAILED))
    assert waiting_text(sqlite_store, experiment) is None
    advance_searches(sqlite_store)
    assert get_searches(sqlite_store.database, experiment)[0].asked > 0


def test_limits_on_a_device_are_waited_for_with_a_limit_of_time(sqlite_store: Store) -> None:
    experiment = seed_experiment(sqlite_store, "beats", 4)
    device, _ = add_device(sqlite_store.database, "Pi 4")
    add_device(sqlite_store.database, "another")
    assert queue_on_devices(sqlite_store, [1, 2], ["size_bytes"]) == ([], [])
    tasks, prepared = queue_on_devices(sqlite_store, [1, 2], [f"{device.target}.speedup"])
    assert (len(tasks), len(prepared)) == (2, 2)
    lines: list[str] = []
    assert not wait_for_devices(sqlite_store, experiment, tasks, 0.0, lines.append)
    assert lines == ["waiting for 'Pi 4' (offline: start its agent) to measure 2 files, for at most 0 s"]
    with sqlite_store.database.begin() as connection:
        connection.execute(update(DeviceTask).values(state=TaskState.FAILED, error="no memory"))
    assert wait_for_devices(sqlite_store, experiment, tasks, 0.0, lines.append)
    assert lines[1:] == ["run 1 on device 1: no memory", "run 2 on device 1: no memory"]


def test_a_search_for_the_size_waits_for_no_target(sqlite_store: Store) -> None:
    experiment = seed_experiment(sqlite_store, "beats", 4)
    add_device(sqlite_store.database, "Pi 4")
    submit.start_search(sqlite_store, experiment, goal="size_bytes", budget=4)
    advance_searches(sqlite_store)
    assert get_searches(sqlite_store.database, experiment)[0].asked > 0
