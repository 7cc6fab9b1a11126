"""Modules run as programs, each time in a process of its own, without the seconds of a new Python and its imports.

A server process imports a program's libraries once and forks for every run. What a run breaks, or a signal that ends it,
stays in its own process.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from lwdash.errors import InternalFault

TIMED_OUT = "timed out"
"""The server's answer for a program that it ended."""


class PreparedPrograms:
    """`python -m MODULE`, forked from a server that has imported `libraries`. Any thread may call the methods."""

    def __init__(self, libraries: Sequence[str]):
        self.libraries = tuple(libraries)
        self._lock = threading.Lock()
        self._server: subprocess.Popen[str] | None = None
        self._owner = 0

    def prepare(self) -> None:
        """Start the server, if there is none; it imports the libraries while the caller goes on."""
        with self._lock:
            self._running()

    def run(
        self, module: str, arguments: Sequence[str], *, folder: str, timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """One run of `module` with `folder` as its working directory, as `subprocess.run` with captured output.

        Raises subprocess.TimeoutExpired, InternalFault where the server ends.
        """
        with self._lock, tempfile.TemporaryDirectory() as place:
            printed = [Path(place) / name for name in ("stdout", "stderr")]
            request = {
                "module": module,
                "arguments": list(arguments),
                "folder": folder,
                "printed": [str(path) for path in printed],
                "timeout": timeout,
            }
            code = self._ask(request)
            if code == TIMED_OUT:
                raise subprocess.TimeoutExpired(module, timeout)
            texts = [path.read_text(encoding="utf-8", errors="replace") for path in printed]
        return subprocess.CompletedProcess([module, *arguments], int(code), *texts)

    def _ask(self, request: Mapping[str, object]) -> int | str:
        server = self._running()
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            server.stdin.write(json.dumps(request) + "\n")
            server.stdin.flush()
            answer = server.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise InternalFault(f"the process that runs {request['module']} ended with {server.wait()}")
        code: int | str = json.loads(answer)
        return code

    def _running(self) -> subprocess.Popen[str]:
        """The server of this process; one that was started before a fork belongs to the parent."""
        if self._server is None or self._owner != os.getpid() or self._server.poll() is not None:
            self._server, self._owner = (
                subprocess.Popen(
                    [sys.executable, "-m", "lwdash.forked_programs.fork_server", *self.libraries],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                ),
                os.getpid(),
            )
            atexit.register(self._close, self._server, self._owner)
        return self._server

    @staticmethod
    def _close(server: subprocess.Popen[str], owner: int) -> None:
        if owner == os.getpid():
            server.kill()
            server.wait()
