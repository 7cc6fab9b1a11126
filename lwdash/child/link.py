"""The link between a step's child process and its supervisor.

The child has no database and no secrets. It requests jobs and cached stages from its supervisor and reports
results to it, one JSON object per line, over a separate pipe. Replies come on its standard input. When that
input ends, the supervisor is gone, and the child exits.
"""

import json
import os
import queue
import signal
import threading
import time
from typing import Any

from lwdash.process_lifetime import DIES_WITH_PARENT, die_with_parent

LINK_FD = "LWDASH_LINK_FD"


class Link:
    """The child's end of the link."""

    def __init__(self) -> None:
        if os.environ.pop(DIES_WITH_PARENT, None):
            die_with_parent()
        self._out = os.fdopen(int(os.environ.pop(LINK_FD)), "w", buffering=1)
        self._in = os.fdopen(os.dup(0), "r")
        with open(os.devnull) as nothing:  # code that reads its standard input must not take replies
            os.dup2(nothing.fileno(), 0)
        self._replies: queue.Queue[dict[str, Any]] = queue.Queue()
        self._last_progress = ("", 0.0)
        threading.Thread(target=self._listen, daemon=True).start()

    def ask(self, what: str, **fields: Any) -> dict[str, Any]:
        """Send a message and wait for its reply."""
        self._send(what, fields)
        return self._replies.get()

    def progress(self, doing: str, share: float) -> None:
        """Report the present activity and its finished share, at most five times a second."""
        last, when = self._last_progress
        if last.partition(":")[0] == doing.partition(":")[0] and time.monotonic() - when < 0.2:
            return
        self._last_progress = (doing, time.monotonic())
        self._send("progress", {"doing": doing, "share": share})

    def _send(self, what: str, fields: dict[str, Any]) -> None:
        self._out.write(json.dumps({"what": what, **fields}) + "\n")

    def _listen(self) -> None:
        for line in self._in:
            self._replies.put(json.loads(line))
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(137)
