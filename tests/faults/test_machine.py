"""Faults of one machine, with simulated children: real processes that are really killed, and no TensorFlow.

After each: no run is lost, none is done twice, none is green without its file, and (see the fixture) no process and
no temporary file is left.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from conftest import ROOT, poll
from sqlalchemy import event, text
from support.engine_site import SIMULATED, Site

from lwdash.engine import scheduler
from lwdash.engine.room import place_for
from storage import runs, searches
from storage.analyses import SENSITIVITY, add_analysis
from storage.artifacts import Artifacts
from storage.records import StoredSearch
from storage.store import Store

ONCE = ["compress begins", "compress done", "measure begins", "measure done"]


def is_green_and_whole(site: Site, run_id: int) -> bool:
    row = site.row(run_id)
    return row.state == "succeeded" and site.store.artifacts.has(row.tflite_sha256)


def test_a_batch_is_done_once_each(drill: Site) -> None:
    drill.start()
    ids = drill.queue(*["work"] * 30, is_trained=False)
    drill.wait_until_ended(ids)
    assert all(is_green_and_whole(drill, run) for run in ids)
    assert all(drill.did(run) == ONCE for run in ids)


def test_a_baseline_is_measured_while_its_batch_goes_on(drill: Site) -> None:
    drill.start()
    entries = [("work", True, False), ("work(seconds=4)", False, False), ("work", False, False)]
    first, slow, last = runs.add_runs(drill.store.database, drill.experiment, entries, "submission")
    drill.wait(first, lambda row: row.state == "succeeded")
    assert drill.states([slow, last]) == ["running", "queued"]
    assert drill.wait_until_ended([slow, last]) == ["succeeded"] * 2
    assert [drill.did(run) for run in (first, slow, last)] == [ONCE] * 3


def test_native_code_that_aborts_is_said(drill: Site) -> None:
    drill.start()
    bad, good = drill.queue("abort", "work")
    assert drill.wait_until_ended([bad, good]) == ["failed", "succeeded"]
    assert "SIGABRT, probably in native code" in drill.row(bad).error


def test_memory_that_grows_is_stopped_at_the_limit(drill: Site) -> None:
    drill.start(job_memory=200)
    bad, good = drill.queue("eat", "work")
    assert drill.wait_until_ended([bad, good]) == ["failed", "succeeded"]
    assert "and 200 MB are allowed (LWDASH_JOB_MEMORY)" in drill.row(bad).error


def test_a_step_that_takes_too_long_ends_in_words(drill: Site) -> None:
    drill.start(job_seconds=1)
    bad, good = drill.queue("work(seconds=30)", "work")
    assert drill.wait_until_ended([bad, good]) == ["failed", "succeeded"]
    assert "longer than 1 s (LWDASH_JOB_SECONDS)" in drill.row(bad).error


def test_a_server_that_stops_gives_its_runs_back(drill: Site) -> None:
    first = drill.start()
    ids = drill.queue("work(seconds=2)", "work(seconds=2)", "work")
    for run in ids[:2]:
        drill.wait(run, lambda row: row.doing == "working")
    first.stop()
    assert drill.states(ids) == ["queued"] * 3
    poll("no child of the stopped engine", drill.is_clean, 5)
    drill.start()
    assert drill.wait_until_ended(ids) == ["succeeded"] * 3
    assert [drill.row(run).attempt for run in ids] == [2, 2, 1]
    assert [drill.row(run).vanished for run in ids] == [0, 0, 0]
    assert [drill.did(run).count("measure done") for run in ids] == [1, 1, 1]


def test_a_child_that_ignores_sigterm_is_killed(drill: Site) -> None:
    drill.start()
    (run,) = drill.queue("deaf")
    drill.wait(run, lambda row: row.doing == "deaf")
    runs.cancel(drill.store.database, run)
    assert drill.wait_until_ended([run], 8) == ["cancelled"]
    assert "compress done" not in drill.did(run)


def test_a_search_goes_on_after_a_restart(drill: Site) -> None:
    """What it knows is in the database: nothing is tried twice, and no more runs than it may start."""
    space = {"formats": ["int8", "float16", "dynamic"], "techniques": ["prune", "cluster"]}
    settings = {"space": space, "sampler": "tpe", "seed": 0}
    search = searches.add_search(
        drill.store.database, drill.experiment, goal="size_bytes", budget=10, settings=settings
    )

    def row() -> StoredSearch:
        return searches.get_search(drill.store.database, search)

    first = drill.start()
    poll("some of its runs", lambda: row().asked > 4, 60)
    first.stop()
    assert row().state == "running"
    drill.start()
    poll("its end", lambda: row().state != "running", 90)
    assert (row().state, row().words) == ("ended", "all 10 runs were made")
    ids = searches.search_runs(drill.store.database, row())
    assert drill.states(ids) == ["succeeded"] * 10
    assert len({drill.row(run).recipe for run in ids}) == 10
    assert [drill.did(run).count("measure done") for run in ids] == [1] * 10


@pytest.mark.parametrize("fault", ["server", "everything"])
def test_a_machine_that_dies_loses_nothing(drill: Site, fault: str) -> None:
    """The server is killed with runs queued and running; or all of its processes are, as when the power fails."""
    program = f"from lwdash.engine import child_process\nchild_process.PROGRAM = {SIMULATED!r}\n{SERVER}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LWDASH_SLOTS": "2"}
    ids = drill.queue(*["work(seconds=3)"] * 2, *["work"] * 4)
    server = subprocess.Popen([sys.executable, "-c", program, str(drill.settings.home)], env=environment)
    try:
        for run in ids[:2]:
            drill.wait(run, lambda row: row.state == "running" and row.doing == "working")
        children = drill.children
    finally:
        server.kill()
        server.wait()
    if fault == "everything":
        for process in children:
            process.kill()
    poll("no orphan", lambda: not drill.children, 5)
    for name in drill.scratch:  # as if that had been a while ago
        os.utime(drill.settings.scratch / name, (0, 0))
    drill.start()
    assert drill.wait_until_ended(ids) == ["succeeded"] * 6
    assert all(is_green_and_whole(drill, run) for run in ids)
    assert [drill.did(run).count("measure done") for run in ids] == [1] * 6
    assert [drill.row(run).attempt for run in ids] == [2, 2, 1, 1, 1, 1]


SERVER = """
import sys, time
from lwdash.engine.scheduler import Engine
from lwdash.settings import load_settings
from storage.store import open_store
settings = load_settings(sys.argv[1])
Engine(settings, open_store(settings.database_url, settings.artifacts, settings.home / "cache")).start()
time.sleep(600)
"""


def test_training_makes_way_for_measuring(drill: Site) -> None:
    """A quick result does not wait for a long training, and is measured while that stands still."""
    drill.start(job_seconds=5)
    (long,) = drill.queue("work(seconds=4)")
    drill.wait(long, lambda row: row.doing == "working")
    (training,) = drill.children
    (quick,) = drill.queue("work")
    drill.wait_until_ended([quick])
    assert (drill.row(quick).state, drill.row(long).state) == ("succeeded", "running")
    drill.wait(long, lambda row: row.doing == "working", seconds=2)
    with place_for(alone=True, gives_up=lambda: False):
        assert training.status() == psutil.STATUS_STOPPED
        drill.wait(long, lambda row: row.doing == "paused: another run is measured")
        time.sleep(2)  # the pause itself: with it the training takes longer than a step may
    poll("it goes on", lambda: training.status() != psutil.STATUS_STOPPED, 5)
    assert drill.wait_until_ended([long]) == ["succeeded"], drill.row(long).error


def test_a_paused_child_does_not_outlive_its_server(drill: Site) -> None:
    """It stands still while another run is measured, so it cannot see its pipe close: the kernel ends it."""
    program = f"from lwdash.engine import child_process\nchild_process.PROGRAM = {SIMULATED!r}\n{SERVER}"
    (run,) = drill.queue("work(seconds=30)")
    server = subprocess.Popen(
        [sys.executable, "-c", program, str(drill.settings.home)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "LWDASH_SLOTS": "2"},
    )
    try:
        drill.wait(run, lambda row: row.doing == "working")
        (process,) = drill.children
        process.send_signal(signal.SIGSTOP)
        poll("it stands still", lambda: process.status() == psutil.STATUS_STOPPED, 5)
    finally:
        server.kill()
        server.wait()
    poll("no orphan", lambda: not drill.children, 5)
    for name in drill.scratch:
        os.utime(drill.settings.scratch / name, (0, 0))
    runs.cancel(drill.store.database, run)
    drill.start()
    drill.wait_until_ended([run])


def test_a_database_that_is_locked_past_its_time_limit_costs_no_run(drill: Site) -> None:
    """SQLite waits half a second here instead of 30 s, and somebody holds the lock for six times as long."""
    engine = drill.store.database
    event.listen(engine, "connect", lambda connection, record: connection.execute("PRAGMA busy_timeout=500"))
    engine.dispose()
    drill.start()
    ids = drill.queue("work(seconds=1)", "work(seconds=1)", "work")
    drill.wait(ids[1], lambda row: row.doing == "working")
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        time.sleep(3)  # the fault itself, not a wait for something
        connection.rollback()
    assert drill.wait_until_ended(ids) == ["succeeded"] * 3
    assert all(drill.did(run) == ONCE for run in ids)
    assert [drill.row(run).vanished for run in ids] == [0, 0, 0]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "lwdash-test", folder], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root may mount a small file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_disk_that_is_full_is_said_and_nothing_turns_green(drill: Site, small_disk: Path) -> None:
    local = drill.store.artifacts
    drill.store = Store(
        drill.store.database, Artifacts(str(small_disk / "artifacts"), drill.settings.home / "cache")
    )
    for source in list(Path(local.root).glob("??/*")):
        drill.store.artifacts.put(source)
    drill.start(artifacts=str(small_disk / "artifacts"))
    large, small = drill.queue("write(kb=2000)", "work")
    assert drill.wait_until_ended([large, small]) == ["failed", "succeeded"]
    assert "No space left on device. Free some space" in drill.row(large).error
    assert is_green_and_whole(drill, small)
    assert list(small_disk.rglob("*.part")) == []


def test_a_file_that_vanishes_before_it_is_measured_is_said(drill: Site) -> None:
    """It is deleted while somebody else measures, so that its run has to wait; trying again makes it anew."""
    with place_for(alone=True, gives_up=lambda: False):
        (run,) = drill.queue("work")
        with drill.store.database.begin() as connection:
            sha256 = drill.store.artifacts.put_bytes(b"a file")
            connection.execute(
                text("UPDATE runs SET step = 'measure', tflite_sha256 = :file, baseline_sha256 = :file"),
                {"file": sha256},
            )
        drill.store.artifacts.local_path(sha256).unlink()
        drill.start()
    assert drill.wait_until_ended([run]) == ["failed"]
    assert "no longer in the artifact store; start the run again" in drill.row(run).error
    assert runs.retry(drill.store.database, run)
    assert drill.wait_until_ended([run]) == ["succeeded"]
    assert is_green_and_whole(drill, run)


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_a_clock_that_jumps_costs_no_run(drill: Site, monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    """As the clock of the database does it: what was written before the jump lies an hour away."""
    monkeypatch.setattr(scheduler, "LOOK_S", 0.05)
    drill.start()
    ids = drill.queue("work(seconds=2)", "work(seconds=2)")
    for run in ids:
        drill.wait(run, lambda row: row.doing == "working")
    with drill.store.database.begin() as connection:
        connection.execute(text(f"UPDATE runs SET heartbeat_at = heartbeat_at - {seconds}"))
    assert drill.wait_until_ended(ids) == ["succeeded", "succeeded"]
    assert [drill.row(run).attempt for run in ids] == [1, 1]


def test_a_short_analysis_does_not_wait_behind_trainings(drill: Site) -> None:
    """Every slot trains for half a minute, more trainings wait, and the analysis is done before any of them."""
    drill.start()
    (done,) = drill.queue("work")
    drill.wait_until_ended([done])
    trainings = drill.queue(*["slow(seconds=30)"] * 4, owner="somebody else")
    for run in trainings[:2]:
        drill.wait(run, lambda row: row.state == "running")
    asked = time.monotonic()
    analysis = add_analysis(drill.store.database, done, SENSITIVITY)
    second = add_analysis(drill.store.database, done, SENSITIVITY)
    assert second == analysis
    assert drill.wait_until_ended([analysis], 15) == ["succeeded"]
    assert time.monotonic() - asked < 15
    assert drill.states(trainings) == ["running", "running", "queued", "queued"]
    niceness = [child.nice() for child in drill.children if child.status() != psutil.STATUS_ZOMBIE]
    trains = [nice for nice in niceness if nice > 0]  # the analysis' own child may still be on its way out
    assert len(trains) == 2, "trainings leave the processor to what somebody waits for"
    for run in trainings:
        runs.cancel(drill.store.database, run)
    drill.wait_until_ended(trainings)


@pytest.mark.parametrize("step", ["compress", "measure"])
def test_a_child_that_was_stopped_ends_with_its_killed_server(drill: Site, step: str) -> None:
    """Stopped by somebody else than its supervisor: it cannot notice by itself that the supervisor is gone."""
    program = f"from lwdash.engine import child_process\nchild_process.PROGRAM = {SIMULATED!r}\n{SERVER}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LWDASH_SLOTS": "1"}
    (run,) = drill.queue(f"wait(step={step})" if step == "measure" else "slow(seconds=60)")
    server = subprocess.Popen([sys.executable, "-c", program, str(drill.settings.home)], env=environment)
    try:
        doing = "waiting in measure" if step == "measure" else "working"
        drill.wait(run, lambda row: row.doing == doing)
        (process,) = drill.children
        process.send_signal(signal.SIGSTOP)
        poll("it stands still", lambda: process.status() == psutil.STATUS_STOPPED, 5)
    finally:
        server.kill()
        server.wait()
    poll("no orphan", lambda: not drill.children, 5)
    for name in drill.scratch:
        os.utime(drill.settings.scratch / name, (0, 0))
    runs.cancel(drill.store.database, run)
    drill.start()
    drill.wait_until_ended([run])
