"""One session of a latency measurement: a process of its own, in which some files take turns."""

from __future__ import annotations

import contextlib
import gc
import math
import os
import pickle
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lwdash.errors import ConversionFailed, LwdashError
from lwdash.measure.runner import Runner
from lwdash.tflite.reader import read_tflite

WARM_UP = 10
WARM_UP_SECONDS = 0.01
SESSION_SECONDS = 0.01
"""Time of a session for each of its files."""
MIN_TURNS = 5
PATIENCE = 4
"""Longest session, in multiples of `SESSION_SECONDS`, where turns are disturbed."""
TURN_NS = 200_000
"""A turn of a fast file goes on for so long."""
MAX_IN_A_TURN = 10
COLD_NS = 2_000_000
"""A file that takes less than this has one more inference before each turn, which is not timed: the files before it
had the caches."""
# A turn was disturbed where it took that much longer than the thread has worked: 3 % and 5 µs.
PREEMPTED = 0.03
PREEMPTED_NS = 5000

Times = dict[str, list[int]]


@dataclass(frozen=True)
class Session:
    """Nanoseconds of each timed inference, by file; starts_ms: (load, first inference, both) of each file.

    errors: files that could not be run. Without `times`, the session's process has ended early.
    """

    times: dict[str, np.ndarray] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    starts_ms: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    errors: dict[str, LwdashError] = field(default_factory=dict)

    def log_median(self, key: str) -> float:
        return math.log(float(np.median(self.times[key])))


def warm_up(data: bytes, inputs: Mapping[str, np.ndarray], threads: int) -> None:
    """Runs a file once in this process: what LiteRT sets up once a process is then there in the forked ones."""
    runner = Runner(data, threads=threads)
    runner.prepare_row(inputs)
    runner.interpreter.invoke()


def run_session(
    files: Mapping[str, bytes], inputs: Mapping[str, np.ndarray], *, threads: int, until: float
) -> Session:
    """Times `files` in rotation in a forked process, at most until `until` of the performance counter.

    Each file is loaded, run once, and timed at least once. A file that ends the process is named in the errors.
    """
    reads, writes = os.pipe()
    pid = os.fork()
    if pid == 0:
        _run_in_fork(files, inputs, threads, until, reads, writes)
    os.close(writes)
    at = next(iter(files))
    with os.fdopen(reads, "rb") as messages:
        while True:
            try:
                kind, content = pickle.load(messages)
            except (EOFError, pickle.UnpicklingError):
                break
            if kind == "session":
                os.waitpid(pid, 0)
                return content  # type: ignore[no-any-return]
            at = content
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    words = f"the process that measures the latency was ended {how} while it ran this .tflite"
    return Session(errors={at: ConversionFailed(words)})


def _run_in_fork(
    files: Mapping[str, bytes],
    inputs: Mapping[str, np.ndarray],
    threads: int,
    until: float,
    reads: int,
    writes: int,
) -> None:
    """The forked process, which does not return."""
    code = 1
    try:
        os.close(reads)
        gc.disable()
        with os.fdopen(writes, "wb") as messages:

            def tell(kind: str, content: object) -> None:
                pickle.dump((kind, content), messages)
                messages.flush()

            tell("session", _session(files, inputs, threads, until, lambda key: tell("at", key)))
        code = 0
    except BaseException:
        import traceback

        with contextlib.suppress(OSError):
            traceback.print_exc()
    finally:
        os._exit(code)


def _session(
    files: Mapping[str, bytes],
    inputs: Mapping[str, np.ndarray],
    threads: int,
    until: float,
    tell_at: Callable[[str], None],
) -> Session:
    runners: dict[str, Runner] = {}
    starts: dict[str, tuple[float, float, float]] = {}
    errors: dict[str, LwdashError] = {}
    for key, data in files.items():
        tell_at(key)
        facts = read_tflite(data)
        try:
            start = time.perf_counter()
            runner = Runner(data, threads=threads, facts=facts)
            runner.prepare_row(inputs)
            loaded = time.perf_counter()
            runner.interpreter.invoke()
            end = time.perf_counter()
        except LwdashError as error:
            errors[key] = error
        except (RuntimeError, ValueError) as error:
            errors[key] = ConversionFailed(f"LiteRT failed at the first inference: {error}")
        else:
            runners[key] = runner
            starts[key] = 1e3 * (loaded - start), 1e3 * (end - loaded), 1e3 * (end - start)
    invokes = {key: runner.interpreter.invoke for key, runner in runners.items()}
    times, left_out = take_turns(invokes, until, is_alone=threads == 1)
    return Session(times, left_out, starts, errors)


def take_turns(
    invokes: Mapping[str, Callable[[], None]], until: float, *, is_alone: bool
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Nanoseconds of each timed call by key, and how many were left out, after calling all in turns.

    A turn in which another process took the core is left out: there the time that passed is more than this thread has
    worked. Where that hits nearly all turns of a file none is left out, nor where the work is not this thread's alone.
    """
    clock = time.perf_counter_ns
    last = int(1e9 * until)
    for invoke in invokes.values():
        warm = clock() + int(1e9 * WARM_UP_SECONDS)
        for _ in range(WARM_UP):
            if clock() > min(last, warm):
                break
            invoke()
    taken: dict[str, list[tuple[Sequence[int], bool]]] = {key: [] for key in invokes}
    began = clock()
    enough = began + int(1e9 * SESSION_SECONDS) * len(invokes)
    patience = began + PATIENCE * int(1e9 * SESSION_SECONDS) * len(invokes)
    while invokes:
        for key, invoke in invokes.items():
            before = taken[key]
            if before and before[-1][0][-1] < COLD_NS:
                invoke()
            worked = time.thread_time_ns()
            start = now = clock()
            turn: list[int] = []
            while not turn or (now - start < TURN_NS and len(turn) < MAX_IN_A_TURN):
                invoke()
                end = clock()
                turn.append(end - now)
                now = end
            worked = time.thread_time_ns() - worked
            away = now - start - worked
            before.append((turn, not is_alone or away <= PREEMPTED_NS + PREEMPTED * (now - start)))
        rounds = len(before)
        calm = min(sum(is_calm for _, is_calm in turns) for turns in taken.values())
        if now >= last or (rounds >= MIN_TURNS and now >= (enough if calm >= MIN_TURNS else patience)):
            break
    times, left_out = {}, {}
    for key, turns in taken.items():
        kept = [turn for turn, is_calm in turns if is_calm]
        if len(kept) < MIN_TURNS:
            kept = [turn for turn, _ in turns]
        times[key] = np.concatenate([np.asarray(turn, np.float64) for turn in kept])
        left_out[key] = sum(len(turn) for turn, _ in turns) - len(times[key])
    return times, left_out
