"""Children that are forked from a warm parent: a real one, which imports less, so that it is there at once."""

import dataclasses
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import poll

from lwdash.child.job_results import Checked
from lwdash.child.jobs import Check
from lwdash.engine import child_process, warm_child
from lwdash.engine.input_files.file_inspection import ask_child
from lwdash.engine.room import Place
from lwdash.engine.warm_child import WarmKeeper
from lwdash.settings import Settings, load_settings

LEAN = """
import lwdash.child.warm_parent as warm_parent
warm_parent.LIBRARIES, warm_parent.TENSORFLOW = ("lwdash.child.__main__",), ()
warm_parent.main()
"""
SLOW = """
import time
import lwdash.child.warm_parent as warm_parent
class Imports:
    def import_module(name):
        time.sleep(60 if name == "tensorflow" else 0)
warm_parent.importlib, warm_parent.LIBRARIES, warm_parent.TENSORFLOW = Imports, (), ("tensorflow",)
warm_parent.main()
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return dataclasses.replace(load_settings(tmp_path / "home"), job_memory=8192, scheduler=None)


@pytest.fixture
def keeper(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[WarmKeeper]:
    """A keeper whose warm parents are ready; locks are this test's own."""
    locks = tmp_path / "locks"
    locks.mkdir()
    monkeypatch.setattr(warm_child.tempfile, "gettempdir", lambda: str(locks))
    monkeypatch.setattr(warm_child, "PROGRAM", ("-c", LEAN))
    made = WarmKeeper()
    monkeypatch.setattr(child_process, "KEEPER", made)
    child_process.keep_warm(settings)
    poll("the warm parent", lambda: made.parent(tensorflow=True), 60)
    yield made
    made.close()


def parent_of(keeper: WarmKeeper) -> warm_child.WarmParent:
    """The one with TensorFlow."""
    found = keeper.parent(tensorflow=True)
    assert found is not None
    return found


def run(
    settings: Settings, watch=lambda memory_mb: None, answer=lambda message: {"job": None}
) -> child_process.Ended:
    """A child of the step `check`; answer: to its first question."""
    return child_process.run_child(
        ["check"],
        scratch=settings.scratch,
        log=settings.logs / "check.log",
        handlers={"next": answer},
        watch=watch,
    )


def test_a_child_is_forked_serves_its_job_and_leaves_nothing(keeper: WarmKeeper, settings: Settings) -> None:
    parent = psutil.Process(parent_of(keeper).pid)
    assert ask_child(settings, Check(), Checked).starts
    poll("no child", lambda: not parent.children(), 5)
    assert list(settings.scratch.iterdir()) == []


def test_a_forked_child_has_no_secrets_a_session_of_its_own_and_its_folder(
    keeper: WarmKeeper, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LWDASH_METRICS_TOKEN", "secret")
    parent = psutil.Process(parent_of(keeper).pid)
    seen = {}

    def look(message: dict[str, object]) -> dict[str, object]:
        (found,) = parent.children()
        seen.update(folder=found.cwd(), leads=os.getsid(found.pid) == found.pid, token=found.environ())
        return {"job": None}

    assert run(settings, answer=look) == child_process.Ended(0, None)
    assert seen["leads"]
    assert seen["folder"].startswith(str(settings.scratch))
    assert "secret" not in str(seen["token"])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT])
def test_how_a_forked_child_ended_is_known(keeper: WarmKeeper, settings: Settings, number: int) -> None:
    parent = psutil.Process(parent_of(keeper).pid)

    def kill(message: dict[str, object]) -> None:
        (found,) = parent.children()
        os.kill(found.pid, number)

    ended = run(settings, answer=kill)
    assert ended.returncode == -number
    assert signal.Signals(number).name in ended.message
    assert parent.is_running(), "the next child is forked from it"
    assert ask_child(settings, Check(), Checked).starts


def test_a_forked_child_is_stopped_from_outside(keeper: WarmKeeper, settings: Settings) -> None:
    began = time.monotonic()
    ended = run(settings, watch=lambda memory_mb: "cancelled", answer=lambda message: None)
    assert ended.reason == "cancelled"
    assert time.monotonic() - began < 3


def test_a_warm_parent_that_dies_takes_its_children_along_and_steps_go_on(
    keeper: WarmKeeper, settings: Settings
) -> None:
    parent = psutil.Process(parent_of(keeper).pid)
    children: list[psutil.Process] = []

    def kill(message: dict[str, object]) -> None:
        children.extend(parent.children())
        parent.kill()

    assert run(settings, answer=kill).returncode == -signal.SIGKILL
    poll("no orphan", lambda: not any(process.is_running() for process in children), 5)
    assert ask_child(settings, Check(), Checked).starts, "in a child started anew"


def test_a_host_has_one_warm_parent(keeper: WarmKeeper, settings: Settings) -> None:
    other = WarmKeeper()
    other.want(settings, {}, tensorflow=True)
    poll("it gives up", lambda: other._thread is None, 10)
    assert other.parent(tensorflow=True) is None


def test_it_goes_when_nobody_wants_it_or_memory_is_short(
    keeper: WarmKeeper, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = psutil.Process(parent_of(keeper).pid)
    monkeypatch.setattr(warm_child, "_free_mb", lambda: warm_child.MIN_FREE_MB - 1)
    poll("its end", lambda: not process.is_running(), 10)
    poll("the keeper is free", lambda: keeper._thread is None, 10)
    child_process.keep_warm(settings)
    poll("it is not started again", lambda: keeper._thread is None, 10)
    monkeypatch.undo()


def test_the_one_with_tensorflow_is_spared_only_without_children(
    keeper: WarmKeeper, settings: Settings
) -> None:
    parent, first = parent_of(keeper), keeper._first

    def answer(message: dict[str, Any]) -> dict[str, Any]:
        child_process.keep_warm(settings, tensorflow=False)
        time.sleep(1)
        assert not parent.gone.is_set()
        return {"job": None}

    assert run(settings, answer=answer).returncode == 0
    assert parent.gone.wait(10)
    poll("the other is forked from", lambda: keeper.parent(tensorflow=False) is first, 10)
    assert first is not None
    assert not first.gone.is_set()
    poll("a new one with TensorFlow", lambda: keeper.parent(tensorflow=True) not in (None, first), 60)


def test_steps_without_tensorflow_do_not_wait_for_its_import(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm_child.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(warm_child, "PROGRAM", ("-c", SLOW))
    keeper = WarmKeeper()
    keeper.want(settings, {}, tensorflow=True)
    try:
        second = poll("the one that imports TensorFlow", lambda: keeper._second, 60)
        first = keeper.parent(tensorflow=False)
        assert first is keeper._first
        assert first is not None
        assert not second.ready.is_set()
        assert first.fork_second() is not None
    finally:
        keeper.close()


def test_it_goes_after_idle_time(keeper: WarmKeeper) -> None:
    process = psutil.Process(parent_of(keeper).pid)
    keeper._wanted_until = time.monotonic()
    poll("its end", lambda: not process.is_running(), 10)


def test_it_is_not_kept_where_a_step_may_use_little_memory(settings: Settings) -> None:
    keeper = WarmKeeper()
    keeper.want(dataclasses.replace(settings, job_memory=1024), {}, tensorflow=True)
    assert keeper._thread is None


def test_importing_makes_way_for_a_measurement(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm_child.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(warm_child, "PROGRAM", ("-c", "import time; time.sleep(60)"))
    keeper = WarmKeeper()
    keeper.want(settings, {}, tensorflow=True)
    poll("its start", lambda: keeper._first, 10)
    place = Place(tmp_path)
    try:
        assert place.take_alone(lambda: False)
        process = psutil.Process(keeper._first.pid)  # type: ignore[union-attr]
        poll("it stands still", lambda: process.status() == psutil.STATUS_STOPPED, 5)
        assert keeper.parent(tensorflow=False) is None, (
            "steps that run beside a measurement do not wait for it"
        )
    finally:
        place.close()
        keeper.close()
