"""A warm parent that need not import its libraries, because it is itself forked from a process that has them."""

import time
from pathlib import Path

from lwdash.engine import child_process
from lwdash.settings import Settings

ADAPTER = Path(__file__).with_name("forked_warm_parent.py")
START_SECONDS = 30.0


def program(socket: str) -> tuple[str, ...]:
    """The value of `warm_child.PROGRAM` for warm parents from the `ForkServer` of this address."""
    return "-S", "-E", str(ADAPTER), socket


def keep_warm_at_once(settings: Settings) -> None:
    """Return when this process has its warm parent; it has none where another process of the host keeps one."""
    child_process.keep_warm(settings)
    keeper = child_process.KEEPER
    until = time.monotonic() + START_SECONDS
    while keeper._thread is not None and keeper._second is None and time.monotonic() < until:
        time.sleep(0.01)
    if keeper._second is not None:
        keeper._second.ready.wait(START_SECONDS)
