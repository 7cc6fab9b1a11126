"""Calls of several files timed in turns. The standard library and numpy only: devices run it too."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

WARM_UP = 10
WARM_UP_SECONDS = 0.005
SESSION_SECONDS = 0.005
"""Time of a session for each of its files."""
MIN_TURNS = 5
PATIENCE = 4
"""Longest session, in multiples of `SESSION_SECONDS`, if other processes disturb it."""
TURN_NS = 200_000
"""Duration of one turn of a fast file."""
MAX_IN_A_TURN = 10
COLD_NS = 2_000_000
"""A file faster than this has one untimed inference before each turn, because the previous files have filled
the caches.
"""
# A turn was disturbed where wall time exceeds the thread's CPU time by that much: 3 % and 5 µs.
PREEMPTED = 0.03
PREEMPTED_NS = 5000


def time_interleaved(
    invokes: Mapping[str, Callable[[], None]], until: float, *, is_alone: bool
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Nanoseconds of each timed call by key, and the number dropped, after running all calls interleaved.

    A turn is dropped if another process used the core: then wall time exceeds this thread's CPU time. If that
    affects nearly all turns of a file, none is dropped; also none if other threads do part of the work.
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
