"""A home that cannot be used and a disk that is full are said in one sentence; nobody else reads a home."""

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Called, Finished, call_lwdash
from sqlalchemy.exc import OperationalError
from support.served import free_port
from support.small_disk import on_small_disk

from lwdash.engine.home import DiskFull, HomeUnusable, check_room, explain_storage, open_home
from lwdash.errors import EngineUnavailable, UserMistake
from lwdash.settings import load_settings

DIGITS = ("lwdash/examples/digits.keras", "--data", "lwdash/examples/digits.csv", "--recipe", "int8")
COMMANDS = {
    "lwdash": ("-m", "lwdash"),
    "streamlit": ("-m", "streamlit", "run", "app.py"),
}


def call_on_disk(
    place: Path, size_kb: int, home: Path, *arguments: str, is_read_only: bool = False
) -> Called:
    """A command with its home on a small disk at `place`."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LWDASH_")}
    ended = subprocess.run(
        on_small_disk(place, size_kb, sys.executable, *arguments, is_read_only=is_read_only),
        cwd=ROOT,
        env={**environment, "LWDASH_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Called(ended.returncode, ended.stdout, ended.stderr)


def is_one_sentence(called: Called) -> bool:
    lines = [line for line in called.err.splitlines() if "lwdash" in line]
    return len(lines) == 1 and "Traceback" not in called.err and "Errno" not in called.err


@pytest.mark.parametrize("size_kb", [60, 348, 700, 1100])
def test_a_run_on_a_full_disk_says_where_and_how_much_is_needed(tmp_path: Path, size_kb: int) -> None:
    home = tmp_path / "disk" / "home"
    called = call_on_disk(home.parent, size_kb, home, *COMMANDS["lwdash"], "run", *DIGITS, "--json")
    assert called.code == 2, called
    assert is_one_sentence(called), called.err
    error = json.loads(called.out)["error"]
    assert error.startswith("the disk is full: ")
    assert f" MB are free in {home} (LWDASH_HOME), but at least 1" in error
    assert "MB are needed. Free space" in error


def test_a_server_on_a_full_disk_does_not_start_and_says_why(tmp_path: Path) -> None:
    home, port = tmp_path / "disk" / "home", f"--server.port={free_port()}"
    called = call_on_disk(home.parent, 60, home, *COMMANDS["streamlit"], port)
    assert called.code == 1
    assert is_one_sentence(called), called.err
    assert "lwdash cannot start: the disk is full" in called.err


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("where", "words"), [("home", "is on a read-only file system"), ("new", "LWDASH_HOME cannot be created")]
)
def test_a_read_only_home_is_said(tmp_path: Path, command: str, where: str, words: str) -> None:
    home = tmp_path / "disk" / where
    more = ("runs",) if command == "lwdash" else (f"--server.port={free_port()}",)
    called = call_on_disk(home.parent, 5000, home, *COMMANDS[command], *more, is_read_only=True)
    assert called.code in (1, 2)
    assert is_one_sentence(called), called.err
    assert words in called.err


@pytest.mark.parametrize("below", ["", "further/down"])
def test_a_home_that_is_a_file_is_said(tmp_path: Path, below: str) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")
    called = call_lwdash(file / below, "runs")
    assert called.code == 2
    assert is_one_sentence(called), called.err
    assert f"LWDASH_HOME must be a folder, but {file} is a file. Choose another place" in called.err


def as_nobody(action: Callable[[], Any]) -> str:
    """What `action` complains of in a process of an account that owns nothing; of this one where it is not root."""

    def work(queue: Any) -> None:
        if os.geteuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        try:
            action()
        except UserMistake as error:
            queue.put(str(error))
        else:
            queue.put("")

    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=work, args=(queue,))
    process.start()
    try:
        return queue.get(timeout=30)
    finally:
        process.join(10)


@pytest.mark.parametrize("mode", [0o000, 0o500, 0o300, 0o600])
def test_a_home_that_may_not_be_read_or_written_is_said(tmp_path: Path, mode: int) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o001:  # nobody could not come by
            folder.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(mode)
    if os.geteuid() == 0:
        os.chown(home, 65534, 65534)
    words = as_nobody(lambda: open_home(load_settings(home)))
    home.chmod(0o700)
    assert words.startswith("LWDASH_HOME cannot be used: the account ")
    assert f" cannot read and write {home}. " in words


def test_a_home_below_a_folder_that_may_not_be_entered_is_said(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o000)
    words = as_nobody(lambda: open_home(load_settings(closed / "home")))
    closed.chmod(0o700)
    assert "LWDASH_HOME cannot be" in words


def test_every_file_of_a_home_is_its_owners_alone(finished: Finished) -> None:
    """Of a home in which everything was made by a real run, the children's files included."""
    home = finished.home
    open_ones = [path for path in (home, *home.rglob("*")) if path.lstat().st_mode & 0o077]
    loose = [home / "scratch", home / "cache"]
    open_ones = [path for path in open_ones if not set(loose) & set(path.parents)]
    assert open_ones == []


def test_an_existing_home_is_closed_when_it_is_opened(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "artifacts" / "ab").mkdir(parents=True)
    for name in ("artifacts/ab/abc", "lwdash.sqlite", "lwdash.before-0002.sqlite", "logs.txt"):
        (home / name).touch()
    for path in (home, *home.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    store = open_home(load_settings(home))
    store.database.dispose()
    assert {oct(path.stat().st_mode & 0o777) for path in home.rglob("*") if path.is_file()} == {"0o600"}
    assert {oct(path.stat().st_mode & 0o777) for path in (home, *home.rglob("*")) if path.is_dir()} == {
        "0o700"
    }


def test_what_is_written_for_the_user_is_as_open_as_the_user_has_it(
    finished: Finished, tmp_path: Path
) -> None:
    out = tmp_path / "out.tflite"
    assert call_lwdash(finished.home, "export", "2", "--out", out).code == 0
    mask = os.umask(0)
    os.umask(mask)
    assert out.stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device"), "the disk is full: "),
        (OSError(122, "Disk quota exceeded"), "the disk is full: "),
        (OperationalError("INSERT …", {}, Exception("database or disk is full")), "the disk is full: "),
        (OperationalError("INSERT …", {}, Exception("attempt to write a readonly database")), "LWDASH_HOME"),
        (EngineUnavailable("no scheduler"), None),
        (OSError(28 + 300, "another"), None),
        (ValueError("a fault of ours"), None),
    ],
)
def test_which_errors_are_the_disks(tmp_path: Path, error: Exception, words: str | None) -> None:
    settings = load_settings(tmp_path)
    said = explain_storage(error, settings)
    assert said == words or (words and said and said.startswith(words))
    wrapped = RuntimeError("something else")
    wrapped.__cause__ = error
    assert explain_storage(wrapped, settings) == said


def test_room_is_asked_for_by_the_size_of_the_files(tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    check_room(settings)
    with pytest.raises(DiskFull, match=r"but at least 2,000,000,016 MB are needed"):
        check_room(settings, 10**15)
    with pytest.raises(HomeUnusable, match="must be a folder"):
        open_home(load_settings("/dev/null"))
