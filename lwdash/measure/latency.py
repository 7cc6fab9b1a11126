"""How long an inference takes, interleaved with the baseline in one process until the ratio is known."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lwdash.measure.runner import Runner
from lwdash.measure.tflite_file import TfliteFacts, read_tflite

_WARM_UP = 10
_WARM_UP_SECONDS = 0.02
_SESSIONS = 8
_SESSION_SECONDS = 0.015
_SESSION_PATIENCE = 0.06
_SESSION_PAIRS = 7
# A pair was disturbed where it took that much longer than the thread has worked: 3 % and 5 µs.
_PREEMPTED = 0.03
_PREEMPTED_NS = 5000
_PAIRS_AT_LEAST = 50
_NARROW = 0.03
# 97.5 % point of Student's t over that of the normal distribution, by number of sessions: few sessions vary
# more than resampling them shows.
_FEW_SESSIONS = {
    4: 1.62,
    5: 1.42,
    6: 1.31,
    7: 1.25,
    8: 1.21,
    9: 1.18,
    10: 1.15,
    12: 1.12,
    16: 1.09,
    24: 1.06,
    48: 1.03,
}


@dataclass(frozen=True)
class Latency:
    """Milliseconds an inference. speedup: median of the baseline / median of the run, with its 95 % interval.

    pairs: how many it was taken from; left_out: how many more were disturbed by another process on the core.
    load_ms: construct the interpreter and allocate its tensors, which packs the weights for the fast kernels.
    first_ms: the first inference after that. cold_ms: both. All medians over the sessions, each with fresh
    interpreters; the library itself is already loaded.
    """

    ms_p50: float
    ms_p90: float
    ms_p99: float
    baseline_ms_p50: float
    baseline_ms_p90: float
    baseline_ms_p99: float
    speedup: float
    speedup_ci: tuple[float, float] | None
    pairs: int
    left_out: int
    sessions: int
    seconds: float
    is_narrow: bool
    load_ms: float
    first_ms: float
    cold_ms: float
    baseline_load_ms: float
    baseline_first_ms: float
    baseline_cold_ms: float

    KEYS: ClassVar[dict[str, str]] = {
        "latency_ms_p50": "ms_p50",
        "latency_ms_p90": "ms_p90",
        "latency_ms_p99": "ms_p99",
        "baseline_latency_ms_p50": "baseline_ms_p50",
        "baseline_latency_ms_p90": "baseline_ms_p90",
        "baseline_latency_ms_p99": "baseline_ms_p99",
        "speedup": "speedup",
        "speedup_ci": "speedup_ci",
        "latency_pairs": "pairs",
        "latency_pairs_left_out": "left_out",
        "latency_sessions": "sessions",
        "latency_seconds": "seconds",
        "latency_is_narrow": "is_narrow",
        "load_ms": "load_ms",
        "first_ms": "first_ms",
        "cold_start_ms": "cold_ms",
        "baseline_load_ms": "baseline_load_ms",
        "baseline_first_ms": "baseline_first_ms",
        "baseline_cold_start_ms": "baseline_cold_ms",
    }

    def to_dict(self) -> dict[str, Any]:
        values = {key: getattr(self, name) for key, name in self.KEYS.items()}
        return {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}


def compare_latency(
    run: bytes, baseline: bytes, inputs: Mapping[str, np.ndarray], *, threads: int = 1, seconds: float = 2.0
) -> Latency:
    """Time `run` against `baseline` on the first row of `inputs`, interleaved: A B A B.

    The pairs are taken in sessions, each with fresh interpreters, the run first in one and the baseline in
    the next: where an interpreter's memory happens to lie moves its time by several percent, for models that
    fill the cache by far more, and a single interpreter would measure its own luck. Stops when
    the interval of the ratio is narrower than ±3 % (after 50 pairs and 8 sessions), or after `seconds`; one
    pair is always taken.
    """
    facts, baseline_facts = read_tflite(run), read_tflite(baseline)
    sessions: list[np.ndarray] = []
    starts: list[tuple[tuple[float, ...], tuple[float, ...]]] = []
    began = time.perf_counter()
    interval, is_narrow, left_out = None, False, 0
    was_collecting = gc.isenabled()
    gc.disable()
    try:
        while not is_narrow and (not sessions or time.perf_counter() - began < seconds):
            is_run_first = len(sessions) % 2 == 0
            first, second = (run, facts), (baseline, baseline_facts)
            if not is_run_first:
                first, second = second, first
            ours, theirs = _start(*first, inputs, threads), _start(*second, inputs, threads)
            times, disturbed = _session(
                ours.runner.interpreter.invoke,
                theirs.runner.interpreter.invoke,
                began + seconds,
                is_alone=threads == 1,
            )
            left_out += disturbed
            sessions.append(times if is_run_first else times[:, ::-1])
            pair = ours.times_ms, theirs.times_ms
            starts.append(pair if is_run_first else pair[::-1])
            enough = len(sessions) >= _SESSIONS and sum(map(len, sessions)) >= _PAIRS_AT_LEAST
            if enough and not is_run_first:
                interval = ratio_interval(sessions)
                is_narrow = _is_narrow(interval)
    finally:
        if was_collecting:
            gc.enable()
    if not is_narrow:
        interval = ratio_interval(sessions)
    times = np.concatenate(sessions)
    ours_ms, base_ms = ((1e-6 * np.quantile(times[:, side], [0.5, 0.9, 0.99])).tolist() for side in (0, 1))
    (load_ms, first_ms, cold_ms), baseline_start_ms = np.median(starts, axis=0).tolist()
    return Latency(
        ms_p50=ours_ms[0],
        ms_p90=ours_ms[1],
        ms_p99=ours_ms[2],
        baseline_ms_p50=base_ms[0],
        baseline_ms_p90=base_ms[1],
        baseline_ms_p99=base_ms[2],
        speedup=base_ms[0] / ours_ms[0],
        speedup_ci=interval,
        pairs=len(times),
        left_out=left_out,
        sessions=len(sessions),
        seconds=time.perf_counter() - began,
        is_narrow=_is_narrow(interval),
        load_ms=load_ms,
        first_ms=first_ms,
        cold_ms=cold_ms,
        baseline_load_ms=baseline_start_ms[0],
        baseline_first_ms=baseline_start_ms[1],
        baseline_cold_ms=baseline_start_ms[2],
    )


def ratio_interval(sessions: Sequence[np.ndarray], *, seed: int = 0) -> tuple[float, float] | None:
    """95 % bootstrap interval of the ratio of medians, second column over first; None below six pairs.

    sessions: arrays (pairs, 2), each in the order taken. Sessions are resampled, and within each the pairs in
    blocks of n^(1/3) neighbours (Hall, Horowitz and Jing, Biometrika 82, 1995), since a disturbance of the
    machine lasts longer than one pair. Fewer than four sessions count as one.
    """
    if len(sessions) < 4:
        sessions = [np.concatenate(list(sessions))]
    total = sum(map(len, sessions))
    if total < 6:
        return None
    resamples = int(np.clip(2_000_000 // total, 200, 1000))
    ratios = _resampled_ratios(sessions, resamples, np.random.default_rng(seed))
    if len(sessions) == 1:
        low, high = np.quantile(ratios, [0.025, 0.975])
        return float(low), float(high)
    factor = next((f for count, f in reversed(_FEW_SESSIONS.items()) if len(sessions) >= count), 1.0)
    factor *= math.sqrt(len(sessions) / (len(sessions) - 1))
    centre = math.log(_median_ratio(np.concatenate(list(sessions))))
    low, high = np.quantile(np.log(ratios), [0.025, 0.975])
    return math.exp(centre + factor * (low - centre)), math.exp(centre + factor * (high - centre))


def _median_ratio(times: np.ndarray) -> float:
    ours, base = np.median(times, axis=0)
    return float(base / ours)


def _resampled_ratios(
    sessions: Sequence[np.ndarray], resamples: int, generator: np.random.Generator
) -> np.ndarray:
    """Ratio of medians of `resamples` samples, each of as many sessions, and of each session as many blocks."""
    times = np.concatenate(list(sessions))
    lengths = np.array([len(session) for session in sessions])
    offsets = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    size = max(1, round(float(lengths.min()) ** (1 / 3)))
    blocks = math.ceil(lengths.mean() / size)
    at_once = int(np.clip(1_000_000 // len(times), 1, resamples))
    ratios = []
    for _ in range(0, resamples, at_once):
        chosen = generator.integers(0, len(sessions), (at_once, len(sessions), 1))
        within = generator.random((at_once, len(sessions), blocks)) * (lengths[chosen] - size + 1)
        starts = (offsets[chosen] + within.astype(np.int64))[..., None]
        middles = np.median(times[(starts + np.arange(size)).reshape(at_once, -1)], axis=1)
        ratios.append(middles[:, 1] / middles[:, 0])
    return np.concatenate(ratios)[:resamples]


def _is_narrow(interval: tuple[float, float] | None) -> bool:
    return interval is not None and interval[1] - interval[0] <= _NARROW * (interval[0] + interval[1])


def _session(
    invoke_first: Callable[[], None], invoke_second: Callable[[], None], until: float, *, is_alone: bool
) -> tuple[np.ndarray, int]:
    """Nanoseconds (first, second) of each pair, (pairs, 2): at least 7 pairs and 15 ms, or up to `until`.

    And how many pairs were left out: where another process took the core in between, the time that passed is more
    than this thread has worked, and the pair says nothing of the models. Where that hits nearly all, none is left out,
    nor where the work is not this thread's alone.
    """
    clock = time.perf_counter_ns
    last = int(1e9 * until)
    warm = clock() + int(1e9 * _WARM_UP_SECONDS)
    for _ in range(_WARM_UP):
        invoke_first()
        invoke_second()
        if clock() > min(last, warm):
            break
    taken: list[tuple[int, int]] = []
    is_calm: list[bool] = []
    enough = clock() + int(1e9 * _SESSION_SECONDS)
    patience = clock() + int(1e9 * _SESSION_PATIENCE)
    while True:
        worked = time.thread_time_ns()
        start = clock()
        invoke_first()
        middle = clock()
        invoke_second()
        end = clock()
        worked = time.thread_time_ns() - worked
        taken.append((middle - start, end - middle))
        away = end - start - worked
        is_calm.append(not is_alone or away <= _PREEMPTED_NS + _PREEMPTED * (end - start))
        is_enough = end >= enough and sum(is_calm) >= _SESSION_PAIRS
        if end >= last or is_enough or (end >= patience and len(taken) >= _SESSION_PAIRS):
            break
    times = np.asarray(taken, np.float64)
    calm = times[is_calm] if sum(is_calm) >= _SESSION_PAIRS else times
    return calm, len(times) - len(calm)


@dataclass(frozen=True)
class _Started:
    """A runner that has answered once, and how long that took: (load, first inference, both), in ms."""

    runner: Runner
    times_ms: tuple[float, float, float]


def _start(data: bytes, facts: TfliteFacts, inputs: Mapping[str, np.ndarray], threads: int) -> _Started:
    """Construct, allocate, run once."""
    start = time.perf_counter()
    runner = Runner(data, threads=threads, facts=facts)
    runner.prepare_row(inputs)
    loaded = time.perf_counter()
    runner.interpreter.invoke()
    end = time.perf_counter()
    return _Started(runner, (1e3 * (loaded - start), 1e3 * (end - loaded), 1e3 * (end - start)))
