"""The warm parents of this host: their start, their end, and forking a child from them.

Importing TensorFlow takes seconds, and what the other steps need takes one. While a user is likely to start runs, a
process with those libraries waits on this host, and a second one, forked from it, has TensorFlow as well.
Children are forked from them in milliseconds (`lwdash.child.warm_parent`). There is never more than one pair: a lock
file serves all processes of the host. They end after some idle minutes, or when memory is short.
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
from collections.abc import Callable, Mapping, Sequence
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
STARTING_POLL_SECONDS = 0.02
"""While the first warm parent imports: the second is forked as soon as it can be."""
START_SECONDS = 60.0
"""Maximum time for the imports."""
MIN_JOB_MEMORY_MB = 2048
"""With a lower limit, a child needs the memory that the imported libraries of other steps would occupy."""
MIN_FREE_MB = 1024
"""With less available memory the warm parent ends; it starts only with twice as much."""


class ForkedChild:
    """A child of a warm parent, with the part of `subprocess.Popen` that a supervisor uses."""

    def __init__(self, pid: int, stdin: IO[bytes] | None):
        self.pid, self.stdin = pid, stdin
        self.returncode: int | None = None
        self._ended = threading.Event()

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

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

    def __init__(self, process: subprocess.Popen[bytes] | ForkedChild, requests: socket.socket):
        self._process, self._socket = process, requests
        self._lock = threading.Lock()
        self._started: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._children: dict[int, ForkedChild] = {}
        self._early: dict[int, int] = {}
        """Return codes of children that ended before `fork` received their pid."""
        self._is_retired = self.is_paused = False
        self.ready = threading.Event()
        self.gone = threading.Event()
        threading.Thread(target=self._listen, name="lwdash-warm-reports", daemon=True).start()

    @classmethod
    def start(cls, environment: Mapping[str, str], log: Path) -> "WarmParent":
        """The first warm parent, a new process."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with theirs, open(log, "ab", opener=private) as output:
            process = subprocess.Popen(
                [sys.executable, *PROGRAM],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=PROJECT,
                env={**environment, SOCKET_FD: str(theirs.fileno())},
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        return cls(process, ours)

    def fork_second(self) -> "WarmParent | None":
        """A warm parent that imports TensorFlow as well; None where this one has ended."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            process = self._fork(None, [theirs.fileno()], None)
        if process is None:
            ours.close()
            return None
        return WarmParent(process, ours)

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
        try:
            child = self._fork(request, [pipe_end, link, log.fileno()], os.fdopen(stdin, "wb"))
        finally:
            os.close(pipe_end)
        return child

    def _fork(
        self, request: Mapping[str, Any] | None, descriptors: Sequence[int], stdin: IO[bytes] | None
    ) -> ForkedChild | None:
        """The child of a request; None, with stdin closed, where the warm parent has ended."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        with self._lock:
            try:
                if self._is_retired:
                    raise BrokenPipeError
                self._socket.sendmsg([json.dumps(request).encode()], rights)
                pid = self._started.get(timeout=START_SECONDS)
            except (OSError, queue.Empty):
                pid = None
            if pid is None:
                if stdin is not None:
                    stdin.close()
                return None
            child = ForkedChild(pid, stdin)
            self._children[pid] = child
            if pid in self._early:
                self._end(pid, self._early.pop(pid))
            return child

    def pause(self) -> None:
        self.is_paused = True
        self._signal_group(signal.SIGSTOP)

    def resume(self) -> None:
        self.is_paused = False
        self._signal_group(signal.SIGCONT)

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

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
    """Starts and ends the warm parents of this process, as long as they are needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._wanted_until = self._tensorflow_until = 0.0
        self._first: WarmParent | None = None
        self._second: WarmParent | None = None
        """The one with TensorFlow."""

    def want(self, settings: Settings, environment: Mapping[str, str], *, tensorflow: bool) -> None:
        """Keep warm parents for IDLE_SECONDS, if there are none on this host and enough memory.

        tensorflow: False ends the second one soon, unless it has children: it would take processor time from steps that
        do not need it.
        """
        if not CAN_BE_PAUSED or settings.job_memory < MIN_JOB_MEMORY_MB:
            return
        with self._lock:
            self._wanted_until = time.monotonic() + IDLE_SECONDS
            self._tensorflow_until = self._wanted_until if tensorflow else 0.0
            if self._thread is None:
                self._stop.clear()
                self._thread = threading.Thread(
                    target=self._keep, args=(settings, environment), name="lwdash-warm", daemon=True
                )
                self._thread.start()

    def parent(self, *, tensorflow: bool) -> WarmParent | None:
        """The warm parent to fork from, None if there is none.

        The second one if it is ready; with `tensorflow` it is waited for, since a new process would import TensorFlow, too.
        Otherwise the first one, unless it was paused before it was ready.
        """
        if tensorflow:
            self._tensorflow_until = time.monotonic() + IDLE_SECONDS / 2
        second = self._second
        if tensorflow or (second is not None and second.ready.is_set()):
            found = self._ready(lambda: self._second)
        else:
            found = self._ready(lambda: self._first, even_if_paused=False)
        if found is not None:
            until = time.monotonic() + IDLE_SECONDS / 2
            self._wanted_until = max(self._wanted_until, until)
            if found is second:
                self._tensorflow_until = max(self._tensorflow_until, until)
        return found

    def _ready(
        self, parent: Callable[[], WarmParent | None], *, even_if_paused: bool = True
    ) -> WarmParent | None:
        """A warm parent when it is ready; None where none is kept, or it ends before."""
        until = time.monotonic() + START_SECONDS
        while self._thread is not None:
            found = parent()
            if found is not None and (found.gone.is_set() or (found.is_paused and not even_if_paused)):
                return None
            if found is not None and found.ready.is_set():
                return found
            if STOPPING.is_set() or time.monotonic() > until:
                return None
            time.sleep(STARTING_POLL_SECONDS)
        return None

    def close(self) -> None:
        """Ends the warm parents; a later `want` starts others."""
        thread = self._thread
        self._stop.set()
        if thread is not None:
            thread.join(timeout=15)

    def _keep(self, settings: Settings, environment: Mapping[str, str]) -> None:
        """Run the warm parents; the kernel ends them when this thread ends."""
        lock = lock_file(Path(tempfile.gettempdir()) / "lwdash-warm.lock")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _free_mb() >= 2 * MIN_FREE_MB:
                self._first = WarmParent.start(environment, settings.logs / "warm-parent.log")
                self._watch(settings, self._first)
        except BlockingIOError:
            logger.debug("another process of this host keeps the warm parent")
        finally:
            self._end_second()
            first, self._first = self._first, None
            if first is not None:
                first.close()
            os.close(lock)
            with self._lock:
                self._thread = None

    def _watch(self, settings: Settings, first: WarmParent) -> None:
        """Return when the warm parents have ended or are no longer needed."""
        with contextlib.ExitStack() as imports:
            importing = [imports.enter_context(_Importing(first))]
            while not self._stop.wait(POLL_SECONDS if first.ready.is_set() else STARTING_POLL_SECONDS):
                for each in importing:
                    each.make_way()
                if first.gone.is_set() or (self._second is not None and self._second.gone.is_set()):
                    return
                is_over = self._is_over(settings, self._second or first)
                is_wanted = time.monotonic() < self._tensorflow_until and not is_over
                if self._second is None and is_wanted and first.ready.is_set():
                    self._second = first.fork_second()
                    if self._second is not None:
                        importing.append(imports.enter_context(_Importing(self._second)))
                elif self._second is not None and not is_wanted and self._second.retire():
                    self._end_second()
                if is_over and first.retire():
                    return

    def _end_second(self) -> None:
        second, self._second = self._second, None
        if second is not None:
            second.close()

    def _is_over(self, settings: Settings, newest: WarmParent) -> bool:
        if time.monotonic() > self._wanted_until:
            return True
        with contextlib.suppress(psutil.Error):
            memory_mb = psutil.Process(newest.pid).memory_info().rss >> 20
            return memory_mb > settings.job_memory or _free_mb() < MIN_FREE_MB
        return True


class _Importing:
    """The place of a warm parent on the host while it imports: it is paused while a step needs the host alone."""

    def __init__(self, parent: WarmParent):
        self._parent = parent

    def __enter__(self) -> "_Importing":
        self._place = Place()
        if not self._place.take():
            self._parent.pause()
        return self

    def __exit__(self, *error: object) -> None:
        self._place.close()

    def make_way(self) -> None:
        """Pause or resume the warm parent, if a step needs the host or has left it."""
        if self._parent.ready.is_set():
            if self._parent.is_paused:  # it became ready at the moment in which it was paused
                self._parent.resume()
            self._place.leave()
        elif self._parent.is_paused and self._place.take():
            self._parent.resume()
        elif not self._parent.is_paused and self._place.is_wanted():
            self._parent.pause()
            self._place.leave()


def _free_mb() -> int:
    return psutil.virtual_memory().available >> 20


KEEPER = WarmKeeper()
"""The keeper of this process."""
