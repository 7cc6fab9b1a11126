"""Two runs that need the same stage at the same moment make it once; one that dies leaves it to the other."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, poll

from lwdash.child.link import LINK_FD
from lwdash.engine.stage_cache import stage_handlers
from storage.store import Store, open_store

CHILD = """
import sys, time
from functools import partial
from pathlib import Path
from lwdash.child.link import Link
from lwdash.child.stage_link import LinkCache

link, seconds = Link(), float(sys.argv[1])
cache = LinkCache(link)
if not cache.get("k" * 64):
    with cache.making("k" * 64):
        if not cache.get("k" * 64):
            link.ask("making")
            time.sleep(seconds)
            cache.put("k" * 64, "keras", b"made", {}, seconds)
link.ask("has", content=cache.get("k" * 64)[0].read_text())
"""


class Child:
    """A process on the link, whose messages are served by a store; what it said is kept."""

    def __init__(self, store: Store, seconds: float):
        self.store, self.message = store, []
        read, write = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(seconds)],
            stdin=subprocess.PIPE, pass_fds=(write,), start_new_session=True,
            env={**os.environ, LINK_FD: str(write), "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        os.close(write)
        self.thread = threading.Thread(target=self._serve, args=(read,))
        self.thread.start()

    def _serve(self, read: int) -> None:
        answers = stage_handlers(self.store, lambda: 7)
        with os.fdopen(read) as messages:
            for line in messages:
                message: dict[str, Any] = json.loads(line)
                what = message.pop("what")
                self.message.append(what if what != "progress" else message["doing"])
                if what == "progress":
                    continue
                answer = answers[what](message) if what in answers else {}
                assert self.process.stdin is not None
                self.process.stdin.write(json.dumps(answer).encode() + b"\n")
                self.process.stdin.flush()

    def end(self) -> int:
        code = self.process.wait(timeout=60)
        self.thread.join(timeout=10)
        assert self.process.stdin is not None
        self.process.stdin.close()
        return code


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(
        f"sqlite:///{tmp_path / 'lwdash.sqlite'}", str(tmp_path / "artifacts"), tmp_path / "cache"
    )


WAITING = "waiting for a step shared with run 7"


@pytest.mark.processes
def test_the_second_waits_and_finds_what_the_first_has_made(store: Store) -> None:
    first = Child(store, 1.5)
    poll("the first makes it", lambda: "making" in first.message, 60)
    second = Child(store, 1.5)
    poll("the second waits", lambda: WAITING in second.message, 60)
    assert (first.end(), second.end()) == (0, 0)
    assert "making" not in second.message
    assert first.message[-1] == second.message[-1] == "has"
    assert list((store.artifacts.cache / "making").iterdir()) == []


def test_the_second_makes_it_when_the_first_is_killed(store: Store) -> None:
    first = Child(store, 600)
    poll("the first makes it", lambda: "making" in first.message, 60)
    second = Child(store, 0)
    poll("the second waits", lambda: WAITING in second.message, 60)
    started = time.monotonic()
    os.killpg(first.process.pid, signal.SIGKILL)
    assert first.end() == -signal.SIGKILL
    assert second.end() == 0
    assert time.monotonic() - started < 30
    assert "making" in second.message
    assert second.message[-1] == "has"
