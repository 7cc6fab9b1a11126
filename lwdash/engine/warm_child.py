"""The warm parent of this host: its start, its end, and forking a child from it.

Importing TensorFlow takes seconds. While a user is likely to start runs, one process with the libraries
imported waits on this host. Children are forked from it in milliseconds (`lwdash.child.warm_parent`). There
is never more than one: a lock file serves all processes of the host. It ends after some idle minutes, or when
memory is short.
"""

import array
import contextlib
import fcntl
import json
import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import psutil

from lwdash.child.warm_parent import SOCKET_FD
from lwdash.engine.process_events import STOPPING
from lwdash.engine.room import Place, lock_file
from lwdash.engine.scratch import private
from lwdash.process_lifetime import CAN_BE_PAUSED, DIES_WITH_PARENT
from lwdash.settings import PROJECT, Settings

logger = logging.getLogger(__name__)

PROGRAM: tuple[str, ...] = ("-m", "lwdash.child.warm_parent")
IDLE_SECONDS = 600.0
POLL_SECONDS = 0.25
START_SECONDS = 60.0
"""Maximum time for the imports."""
MIN_JOB_MEMORY_MB = 2048
"""With a lower limit, a child needs the memory that the imported libraries of other steps would occupy."""
MIN_FREE_MB = 1024
"""With less available memory the warm parent ends; it starts only with twice as much."""


class ForkedChild:
    """A child of the warm parent, with the part of `subprocess.Popen` that a supervisor uses."""

    def __init__(self, pid: int, stdin: IO[bytes]):
        self.pid, self.stdin = pid, stdin
        self.returncode: int | None = None
        self._ended = threading.Event()

    def end(self, returncode: int) -> None:
        self.returncode = returncode
        self._ended.set()

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired("lwdash.child", timeout or 0.0)
        assert self.returncode is not None
        return self.returncode


class WarmParent:
    """One warm parent, from its start to its end. `fork` may be called by any thread."""

    def __init__(self, environment: Mapping[str, str], log: Path):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with theirs, open(log, "ab", opener=private) as output:
            self._process = subprocess.Popen(
                [sys.executable, *PROGRAM],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=PROJECT,
                env={**environment, SOCKET_FD: str(theirs.fileno())},
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        self._socket = ours
        self._lock = threading.Lock()
        self._started: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._children: dict[int, ForkedChild] = {}
        self._early: dict[int, int] = {}
        """Return codes of children that ended before `fork` received their pid."""
        self._is_retired = False
        self.ready = threading.Event()
        self.gone = threading.Event()
        threading.Thread(target=self._listen, name="lwdash-warm-reports", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def retire(self) -> bool:
        """Accept no more requests if it has no children; return True in that case."""
        with self._lock:
            self._is_retired = not self._children
            return self._is_retired

    def fork(
        self,
        arguments: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        link: int,
        log: IO[bytes],
    ) -> ForkedChild | None:
        """A child that runs `lwdash.child ARGUMENTS` in `folder`; None where the warm parent has ended."""
        variables = {**environment, DIES_WITH_PARENT: "1"}
        request = {"arguments": list(arguments), "folder": str(folder), "environment": variables}
        pipe_end, stdin = os.pipe()
        descriptors = array.array("i", [pipe_end, link, log.fileno()])
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)]
        try:
            with self._lock:
                try:
                    if self._is_retired:
                        raise BrokenPipeError
                    self._socket.sendmsg([json.dumps(request).encode()], rights)
                    pid = self._started.get(timeout=START_SECONDS)
                except (OSError, queue.Empty):
                    pid = None
                if pid is None:
                    os.close(stdin)
                    return None
                child = ForkedChild(pid, os.fdopen(stdin, "wb"))
                self._children[pid] = child
                if pid in self._early:
                    self._end(pid, self._early.pop(pid))
                return child
        finally:
            os.close(pipe_end)

    def pause(self) -> None:
        os.killpg(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.killpg(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """End it together with its children."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        self.gone.wait(timeout=10)

    def _listen(self) -> None:
        with self._socket:
            while True:
                try:
                    data = self._socket.recv(4096)
                except OSError:
                    data = b""
                if not data:
                    break
                message: dict[str, Any] = json.loads(data)
                if "started" in message:
                    self._started.put(message["started"])
                elif "ended" in message:
                    self._end(message["ended"], message["returncode"])
                else:
                    self.ready.set()
        self.gone.set()
        self._started.put(None)
        for pid in list(self._children):  # the kernel ends them with their parent
            self._end(pid, -signal.SIGKILL)

    def _end(self, pid: int, returncode: int) -> None:
        child = self._children.pop(pid, None)
        if child is None:
            self._early[pid] = returncode
        else:
            child.end(returncode)


class WarmKeeper:
    """Starts and ends the warm parent of this process, as long as it is needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._wanted_until = 0.0
        self._parent: WarmParent | None = None

    def want(self, settings: Settings, environment: Mapping[str, str]) -> None:
        """Keep a warm parent for IDLE_SECONDS, if there is none on this host and enough memory."""
        if not CAN_BE_PAUSED or settings.job_memory < MIN_JOB_MEMORY_MB:
            return
        with self._lock:
            self._wanted_until = time.monotonic() + IDLE_SECONDS
            if self._thread is None:
                self._stop.clear()
                self._thread = threading.Thread(
                    target=self._keep, args=(settings, environment), name="lwdash-warm", daemon=True
                )
                self._thread.start()

    def spare(self) -> None:
        """End the warm parent soon, unless it has children."""
        self._wanted_until = 0.0

    def parent(self, *, waits: bool) -> WarmParent | None:
        """The warm parent, if it is ready; waits: also one that is still importing."""
        parent = self._parent
        if parent is None:
            return None
        until = time.monotonic() + START_SECONDS
        while waits and not (parent.ready.is_set() or parent.gone.is_set() or STOPPING.is_set()):
            if time.monotonic() > until:
                break
            parent.ready.wait(0.05)
        if not parent.ready.is_set() or parent.gone.is_set():
            return None
        self._wanted_until = max(self._wanted_until, time.monotonic() + IDLE_SECONDS / 2)
        return parent

    def close(self) -> None:
        """Ends the warm parent; a later `want` starts another."""
        thread = self._thread
        self._stop.set()
        if thread is not None:
            thread.join(timeout=15)

    def _keep(self, settings: Settings, environment: Mapping[str, str]) -> None:
        """Run one warm parent; the kernel ends it when this thread ends."""
        lock = lock_file(Path(tempfile.gettempdir()) / "lwdash-warm.lock")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _free_mb() >= 2 * MIN_FREE_MB:
                self._parent = WarmParent(environment, settings.logs / "warm-parent.log")
                self._watch(settings, self._parent)
        except BlockingIOError:
            logger.debug("another process of this host keeps the warm parent")
        finally:
            parent, self._parent = self._parent, None
            if parent is not None:
                parent.close()
            os.close(lock)
            with self._lock:
                self._thread = None

    def _watch(self, settings: Settings, parent: WarmParent) -> None:
        place = Place()
        try:
            is_paused = not place.take()
            if is_paused:
                parent.pause()
            while not self._stop.wait(POLL_SECONDS) and not parent.gone.is_set():
                if parent.ready.is_set():
                    if is_paused:  # it became ready at the moment in which it was paused
                        parent.resume()
                        is_paused = False
                    place.leave()
                elif is_paused and place.take():
                    parent.resume()
                    is_paused = False
                elif not is_paused and place.is_wanted():
                    parent.pause()
                    place.leave()
                    is_paused = True
                if self._is_over(settings, parent) and parent.retire():
                    return
        finally:
            place.close()

    def _is_over(self, settings: Settings, parent: WarmParent) -> bool:
        if time.monotonic() > self._wanted_until:
            return True
        with contextlib.suppress(psutil.Error):
            memory_mb = psutil.Process(parent.pid).memory_info().rss >> 20
            return memory_mb > settings.job_memory or _free_mb() < MIN_FREE_MB
        return True


def _free_mb() -> int:
    return psutil.virtual_memory().available >> 20


KEEPER = WarmKeeper()
"""The keeper of this process."""
