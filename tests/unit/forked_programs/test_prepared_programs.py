"""Programs that are forked from a server: each run ends as it would in a Python of its own."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import psutil
import pytest
from conftest import poll

from lwdash.errors import InternalFault
from lwdash.forked_programs.prepared_programs import PreparedPrograms

pytestmark = pytest.mark.processes

PROGRAM = """
import os, sys, time
import library

library.runs.append(1)
print(len(library.runs), os.getcwd(), *sys.argv[1:])
print("to stderr", file=sys.stderr)
if sys.argv[1] == "exit":
    sys.exit(int(sys.argv[2]))
if sys.argv[1] == "signal":
    os.kill(os.getpid(), int(sys.argv[2]))
if sys.argv[1] == "raise":
    raise ValueError("no good")
if sys.argv[1] == "sleep":
    open("began", "w").write(str(os.getpid()))
    time.sleep(60)
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PreparedPrograms:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "library.py").write_text(f"runs = []\nopen({str(tmp_path / 'imports')!r}, 'a').write('1')\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    return PreparedPrograms(["library", "no_such_library"])


def test_libraries_are_imported_once_and_runs_do_not_see_each_other(
    programs: PreparedPrograms, tmp_path: Path
) -> None:
    folder = tmp_path / "place"
    folder.mkdir()
    for number in ("one", "two", "three"):
        ended = programs.run("program", [number], folder=str(folder), timeout=20)
        assert ended.returncode == 0
        assert ended.stdout == f"1 {folder} {number}\n"
        assert ended.stderr == "to stderr\n"
    assert (tmp_path / "imports").read_text() == "1"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["exit", "0"], 0), (["exit", "7"], 7), (["raise"], 1), (["signal", "6"], -6), (["signal", "9"], -9)],
)
def test_a_run_ends_with_its_own_code(programs: PreparedPrograms, arguments: list[str], code: int) -> None:
    ended = programs.run("program", arguments, folder="/tmp", timeout=20)
    assert ended.returncode == code
    assert ("ValueError: no good" in ended.stderr) == (arguments == ["raise"])
    assert programs.run("program", ["again"], folder="/tmp", timeout=20).returncode == 0


def test_a_run_that_takes_too_long_is_ended(programs: PreparedPrograms, tmp_path: Path) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        programs.run("program", ["sleep"], folder=str(tmp_path), timeout=1)
    assert not psutil.pid_exists(int((tmp_path / "began").read_text()))
    assert programs.run("program", ["again"], folder="/tmp", timeout=20).returncode == 0


def test_a_server_that_was_killed_is_replaced(programs: PreparedPrograms) -> None:
    programs.run("program", ["once"], folder="/tmp", timeout=20)
    server = programs._server
    assert server is not None
    os.kill(server.pid, signal.SIGKILL)
    server.wait()
    assert programs.run("program", ["replaced"], folder="/tmp", timeout=20).returncode == 0


def test_a_server_that_is_killed_during_a_run_is_reported(programs: PreparedPrograms, tmp_path: Path) -> None:
    programs.run("program", ["once"], folder="/tmp", timeout=20)
    server = programs._server
    assert server is not None
    killer = threading.Timer(0.5, os.kill, (server.pid, signal.SIGKILL))
    killer.start()
    with pytest.raises(InternalFault, match="program ended with -9"):
        programs.run("program", ["sleep"], folder=str(tmp_path), timeout=60)
    assert programs.run("program", ["again"], folder="/tmp", timeout=20).returncode == 0


def test_a_running_program_ends_with_the_process_that_asked_for_it(
    programs: PreparedPrograms, tmp_path: Path
) -> None:
    asking = os.fork()
    if asking == 0:
        programs.run("program", ["sleep"], folder=str(tmp_path), timeout=60)
        os._exit(0)
    began = tmp_path / "began"
    poll("the program runs", lambda: began.exists() and began.read_text() != "", 30)
    os.kill(asking, signal.SIGKILL)
    os.waitpid(asking, 0)
    running = int(began.read_text())
    poll("the program is gone", lambda: not psutil.pid_exists(running), 30)


def test_a_server_that_was_stopped_ends_with_the_process_that_started_it(
    programs: PreparedPrograms, tmp_path: Path
) -> None:
    """A paused child stops its whole group; the server could not notice that its stdin has ended."""
    starting = os.fork()
    if starting == 0:
        programs.run("program", ["once"], folder="/tmp", timeout=20)
        assert programs._server is not None
        os.kill(programs._server.pid, signal.SIGSTOP)
        (tmp_path / "server").write_text(str(programs._server.pid))
        time.sleep(60)
        os._exit(0)
    poll("the server stands still", lambda: (tmp_path / "server").exists(), 30)
    os.kill(starting, signal.SIGKILL)
    os.waitpid(starting, 0)
    server = int((tmp_path / "server").read_text())
    poll("the server is gone", lambda: not psutil.pid_exists(server), 10)
