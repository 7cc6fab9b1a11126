"""A home, its database and the engines that a test starts on it."""

import contextlib
import dataclasses
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import Finished, poll, warm_parents

from lwdash.engine import child_process, warm_child
from lwdash.engine.scheduler import Engine
from lwdash.engine.submit import submit_runs
from lwdash.settings import Settings, load_settings
from storage import experiments, run_rows, runs
from storage.records import StoredRun
from storage.store import Store, open_store
from support.warm_children import keep_warm_at_once, program

SIMULATED = (str(Path(__file__).parents[1] / "faults" / "simulated.py"),)
ENDED = ("succeeded", "failed", "cancelled")


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

    def queue(self, *recipes: str, owner: str = "", is_trained: bool = True) -> list[int]:
        """Queues made-up recipes for the simulated child; trained ones have a child each."""
        entries = [(recipe, False, is_trained) for recipe in recipes]
        return runs.add_runs(self.store.database, self.experiment, entries, owner or "submission")

    def did(self, run_id: int) -> list[str]:
        """What simulated children wrote into the run's log."""
        path = self.settings.logs / f"run-{run_id}.log"
        return path.read_text().splitlines() if path.exists() else []

    def row(self, run_id: int) -> StoredRun:
        found = run_rows.get_run(self.store.database, run_id)
        assert found is not None
        return found

    def states(self, ids: Sequence[int]) -> list[str]:
        return [self.row(i).state for i in ids]

    def wait(self, run_id: int, condition: Callable[[StoredRun], Any], seconds: float = 60.0) -> StoredRun:
        """The run's row as soon as it meets `condition`."""

        def look() -> StoredRun | None:
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
def warm_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Children of this process are forked: they need not import TensorFlow."""
    monkeypatch.setattr(warm_child, "PROGRAM", program(warm_parents().socket))
    keep_warm_at_once(dataclasses.replace(load_settings(tmp_path / "warm"), job_memory=8192))
    yield
    child_process.KEEPER.close()


@pytest.fixture
def site(finished: Finished, tmp_path: Path, warm_children: None) -> Iterator[Site]:
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


def simulated_experiment(store: Store) -> int:
    """An experiment whose files are in the store, but hold nothing that could be trained."""
    rows = []
    for kind in ("model", "data"):
        sha256 = store.artifacts.put_bytes(kind.encode())
        experiments.add_file(store.database, sha256=sha256, kind=kind, name=f"waves.{kind}", size_bytes=5)
        row = experiments.get_file(store.database, sha256, kind)
        assert row is not None
        rows.append(dataclasses.replace(row, facts={"layers": []}))
    return experiments.add_experiment(
        store.database, name="waves", model=rows[0], data=rows[1], settings={}, task="classification", seed=0
    )


@pytest.fixture
def drill(tmp_path: Path, upgraded_sqlite: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A home for simulated children; ends with the check that no process and no folder stays."""
    home = tmp_path / "home"
    home.mkdir()
    shutil.copyfile(upgraded_sqlite, home / "lwdash.sqlite")
    settings: Settings = dataclasses.replace(load_settings(home), slots=2, scheduler=None)
    store = open_store(settings.database_url, settings.artifacts, home / "cache", is_upgraded=False)
    monkeypatch.setattr(child_process, "PROGRAM", SIMULATED)
    made = Site(settings, store, simulated_experiment(store))
    yield made
    for engine in made.engines:
        engine.stop()
    try:
        poll("no child and no scratch folder left", made.is_clean, 10)
        assert list(home.rglob("*.part")) == []
    finally:
        store.database.dispose()
