"""Real parts for the tests: databases on both back ends, a tiny model with its data, and a finished home."""

import csv
import fcntl
import functools
import gc
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.fork_server import FOR_TENSORFLOW, ForkServer

from storage import experiments, runs
from storage.artifacts import Artifacts
from storage.database import connect, upgrade
from storage.store import Store

if TYPE_CHECKING:
    from support.postgres import Postgres
    from support.s3 import S3

pytest_plugins = ("support.quick", "support.order", "support.second_try", "support.engine_site")

# Channels-first models, which tests compare with, run on a CPU with oneDNN only; it is off on CPUs without AVX512-VNNI.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

ROOT = Path(__file__).parents[1]
WITHOUT_WARM_PARENT = "2000"
"""LWDASH_JOB_MEMORY of pages and servers that train nothing: with so little, none imports TensorFlow in advance."""
IS_CI = os.environ.get("CI") == "true"


def pytest_configure(config: pytest.Config) -> None:
    """A folder for temporary files of this process's own, and with it the locks that hold for a whole host.

    Otherwise whoever measures a latency on this host would pause the children of these tests.
    """
    root = os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    folder = tempfile.mkdtemp(prefix="lwdash-tests-", dir=root)
    os.chmod(folder, 0o1777)  # like /tmp: PostgreSQL runs as another user
    os.environ["TMPDIR"] = tempfile.tempdir = folder
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    gc.disable()  # almost all that a collection of tests makes stays, see below


def pytest_collection_finish() -> None:
    """Thousands of collected tests stay: garbage collections need not look at them each time."""
    gc.freeze()
    gc.enable()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Under CI a skipped test is a failure: what was not run is not known to work."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if IS_CI and reporter and reporter.stats.get("skipped") and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if IS_CI and skipped:
        terminalreporter.section("skipped, which under CI is a failure")
        for report in skipped:
            terminalreporter.line(f"{report.nodeid}: {report.longrepr[2] if report.longrepr else ''}")


def poll(what: str, condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Waits until `condition` gives something true and returns it; fails at the deadline."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.02)
    return found


@pytest.fixture(scope="session")
def postgres() -> Iterator["Postgres"]:
    """A PostgreSQL server of this session's own, with Debian's binaries."""
    from support.postgres import start_postgres

    with start_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database without tables, on each back end."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'home' / 'lwdash.sqlite'}"
        return
    with request.getfixturevalue("postgres").database() as url:
        yield url


@pytest.fixture(scope="session")
def s3() -> Iterator["S3"]:
    from support.s3 import start_s3

    with start_s3() as server:
        yield server


@pytest.fixture(scope="session")
def upgraded_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with its tables, to be copied."""
    path = tmp_path_factory.mktemp("upgraded") / "lwdash.sqlite"
    _upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def upgraded_postgres(postgres: "Postgres") -> Iterator[str]:
    """The name of a PostgreSQL database with its tables, to be copied."""
    with postgres.database() as url:
        _upgrade(url)
        yield url.rpartition("/")[2]


def _upgrade(url: str) -> None:
    engine = connect(url)
    upgrade(engine)
    engine.dispose()


@pytest.fixture
def sqlite_store(tmp_path: Path, upgraded_sqlite: Path) -> Iterator[Store]:
    """A database with its tables and an artifact folder, on SQLite: for what does not depend on the back end."""
    shutil.copyfile(upgraded_sqlite, tmp_path / "lwdash.sqlite")
    yield from _opened(f"sqlite:///{tmp_path / 'lwdash.sqlite'}", tmp_path)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sqlite_store: Store) -> Store:
    """The same as the home that pages open by themselves."""
    for name in ("LWDASH_DATABASE_URL", "LWDASH_ARTIFACTS", "LWDASH_AUTH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LWDASH_HOME", str(tmp_path))
    monkeypatch.setenv("LWDASH_JOB_MEMORY", WITHOUT_WARM_PARENT)
    return sqlite_store


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """The same on each back end."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite_store")
        return
    template = request.getfixturevalue("upgraded_postgres")
    with request.getfixturevalue("postgres").database(template) as url:
        yield from _opened(url, tmp_path)


def _opened(url: str, folder: Path) -> Iterator[Store]:
    opened = Store(connect(url), Artifacts(str(folder / "artifacts"), folder / "cache"))
    yield opened
    opened.database.dispose()


def add_experiment(store: Store, name: str = "beats") -> int:
    """An experiment whose files exist only as rows."""
    rows = []
    for kind, letter in (("model", "a"), ("data", "b")):
        sha256 = letter * 64
        experiments.add_file(store.database, sha256=sha256, kind=kind, name=f"{name}.{kind}", size_bytes=10)
        row = experiments.get_file(store.database, sha256, kind)
        assert row is not None
        experiments.set_file_facts(store.database, row.id, {"layers": []}, None)
        rows.append(replace(row, facts={"layers": []}))
    return experiments.add_experiment(
        store.database,
        name=name,
        model=rows[0],
        data=rows[1],
        settings={"label": "label"},
        task="classification",
        seed=0,
    )


@pytest.fixture
def queued(store: Store) -> Callable[..., list[int]]:
    """queued("int8", "prune(…)", …) queues a run for each recipe of one experiment."""
    experiment = add_experiment(store)

    def queue(*recipes: str) -> list[int]:
        entries = [(recipe, recipe == "float32", "prune" in recipe) for recipe in recipes]
        return runs.add_runs(store.database, experiment, entries, "submission")

    return queue


def made_once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that the first of the test workers fills, for all of them to read."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            part = folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            make(part)
            part.rename(folder)
    return folder


@dataclass(frozen=True)
class Sample:
    """A model file and a CSV that fits it."""

    model: Path
    data: Path


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """A Conv1D network for 16 samples and three classes, trained a little, and 150 rows of three waves."""
    folder = made_once(tmp_path_factory, "sample", _make_sample)
    return Sample(folder / "waves.keras", folder / "waves.csv")


def _make_sample(folder: Path) -> None:
    import keras

    rng = np.random.default_rng(0)
    classes = np.arange(150) % 3
    time_axis = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    rows = np.sin(time_axis * (classes[:, None] + 1)) + rng.normal(0, 0.1, (150, 16))
    keras.utils.clear_session()  # names of layers count on from those of other tests
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((16, 1)),
            layers.Conv1D(8, 3, activation="relu"),
            layers.BatchNormalization(momentum=0.9),
            layers.GlobalAveragePooling1D(),
            layers.Dense(96, activation="relu"),
            layers.Dense(3, activation="softmax"),
        ],
        name="waves",
    )
    model.compile(keras.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy")
    model.fit(rows[..., None], classes, epochs=30, verbose=0)
    model.save(folder / "waves.keras")
    with (folder / "waves.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["label", *(f"t{i}" for i in range(16))])
        for number, row in zip(classes, rows, strict=True):
            writer.writerow([int(number) + 1, *(f"{value:.5f}" for value in row)])


@dataclass(frozen=True)
class Called:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@functools.cache
def _command_line() -> ForkServer:
    return ForkServer("support.warm_cli", ["distributed"])


@functools.cache
def warm_parents() -> ForkServer:
    """What warm parents are forked from."""
    from lwdash.child.warm_parent import LIBRARIES

    return ForkServer("lwdash.child.warm_parent", LIBRARIES, FOR_TENSORFLOW)


def call_lwdash(home: Path, *arguments: str | Path, **variables: str) -> Called:
    """`lwdash ARGUMENTS` in a process of its own."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LWDASH_")}
    environment |= {"LWDASH_HOME": str(home), "WARM_SOCKET": warm_parents().socket, **variables}
    return Called(*_command_line().call([str(one) for one in arguments], environment, 300))


@dataclass(frozen=True)
class Finished:
    """A home in which the command line has run four recipes to their end, and how it ended."""

    home: Path
    called: Called


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, sample: Sample) -> Finished:
    """One whole `lwdash run`: what the command line and engine tests start from (copy the home)."""

    def make(folder: Path) -> None:
        recipes = ("float32", "int8", "prune(sparsity=0.5, epochs=1) + int8", "prune(skip=[nowhere])")
        arguments = [part for recipe in recipes for part in ("--recipe", recipe)]
        called = call_lwdash(
            folder / "home",
            "run",
            sample.model,
            "--data",
            sample.data,
            "--label",
            "label",
            *arguments,
            "--json",
        )
        (folder / "called.json").write_text(json.dumps(astuple(called)))

    made = made_once(tmp_path_factory, "finished", make)
    home = tmp_path_factory.mktemp("finished-copy") / "home"
    shutil.copytree(made / "home", home)
    return Finished(home, Called(*json.loads((made / "called.json").read_text())))
