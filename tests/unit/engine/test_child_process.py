"""How the end of a child is told: who ended it, and what to do."""

import signal
import threading
from pathlib import Path

import pytest

from lwdash.engine import child_process
from lwdash.engine.child_process import Ended, run_child


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (
            signal.SIGKILL,
            r"killed \(SIGKILL\), probably by the system because memory ran out",
        ),
        (signal.SIGSEGV, "SIGSEGV, probably in native code"),
        (signal.SIGABRT, "SIGABRT, probably in native code"),
        (signal.SIGTERM, r"from outside \(SIGTERM\)"),
        (signal.SIGXCPU, "all the processor time"),
        (40, r"from outside \((SIG)?[\w+ ]+\)"),
    ],
)
def test_a_signal_is_told_with_its_likely_sender(number: int, message: str) -> None:
    import re

    assert re.search(message, Ended(-number, None).message)


def test_a_reason_and_an_exit_code_are_told_as_they_are() -> None:
    assert Ended(-9, "it took too long").message == "it took too long"
    assert Ended(3, None).message == "the process ended with exit code 3"


@pytest.mark.processes
def test_those_who_work_for_a_child_learn_of_its_end_when_its_watch_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_process, "PROGRAM", ["-c", "import time; time.sleep(60)"])
    gone = threading.Event()

    def watch(memory_mb: int) -> str | None:
        raise OSError("no database")

    with pytest.raises(OSError, match="no database"):
        run_child(["x"], scratch=tmp_path, log=tmp_path / "log", handlers={}, watch=watch, gone=gone)
    assert gone.is_set()
