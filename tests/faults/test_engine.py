"""The engine under faults, with a real dask scheduler and real child processes that are really killed."""

import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import ROOT, Finished, poll

from lwdash.engine.scheduler import Engine, batch_key, batches, members_of
from lwdash.engine.scratch import sweep, working_folder
from lwdash.engine.submit import submit_runs
from lwdash.measure.runner import Runner
from lwdash.settings import Settings, load_settings
from storage import runs
from storage.artifacts import Artifacts
from storage.queue import Waiting
from storage.store import Store, open_store

ENDED = ("succeeded", "failed", "cancelled")
LONG = "prune(sparsity=0.5, epochs=1000)"
"""Takes minutes to train."""


@dataclass
class Site:
    """A home with a finished experiment, whose baseline is cached, and engines on it."""

    settings: Settings
    store: Store
    experiment: int = 1
    engines: list[Engine] = field(default_factory=list)

    def start(self, **changed: Any) -> Engine:
        settings = dataclasses.replace(self.settings, **changed)
        engine = Engine(settings, self.store).start()
        self.engines.append(engine)
        return engine

    def submit(self, *recipes: str) -> list[int]:
        return submit_runs(self.store, self.experiment, recipes)[1]

    def row(self, run_id: int) -> dict[str, Any]:
        found = runs.get_run(self.store.database, run_id)
        assert found is not None
        return dict(found)

    def states(self, ids: Sequence[int]) -> list[str]:
        return [self.row(i)["state"] for i in ids]

    def wait(
        self, run_id: int, condition: Callable[[dict[str, Any]], Any], seconds: float = 60.0
    ) -> dict[str, Any]:
        """The run's row as soon as it meets `condition`."""

        def look() -> dict[str, Any] | None:
            row = self.row(run_id)
            return row if condition(row) else None

        return poll(f"run {run_id} ({self.row(run_id)})", look, seconds)

    def wait_until_ended(self, ids: Sequence[int], seconds: float = 90.0) -> list[str]:
        poll("the end of all runs", lambda: all(s in ENDED for s in self.states(ids)), seconds)
        return self.states(ids)

    @property
    def children(self) -> list[psutil.Process]:
        """Processes that work in this home's scratch folder, whoever is their parent."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.cwd().startswith(str(self.settings.scratch)):
                    found.append(process)
        return found

    @property
    def scratch(self) -> list[str]:
        return sorted(path.name for path in self.settings.scratch.glob("step-*"))

    def is_clean(self) -> bool:
        return not self.children and not self.scratch


@pytest.fixture
def site(finished: Finished, tmp_path: Path) -> Iterator[Site]:
    """Ends with the check that every test makes: no process and no folder stays."""
    home = tmp_path / "home"
    shutil.copytree(finished.home, home, ignore=shutil.ignore_patterns("scratch", "engine.lock"))
    settings = dataclasses.replace(load_settings(home), slots=2, scheduler=None)
    store = open_store(settings.database_url, settings.artifacts, home / "cache")
    made = Site(settings, store)
    yield made
    for engine in made.engines:
        engine.stop()
    try:
        poll("no child and no scratch folder left", made.is_clean, 10)
    finally:
        store.database.dispose()


def test_runs_go_through_to_a_measured_file(site: Site) -> None:
    site.start()
    ids = site.submit("float16", "dynamic")
    assert site.wait_until_ended(ids) == ["succeeded", "succeeded"]
    for run in ids:
        row, detail = site.row(run), runs.get_detail(site.store.database, run)
        Runner(site.store.artifacts.read(row["tflite_sha256"]))
        assert row["accuracy"] > 0.9
        assert row["attempt"] == 1
        assert detail["measured"]["layers"]
        assert (site.settings.logs / f"run-{run}.log").exists()
    poll("idle", site.is_clean, 5)


def test_a_running_child_is_cancelled_within_two_seconds(site: Site) -> None:
    site.start()
    long, waiting = site.submit(LONG, LONG.replace("0.5", "0.6"))
    site.wait(long, lambda row: row["state"] == "running" and "epoch" in (row["doing"] or ""))
    asked = time.monotonic()
    assert runs.cancel(site.store.database, long)
    assert runs.cancel(site.store.database, waiting)
    assert site.wait_until_ended([long, waiting], 5) == ["cancelled", "cancelled"]
    assert time.monotonic() - asked < 2.0
    poll("no child left", site.is_clean, 2)


def test_a_killed_child_fails_its_run_and_no_other(site: Site) -> None:
    site.start()
    first, *rest = ids = site.submit("float16", "dynamic", "int8(io=float32)")
    site.wait(first, lambda row: row["state"] == "running")
    (child,) = site.children
    child.kill()
    assert site.wait_until_ended(ids) == ["failed", "succeeded", "succeeded"]
    error = site.row(first)["error"]
    assert "SIGKILL" in error
    assert "the other runs go on" in error
    assert site.row(first)["attempt"] == 1
    assert runs.retry(site.store.database, first)
    assert site.wait_until_ended([first, *rest]) == ["succeeded"] * 3


def test_a_child_that_does_not_listen_is_killed(site: Site) -> None:
    """A stopped process takes no SIGTERM."""
    site.start()
    (run,) = site.submit(LONG)
    site.wait(run, lambda row: row["state"] == "running")
    (child,) = site.children
    child.send_signal(signal.SIGSTOP)
    runs.cancel(site.store.database, run)
    assert site.wait_until_ended([run], 8) == ["cancelled"]


def test_a_step_that_takes_too_much_memory_ends_in_words(site: Site) -> None:
    site.start(job_memory=100)
    (run,) = site.submit(LONG)
    assert site.wait_until_ended([run]) == ["failed"]
    assert "100 MB are allowed (LWDASH_JOB_MEMORY)" in site.row(run)["error"]


def test_a_step_that_takes_too_long_ends_in_words(site: Site) -> None:
    site.start(job_seconds=1)
    (run,) = site.submit(LONG)
    assert site.wait_until_ended([run]) == ["failed"]
    assert "longer than 1 s (LWDASH_JOB_SECONDS)" in site.row(run)["error"]


def test_a_run_that_cannot_be_done_does_not_hurt_the_others(site: Site) -> None:
    site.start()
    ids = site.submit("prune(sparsity=0.5, skip=[nowhere])", "float16")
    assert site.wait_until_ended(ids) == ["failed", "succeeded"]
    assert "nowhere" in site.row(ids[0])["error"]


def test_a_model_deleted_behind_our_back_is_said(site: Site) -> None:
    shutil.rmtree(site.store.artifacts.root)
    site.start()
    (run,) = site.submit("float16")
    assert site.wait_until_ended([run]) == ["failed"]
    assert "no longer in the artifact store" in site.row(run)["error"]
    assert "upload the file again" in site.row(run)["error"]


def test_a_cached_stage_deleted_behind_our_back_is_made_again(site: Site) -> None:
    site.start()
    (run,) = site.submit("float16")
    assert site.wait_until_ended([run]) == ["succeeded"], site.row(run)["error"]
    sha256 = site.row(run)["tflite_sha256"]
    site.store.artifacts.local_path(sha256).unlink()
    (again,) = site.submit("float16")
    assert site.wait_until_ended([again]) == ["succeeded"]
    assert site.store.artifacts.has(site.row(again)["tflite_sha256"])


def test_a_full_disk_is_said_and_nothing_turns_green(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Artifacts, "_write", full)
        site.start()
        (run,) = site.submit("float16")
        assert site.wait_until_ended([run]) == ["failed"]
        assert "No space left on device" in site.row(run)["error"]
    assert runs.retry(site.store.database, run)
    assert site.wait_until_ended([run]) == ["succeeded"]


def test_a_database_that_somebody_locks_for_a_while_costs_no_run(site: Site) -> None:
    site.start()
    ids = site.submit("float16", "dynamic")
    site.wait(ids[0], lambda row: row["state"] == "running")
    with site.store.database.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        time.sleep(4)  # the fault itself, not a wait for something
        connection.rollback()
    assert site.wait_until_ended(ids) == ["succeeded", "succeeded"]
    assert [site.row(run)["vanished"] for run in ids] == [0, 0]


def test_a_restart_loses_nothing(site: Site) -> None:
    first = site.start()
    long, *quick = ids = site.submit(LONG.replace("1000", "5"), "float16", "dynamic", "int8(io=uint8)")
    site.wait(long, lambda row: row["state"] == "running")
    first.stop()
    assert "running" not in site.states(ids)
    assert site.row(long)["state"] == "queued"
    poll("no child of the stopped engine", site.is_clean, 5)
    site.start()
    assert site.wait_until_ended(ids) == ["succeeded"] * 4
    assert site.row(long)["attempt"] == 2
    assert all(site.row(run)["vanished"] == 0 for run in quick)


SERVER = """
import sys, time
from lwdash.engine.scheduler import Engine
from lwdash.settings import load_settings
from storage.store import open_store
settings = load_settings(sys.argv[1])
Engine(settings, open_store(settings.database_url, settings.artifacts, settings.home / "cache")).start()
time.sleep(600)
"""


def test_a_killed_server_loses_nothing(site: Site) -> None:
    """Its child ends itself, and the next server takes over what was running and what was queued."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LWDASH_SLOTS": "2"}
    ids = site.submit(LONG.replace("1000", "5"), "float16")
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(site.settings.home)], env=environment)
    try:
        site.wait(ids[0], lambda row: row["state"] == "running")
        assert site.scratch
    finally:
        server.kill()
        server.wait()
    poll("no orphan", lambda: not site.children, 5)
    left = site.scratch
    for name in left:  # as if the server had been killed a while ago
        os.utime(site.settings.scratch / name, (0, 0))
    site.start()
    poll("what the killed server left is swept up", lambda: not set(left) & set(site.scratch), 10)
    assert site.wait_until_ended(ids) == ["succeeded", "succeeded"]
    assert site.row(ids[0])["attempt"] == 2


def test_one_home_has_one_engine_at_work(site: Site) -> None:
    one = site.start()
    poll("the first engine works", lambda: one.state == "embedded", 15)
    other = site.start()
    ids = site.submit("float16", "dynamic")
    assert site.wait_until_ended(ids) == ["succeeded", "succeeded"]
    assert (one.state, other.state) == ("embedded", "elsewhere")
    one.stop()
    poll("the other takes over", lambda: other.state == "embedded", 15)


def test_an_engine_that_cannot_start_says_so(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    import distributed

    def fails(*arguments: Any, **options: Any) -> None:
        raise OSError("no port is free")

    with monkeypatch.context() as patch:
        patch.setattr(distributed, "LocalCluster", fails)
        engine = site.start()
        poll("the problem is known", lambda: engine.problem, 15)
        assert engine.state == "down"
        assert "no port is free" in (engine.problem or "")
    poll("it works again", lambda: engine.state == "embedded", 15)


def waiting(run: int, step: str = "compress", *, submission: str = "s", is_trained: bool = False) -> Waiting:
    return Waiting(run, 1, step, 1, submission, is_trained)


def test_quick_runs_of_one_submission_share_a_child() -> None:
    found = list(
        batches(
            [
                waiting(1),
                waiting(2, is_trained=True),
                waiting(3),
                waiting(4, submission="t"),
                waiting(5, is_trained=True),
                waiting(6, "measure"),
                waiting(7, "measure", submission="t"),
            ]
        )
    )
    assert sorted(tuple(w.run_id for w in batch) for batch in found) == [(1, 3), (2,), (4,), (5,), (6, 7)]


def test_a_batch_is_bounded_and_its_key_says_what_is_inside() -> None:
    (first, second) = batches([waiting(run) for run in range(1, 31)])
    assert len(first) == 25
    members = [*members_of(batch_key(first)), *members_of(batch_key(second))]
    assert members == [("compress", run, 1) for run in range(1, 31)]
    assert list(members_of("somebody-elses-task")) == []


def test_only_folders_without_an_owner_are_swept(tmp_path: Path) -> None:
    abandoned = tmp_path / "step-abandoned"
    young = tmp_path / "step-young"
    for folder in (abandoned, young, tmp_path / "other"):
        folder.mkdir()
    os.utime(abandoned, (0, 0))
    os.utime(tmp_path / "other", (0, 0))
    with working_folder(tmp_path) as owned:
        os.utime(owned, (0, 0))
        assert sweep(tmp_path) == 1
        assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["other", "step-young", owned.name])
    assert not owned.exists()
