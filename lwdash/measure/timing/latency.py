"""Latencies of files in rotation with one baseline, in fresh processes, until the ratios are known."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lwdash.errors import LwdashError
from lwdash.measure.timing.rotation import Session, run_session, warm_up

MIN_SESSIONS = 8
SESSIONS_OF_A_BASELINE = 4
"""Where nothing is compared with it."""
MAX_ROTATION_BYTES = 256 << 20
"""Files of one rotation together: all of them are loaded at once."""
MAX_ROTATION_FILES = 16
NARROW = 0.03
TRIMMED = 0.125
"""Share of the sessions left out at either end: another process may have had the core or the caches."""
MIN_SESSIONS_OF_INTERVAL = 3
DRIFT = 0.004
"""Standard deviation of a log ratio between measurements of the same files, which no measurement sees in its own sessions:
they share its second. Measured on a virtual machine of two cores as what remains after 40 sessions: 0.24 to 0.63 %, no
less with all sessions forked from one process."""


@dataclass(frozen=True)
class Latency:
    """Milliseconds an inference. speedup: latency of the baseline / latency of the run, with its 95 % interval.

    baseline_ms_p50: one value for all files of a rotation; ms_p50 is that value over the speed-up.
    pairs: timed inferences; left_out: those left out, since another process had the core meanwhile.
    sessions: processes in which they were timed, each with fresh interpreters.
    load_ms: construct the interpreter and allocate its tensors, which packs the weights for the fast kernels.
    first_ms: the first inference after that. cold_ms: both. All medians over the sessions; the library itself is
    already loaded.
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
    """Latency of `run` against `baseline`. Raises LwdashError where LiteRT cannot run it."""
    (found,) = measure_latencies([run], baseline, inputs, threads=threads, seconds=seconds).values()
    if isinstance(found, LwdashError):
        raise found
    return found


def measure_latencies(
    files: Sequence[bytes],
    baseline: bytes,
    inputs: Mapping[str, np.ndarray],
    *,
    threads: int = 1,
    seconds: float = 2.0,
    progress: Callable[[float], None] = lambda share: None,
) -> dict[str, Latency | LwdashError]:
    """Latencies of `files` on the first row of `inputs`, by `digest`, all against the same `baseline`.

    Where the memory of an interpreter lies moves its time by several percent, and a new process moves it again. So
    each session is a process of its own, in which baseline and files take turns (A B C A B C …), and the sessions are the
    sample that the intervals are computed from. Stops when each interval is narrower than ±3 %, after at least eight
    sessions, or after `seconds` a file; one session is always run.
    A file that LiteRT cannot run, or that ends its process, has its error instead of a latency.
    """
    warm_up(baseline, inputs, threads)
    found: dict[str, Latency | LwdashError] = {}
    others = {digest(data): data for data in files if data != baseline}
    groups = _groups(others, MAX_ROTATION_BYTES - len(baseline))
    for number, group in enumerate(groups):
        rotation = _Rotation(baseline, group)
        rotation.run(
            inputs,
            threads,
            seconds * max(1, len(group)),
            lambda share, number=number: progress((number + share) / len(groups)),  # type: ignore[misc]
        )
        found |= rotation.latencies()
    same = {digest(data) for data in files} - found.keys()
    if same and not groups:
        rotation = _Rotation(baseline, {})
        rotation.run(inputs, threads, seconds, progress)
        found |= dict.fromkeys(same, rotation.of_baseline())
    elif same:
        found |= dict.fromkeys(same, rotation.of_baseline())
    return {digest(data): found[digest(data)] for data in files}


def digest(data: bytes) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(data).hexdigest()


def _groups(files: Mapping[str, bytes], room_bytes: int) -> list[dict[str, bytes]]:
    """Files that fit into one rotation, in their order."""
    groups: list[dict[str, bytes]] = []
    used = 0
    for key, data in files.items():
        if not groups or len(groups[-1]) == MAX_ROTATION_FILES or used + len(data) > room_bytes:
            groups.append({})
            used = 0
        groups[-1][key] = data
        used += len(data)
    return groups


BASELINE = ""
"""The baseline's key among the files of a rotation."""


class _Rotation:
    """Sessions of one baseline with some files, and what follows from them."""

    def __init__(self, baseline: bytes, files: Mapping[str, bytes]):
        self.files = {BASELINE: baseline, **files}
        self.errors: dict[str, LwdashError] = {}
        self.sessions: list[Session] = []
        self.seconds = 0.0

    def run(
        self,
        inputs: Mapping[str, np.ndarray],
        threads: int,
        seconds: float,
        progress: Callable[[float], None],
    ) -> None:
        """Runs sessions until all intervals are narrow, or for `seconds`."""
        began = time.perf_counter()
        wide = [key for key in self.files if key != BASELINE]
        least = MIN_SESSIONS if wide else SESSIONS_OF_A_BASELINE
        while len(self.sessions) < least or wide:
            order = [BASELINE, *wide]
            first = len(self.sessions) % len(order)
            session = run_session(
                {key: self.files[key] for key in (*order[first:], *order[:first])},
                inputs,
                threads=threads,
                until=began + seconds,
            )
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

    def latencies(self) -> dict[str, Latency | LwdashError]:
        """Of each file but the baseline."""
        return {
            key: self.errors[key] if key in self.errors else self._latency(key, self._log_ratios(key))
            for key in self.files
            if key != BASELINE
        }

    def of_baseline(self) -> Latency:
        """Of a file that is the baseline: as fast as itself by definition."""
        return self._latency(BASELINE, np.zeros(len(self.sessions)))

    def _log_ratios(self, key: str) -> np.ndarray:
        """Logarithms of (median of the baseline / median of the file), one a session that has the file."""
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
        """90 % and 99 % points of a file's times over their median, all sessions together."""
        times = np.concatenate([s.times[key] for s in self.sessions if key in s.times])
        median, p90, p99 = np.quantile(times, [0.5, 0.9, 0.99]).tolist()
        return p90 / median, p99 / median


def trimmed_mean(values: np.ndarray) -> float:
    """Mean without the `TRIMMED` share of the smallest and of the largest values."""
    cut = int(TRIMMED * len(values))
    return float(np.sort(values)[cut : len(values) - cut].mean())


def ratio_interval(log_ratios: np.ndarray, *, drift: float = DRIFT) -> tuple[float, float] | None:
    """95 % interval of a ratio from its logarithm in each session, (sessions,); None below three sessions.

    A session is a process: its value holds what varies within and between processes. Student's t for a trimmed mean,
    with the winsorized variance (Tukey and McLaughlin, Sankhya A 25, 1963). Added in squares is what varies between
    measurements, of standard deviation `drift`.
    """
    from scipy import stats

    count = len(log_ratios)
    if count < MIN_SESSIONS_OF_INTERVAL:
        return None
    cut = int(TRIMMED * count)
    ordered = np.sort(log_ratios)
    winsorized = np.clip(ordered, ordered[cut], ordered[count - 1 - cut])
    kept = count - 2 * cut
    error = float(winsorized.std(ddof=1)) * math.sqrt(count - 1) / math.sqrt(kept * (kept - 1))
    half = math.hypot(float(stats.t.ppf(0.975, kept - 1)) * error, float(stats.norm.ppf(0.975)) * drift)
    centre = trimmed_mean(log_ratios)
    return math.exp(centre - half), math.exp(centre + half)


def is_narrow(interval: tuple[float, float] | None) -> bool:
    """Whether an interval is within ±3 % of its middle."""
    return interval is not None and interval[1] - interval[0] <= NARROW * (interval[0] + interval[1])
