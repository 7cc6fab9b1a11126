"""A warm parent that need not import its libraries, because it is itself forked from a process that has them."""

import time
from pathlib import Path

from lwdash.engine import child_process, warm_child
from lwdash.settings import Settings

ADAPTER = Path(__file__).with_name("forked_warm_parent.py")
START_SECONDS = 30.0


def keep_warm_at_once(settings: Settings, socket: str) -> None:
    """Return when this process has its warm parent; it has none where another process of the host keeps one.

    socket: the address of the `ForkServer` that it comes from.
    """
    warm_child.PROGRAM = ("-S", "-E", str(ADAPTER), socket)
    child_process.keep_warm(settings)
    keeper = child_process.KEEPER
    until = time.monotonic() + START_SECONDS
    while keeper._thread is not None and keeper._parent is None and time.monotonic() < until:
        time.sleep(0.01)
    if keeper._parent is not None:
        keeper._parent.ready.wait(START_SECONDS)
