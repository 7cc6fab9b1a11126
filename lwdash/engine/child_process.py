"""One child process: started in its own session, watched, limited, and always ended."""

import contextlib
import errno
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from lwdash.child.link import LINK_FD
from lwdash.engine.room import Place
from lwdash.engine.scratch import private, working_folder
from lwdash.engine.warm_child import KEEPER, ForkedChild
from lwdash.process_lifetime import CAN_BE_PAUSED, DIES_WITH_PARENT
from lwdash.settings import PROJECT, Settings

logger = logging.getLogger(__name__)

POLL_S = 0.1
GRACE_S = 3.0
BACKGROUND_NICENESS = 5
"""Gets about a third of the processor time of an equally busy process beside it."""
WORKER = ("-m", "lwdash.child")
PROGRAM: tuple[str, ...] = WORKER
HAS_CHILDREN_LISTED = Path(f"/proc/self/task/{os.getpid()}/children").exists()
PASSED_ON = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SYSTEMROOT")
PASSED_ON_PREFIXES = ("OPENBLAS_", "OMP_", "MKL_")
NEEDS_TENSORFLOW = ("compress",)
"""Steps that may need TensorFlow."""

Process = subprocess.Popen[bytes] | ForkedChild

Handler = Callable[[dict[str, Any]], dict[str, Any] | None]
"""Receives a message of the child. Its return value is sent as the reply; None sends nothing."""


@dataclass(frozen=True)
class Ended:
    """End of a child: `reason` is why it was stopped from outside, or None."""

    returncode: int
    reason: str | None

    @property
    def message(self) -> str:
        """Message for users."""
        if self.reason:
            return self.reason
        if self.returncode < 0:
            return signal_message(-self.returncode)
        return f"the process ended with exit code {self.returncode}"


CRASHES = frozenset({"SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGSYS", "SIGTRAP"})
"""Signals that a process causes itself."""


def signal_message(number: int) -> str:
    """Message on who ended a process by this signal, and what to do."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if name in CRASHES:
        return f"the process was ended by {name}, probably in native code of TensorFlow or LiteRT"
    if name == "SIGKILL":
        return (
            "the process was killed (SIGKILL), probably by the system because memory ran out. Free "
            "memory or start fewer runs at once, then start it again"
        )
    if name == "SIGXCPU":
        return "the process was ended by SIGXCPU: it used all the processor time that one job may take"
    return f"the process was ended from outside ({name}). Start it again"


def run_child(
    arguments: Sequence[str],
    *,
    scratch: Path,
    log: Path,
    handlers: Mapping[str, Handler],
    watch: Callable[[int], str | None],
    place: Place | None = None,
    variables: Mapping[str, str] | None = None,
    is_background: bool = False,
    needs_tensorflow: bool = False,
    gone: threading.Event | None = None,
) -> Ended:
    """Run `python -m lwdash.child ARGUMENTS` to its end and handle its messages.

    scratch: a folder in which the child gets an empty working directory, removed afterwards.
    watch(memory_mb): called ten times a second; a returned text ends the child with that reason: SIGTERM,
    then SIGKILL after 3 s. The whole process group is ended, also when this call raises.
    variables: added to its environment; then it is started anew, not forked, since libraries read some at import.
    gone: set when the process has ended, before its last messages are handled, also when this call raises.
    place: held by the caller; the child is paused while another step needs the host alone.
    needs_tensorflow: it probably does; then a warm parent that is still importing TensorFlow is waited for.
    is_background: it has low processor priority, so that pages and short steps stay responsive.
    """
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    place = place if CAN_BE_PAUSED else None
    with working_folder(scratch) as folder:
        read, write = os.pipe()
        with open(log, "ab", opener=private) as output:
            environment = {**_environment(folder), **(variables or {}), DIES_WITH_PARENT: "1"}
            process: Process = (
                None
                if variables
                else _forked(arguments, folder, environment, write, output, tensorflow=needs_tensorflow)
            ) or subprocess.Popen(
                [sys.executable, *PROGRAM, *arguments],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                cwd=folder,
                env={**environment, LINK_FD: str(write)},
                pass_fds=(write,),
                start_new_session=True,
            )
        os.close(write)
        if is_background:
            with contextlib.suppress(ProcessLookupError):
                os.setpriority(os.PRIO_PROCESS, process.pid, BACKGROUND_NICENESS)
        faults: list[str] = []
        server = threading.Thread(target=_serve, args=(read, process, handlers, faults), daemon=True)
        server.start()
        try:
            ended = Ended(*_wait(process, lambda memory_mb: "".join(faults) or watch(memory_mb), place))
        finally:
            _kill(process, signal.SIGKILL)
            process.wait()
            if gone is not None:
                gone.set()
            server.join(timeout=10)
            if process.stdin:
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.close()
        return ended


def keep_warm(settings: Settings, *, tensorflow: bool = True) -> None:
    """Keep processes with the libraries imported ready for the next minutes, from which children are forked.

    tensorflow: one of them has TensorFlow; see `WarmKeeper.want`.
    """
    if PROGRAM == WORKER:
        KEEPER.want(settings, _environment(settings.scratch), tensorflow=tensorflow)


def _forked(
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    link: int,
    log: IO[bytes],
    *,
    tensorflow: bool,
) -> ForkedChild | None:
    """A child of a warm parent; None where there is none."""
    parent = KEEPER.parent(tensorflow=tensorflow) if PROGRAM == WORKER else None
    if parent is None:
        return None
    return parent.fork(arguments, folder=folder, environment=environment, link=link, log=log)


def _environment(folder: Path) -> dict[str, str]:
    """Only the parent's environment variables that programs need to start: no secrets."""
    kept = {k: v for k, v in os.environ.items() if k in PASSED_ON or k.startswith(PASSED_ON_PREFIXES)}
    return {
        **kept,
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "PYTHONPATH": str(PROJECT),
        "PYTHONUNBUFFERED": "1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "CUDA_VISIBLE_DEVICES": "-1",
        "KERAS_BACKEND": "tensorflow",
    }


def _wait(
    process: Process,
    watch: Callable[[int], str | None],
    place: Place | None,
) -> tuple[int, str | None]:
    reason: str | None = None
    asked_at = 0.0
    is_paused = False
    while True:
        try:
            return process.wait(timeout=POLL_S), reason
        except subprocess.TimeoutExpired:
            if reason is None:
                reason = watch(_memory_mb(process.pid))
                if reason:
                    for number in (signal.SIGTERM, signal.SIGCONT):
                        _kill(process, number)
                    asked_at = time.monotonic()
                elif place is not None:
                    is_paused = _make_way(process, place, is_paused)
            elif time.monotonic() - asked_at > GRACE_S:
                _kill(process, signal.SIGKILL)


def _make_way(process: Process, place: Place, is_paused: bool) -> bool:
    """Pause the child's group while another step needs the host alone; return True if it is paused now."""
    if is_paused and place.take():
        _kill(process, signal.SIGCONT)
        return False
    if not is_paused and place.is_wanted():
        _kill(process, signal.SIGSTOP)
        place.leave()
        return True
    return is_paused


def _serve(read: int, process: Process, handlers: Mapping[str, Handler], faults: list[str]) -> None:
    """Handle messages until the child's end of the pipe closes. A handler that fails ends the child."""
    with os.fdopen(read, "r") as messages:
        for line in messages:
            try:
                message = json.loads(line)
                reply = handlers[message.pop("what")](message)
            except Exception as error:
                logger.exception("a message of the child could not be handled")
                faults.append(f"its result could not be stored: {_error_message(error)}")
                return
            if reply is not None and process.stdin:
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.write(json.dumps(reply).encode() + b"\n")
                    process.stdin.flush()


def _error_message(error: Exception) -> str:
    is_full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if is_full or "disk is full" in str(error):
        return (
            "No space left on device. Free some space (`python -m lwdash gc --dry-run` lists what can be "
            "removed) and start it again"
        )
    return str(error)


def _memory_mb(pid: int) -> int:
    """Resident memory of a process and its descendants, in megabytes."""
    total = 0
    for found in (pid, *_descendants(pid)):
        with contextlib.suppress(psutil.Error):
            total += psutil.Process(found).memory_info().rss
    return total >> 20


def _descendants(pid: int) -> Iterator[int]:
    """Descendants from the kernel's list of children where it exists; otherwise psutil searches all processes
    of the host.
    """
    if not HAS_CHILDREN_LISTED:
        with contextlib.suppress(psutil.Error):
            yield from (child.pid for child in psutil.Process(pid).children(recursive=True))
        return
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                yield child
                yield from _descendants(child)


def _kill(process: Process, number: signal.Signals) -> None:
    """Send a signal to the child's whole group, which outlives the child if it started other processes."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
