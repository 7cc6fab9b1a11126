"""One session of a latency measurement: a forked process that runs several files interleaved.

The standard library and numpy only: devices run it too.
"""

from __future__ import annotations

import contextlib
import gc
import math
import os
import pickle
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lwdash.measure.timing.interleaved import time_interleaved
from lwdash.process_lifetime import die_with_parent

Invoke = Callable[[], None]


@dataclass(frozen=True)
class Session:
    """Nanoseconds of each timed inference, by file; starts_ms: (load, first inference, both) of each file.

    errors: files that could not be run. ended: for a file that ended the process, the way in which it ended. If `times`
    is empty, the session's process ended early.
    """

    times: dict[str, np.ndarray] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    starts_ms: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    errors: dict[str, Exception] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)

    def log_median(self, key: str) -> float:
        return math.log(float(np.median(self.times[key])))


def fork_session(loaders: Mapping[str, Callable[[], Invoke]], *, until: float, is_alone: bool) -> Session:
    """Time files in rotation in a forked process, at most until `until` of the performance counter.

    loaders: file → a function that loads it with its inputs and returns its inference, in the order of the rotation.
    Each file is loaded, run once, and timed at least once. is_alone: no other thread does part of the work.
    """
    at = [next(iter(loaders))]

    def body(send: Callable[[Any], None]) -> Session:
        return _session(loaders, until, is_alone, send)

    session, how = in_fork(body, at.append)
    return session if how is None else Session(ended={at[-1]: how})


def in_fork(
    body: Callable[[Callable[[Any], None]], Any], received: Callable[[Any], object] = lambda content: None
) -> tuple[Any, str | None]:
    """The result of `body(send)` in a forked process, and None; or None and the way in which the process ended.

    received: called here with what `body` sends before its end.
    """
    reads, writes = os.pipe()
    pid = os.fork()
    if pid == 0:
        _run_in_fork(body, reads, writes)
    os.close(writes)
    with os.fdopen(reads, "rb") as messages:
        while True:
            try:
                kind, content = pickle.load(messages)
            except (EOFError, pickle.UnpicklingError):
                break
            if kind == "result":
                os.waitpid(pid, 0)
                return content, None
            received(content)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return None, ending(code)


def ending(code: int) -> str:
    """`by SIGSEGV` or `with exit code 1`, for a return code of subprocess."""
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"


def _run_in_fork(body: Callable[[Callable[[Any], None]], Any], reads: int, writes: int) -> None:
    """Body of the forked process; it does not return."""
    code = 1
    try:
        die_with_parent()  # some files make the interpreter loop for ever
        os.close(reads)
        gc.disable()
        with os.fdopen(writes, "wb") as messages:

            def send(kind: str, content: object) -> None:
                pickle.dump((kind, content), messages)
                messages.flush()

            send("result", body(lambda content: send("sent", content)))
        code = 0
    except BaseException:
        import traceback

        with contextlib.suppress(OSError):
            traceback.print_exc()
    finally:
        os._exit(code)


def _session(
    loaders: Mapping[str, Callable[[], Invoke]], until: float, is_alone: bool, send: Callable[[str], None]
) -> Session:
    invokes: dict[str, Invoke] = {}
    starts: dict[str, tuple[float, float, float]] = {}
    errors: dict[str, Exception] = {}
    for key, load in loaders.items():
        send(key)
        try:
            start = time.perf_counter()
            invoke = load()
            loaded = time.perf_counter()
            invoke()
            end = time.perf_counter()
        except Exception as error:
            errors[key] = error
        else:
            invokes[key] = invoke
            starts[key] = 1e3 * (loaded - start), 1e3 * (end - loaded), 1e3 * (end - start)
    times, left_out = time_interleaved(invokes, until, is_alone=is_alone)
    return Session(times, left_out, starts, errors)
