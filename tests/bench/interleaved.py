"""Latencies of several files that can be compared with each other: measured in rotation, in fresh interpreters."""

import gc
import time
from collections.abc import Mapping

import numpy as np

from lwdash.measure.runner import Runner

SESSIONS = 3
WARM_UP = 5
MIN_ROUNDS = 7


def interleaved_milliseconds(
    files: Mapping[str, bytes], rows: Mapping[str, np.ndarray], *, threads: int, seconds: float
) -> dict[str, float]:
    """The median of every file on the first of `rows`, A B C A B C …, in SESSIONS with fresh interpreters.

    seconds: of all sessions together; each has at least MIN_ROUNDS. Returns the median of the sessions' medians: where an
    interpreter's memory happens to lie moves its time by several percent.
    """
    medians: dict[str, list[float]] = {name: [] for name in files}
    for session in range(SESSIONS):
        names = list(files)[session % len(files) :] + list(files)[: session % len(files)]
        runners = {}
        for name in names:
            runners[name] = Runner(files[name], threads=threads)
            runners[name].prepare_row(rows)
            for _ in range(WARM_UP):
                runners[name].interpreter.invoke()
        samples: dict[str, list[int]] = {name: [] for name in names}
        until = time.perf_counter() + seconds / SESSIONS
        gc.disable()
        try:
            while len(samples[names[0]]) < MIN_ROUNDS or time.perf_counter() < until:
                for name in names:
                    start = time.perf_counter_ns()
                    runners[name].interpreter.invoke()
                    samples[name].append(time.perf_counter_ns() - start)
        finally:
            gc.enable()
        for name, found in samples.items():
            medians[name].append(1e-6 * float(np.median(found)))
    return {name: float(np.median(found)) for name, found in medians.items()}
