"""The line between a step's child process and its supervisor.

The child has no database and no secrets: it asks its supervisor for work and cached stages and tells it
results, one JSON object a line, over a pipe of its own; answers come on its standard input. When that
input ends, the supervisor is gone, and the child ends itself.
"""

import json
import os
import queue
import signal
import sys
import threading
import time
from typing import Any

from lwdash.process_lifetime import DIES_WITH_PARENT, die_with_parent

LINK_FD = "LWDASH_LINK_FD"


class Link:
    """The child's end."""

    def __init__(self) -> None:
        if os.environ.pop(DIES_WITH_PARENT, None):
            die_with_parent()
        self._out = os.fdopen(int(os.environ.pop(LINK_FD)), "w", buffering=1)
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._last_progress = ("", 0.0)
        threading.Thread(target=self._listen, daemon=True).start()

    def ask(self, what: str, **fields: Any) -> dict[str, Any]:
        """Sends a message and waits for its answer."""
        self._send(what, fields)
        return self._answers.get()

    def progress(self, doing: str, share: float) -> None:
        """Says what is being done and how much of it, at most five times a second."""
        said, when = self._last_progress
        if said.partition(":")[0] == doing.partition(":")[0] and time.monotonic() - when < 0.2:
            return
        self._last_progress = (doing, time.monotonic())
        self._send("progress", {"doing": doing, "share": share})

    def _send(self, what: str, fields: dict[str, Any]) -> None:
        self._out.write(json.dumps({"what": what, **fields}) + "\n")

    def _listen(self) -> None:
        for line in sys.stdin:
            self._answers.put(json.loads(line))
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(137)
