"""Latencies of files in rotation with one baseline, in fresh processes, until the ratios are precise.

The standard library and numpy only: devices run it too.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lwdash.measure.timing.forked_session import Session
from lwdash.measure.timing.ratio_interval import DRIFT, is_narrow, ratio_interval, trimmed_mean

MIN_SESSIONS = 8
SESSIONS_OF_A_BASELINE = 4
"""Sessions of a baseline that is measured alone."""
BASELINE = ""
"""The baseline's key among the files of a rotation."""


@dataclass(frozen=True)
class Latency:
    """Milliseconds per inference. speedup: latency of the baseline / latency of the run, with its 95 %
    interval.

    baseline_ms_p50: one value for all files of a rotation; ms_p50 is that value divided by the speed-up.
    pairs: timed inferences; left_out: inferences dropped because another process used the core.
    sessions: number of processes; each had fresh interpreters.
    load_ms: construct the interpreter and allocate its tensors, which packs the weights for the fast kernels.
    first_ms: the first inference after that. cold_ms: both. All are medians over the sessions; the library
    itself is already loaded.
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


class Rotation:
    """Sessions of one baseline with some files, and the latencies computed from them."""

    def __init__(self, files: Iterable[str]):
        self.files = [BASELINE, *files]
        self.errors: dict[str, Exception] = {}
        self.sessions: list[Session] = []
        self.seconds = 0.0

    def run(
        self,
        session_of: Callable[[Sequence[str], float], Session],
        seconds: float,
        progress: Callable[[float], None],
    ) -> None:
        """Run sessions until all intervals are narrow, or for `seconds`; at least one session is run.

        session_of(files, until): a session of these files in this order. Raises the error of the baseline.
        """
        began = time.perf_counter()
        wide = [key for key in self.files if key != BASELINE]
        least = MIN_SESSIONS if wide else SESSIONS_OF_A_BASELINE
        while len(self.sessions) < least or wide:
            order = [BASELINE, *wide]
            first = len(self.sessions) % len(order)
            session = session_of((*order[first:], *order[:first]), began + seconds)
            self.errors |= session.errors
            if BASELINE in self.errors:
                raise self.errors[BASELINE]
            if session.times:
                self.sessions.append(session)
            wide = [key for key in wide if key not in self.errors]
            if len(self.sessions) >= least:
                wide = [key for key in wide if not is_narrow(ratio_interval(self._log_ratios(key)))]
            progress(min(1.0, len(self.sessions) / (2 * least)))
            if self.sessions and time.perf_counter() - began >= seconds:
                break
        self.seconds = time.perf_counter() - began

    def latencies(self) -> dict[str, Latency | Exception]:
        """Latencies of all files except the baseline."""
        return {
            key: self.errors[key] if key in self.errors else self._latency(key, self._log_ratios(key))
            for key in self.files
            if key != BASELINE
        }

    def of_baseline(self) -> Latency:
        """Latency of a file that is the baseline; its speed-up is 1 by definition."""
        return self._latency(BASELINE, np.zeros(len(self.sessions)))

    def _log_ratios(self, key: str) -> np.ndarray:
        """Logarithms of (median of the baseline / median of the file), one per session that has the file."""
        return np.array([s.log_median(BASELINE) - s.log_median(key) for s in self.sessions if key in s.times])

    def _latency(self, key: str, log_ratios: np.ndarray) -> Latency:
        speedup = math.exp(trimmed_mean(log_ratios))
        interval = ratio_interval(log_ratios, drift=0.0 if key == BASELINE else DRIFT)
        base_ms = 1e-6 * math.exp(trimmed_mean(np.array([s.log_median(BASELINE) for s in self.sessions])))
        taken = [s for s in self.sessions if key in s.times]
        ours, base = (self._tails(name) for name in (key, BASELINE))
        (load, first, cold), base_start = (
            np.median([s.starts_ms[name] for s in self.sessions if name in s.times], axis=0).tolist()
            for name in (key, BASELINE)
        )
        return Latency(
            ms_p50=base_ms / speedup,
            ms_p90=base_ms / speedup * ours[0],
            ms_p99=base_ms / speedup * ours[1],
            baseline_ms_p50=base_ms,
            baseline_ms_p90=base_ms * base[0],
            baseline_ms_p99=base_ms * base[1],
            speedup=speedup,
            speedup_ci=interval,
            pairs=sum(len(s.times[key]) for s in taken),
            left_out=sum(s.left_out[key] for s in taken),
            sessions=len(taken),
            seconds=self.seconds / len(self.files),
            is_narrow=is_narrow(interval),
            load_ms=load,
            first_ms=first,
            cold_ms=cold,
            baseline_load_ms=base_start[0],
            baseline_first_ms=base_start[1],
            baseline_cold_ms=base_start[2],
        )

    def _tails(self, key: str) -> tuple[float, float]:
        """90 % and 99 % points of a file's times divided by their median, over all sessions."""
        times = np.concatenate([s.times[key] for s in self.sessions if key in s.times])
        median, p90, p99 = np.quantile(times, [0.5, 0.9, 0.99]).tolist()
        return p90 / median, p99 / median
