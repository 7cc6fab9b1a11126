"""Mean and interval of a ratio of latencies over sessions. The standard library and numpy only: devices run it too."""

from __future__ import annotations

import math

import numpy as np

NARROW = 0.03
TRIMMED = 0.125
"""Share of the sessions dropped at each end: another process may have used the core or the caches."""
MIN_SESSIONS_OF_INTERVAL = 3
DRIFT = 0.004
"""Standard deviation of a log ratio between measurements of the same files. A single measurement cannot see
it: all its sessions run at nearly the same time. Measured on a virtual machine of two cores as the rest after
40 sessions: 0.24 to 0.63 %. It was no smaller with all sessions forked from one process.
"""
NORMAL_975 = 1.959963984540054
"""97.5 % point of the normal distribution."""


def trimmed_mean(values: np.ndarray) -> float:
    """Mean without the `TRIMMED` share of the smallest and of the largest values."""
    cut = int(TRIMMED * len(values))
    return float(np.sort(values)[cut : len(values) - cut].mean())


def ratio_interval(log_ratios: np.ndarray, *, drift: float = DRIFT) -> tuple[float, float] | None:
    """95 % interval of a ratio from its logarithm in each session, (sessions,); None below three sessions.

    A session is a process: its value includes the variation within and between processes. Student's t for a
    trimmed mean, with the winsorized variance (Tukey and McLaughlin, Sankhya A 25, 1963). The variation
    between measurements, of standard deviation `drift`, is added in squares.
    """
    count = len(log_ratios)
    if count < MIN_SESSIONS_OF_INTERVAL:
        return None
    cut = int(TRIMMED * count)
    ordered = np.sort(log_ratios)
    winsorized = np.clip(ordered, ordered[cut], ordered[count - 1 - cut])
    kept = count - 2 * cut
    error = float(winsorized.std(ddof=1)) * math.sqrt(count - 1) / math.sqrt(kept * (kept - 1))
    half = math.hypot(student_975(kept - 1) * error, NORMAL_975 * drift)
    centre = trimmed_mean(log_ratios)
    return math.exp(centre - half), math.exp(centre + half)


def is_narrow(interval: tuple[float, float] | None) -> bool:
    """True if an interval is within ±3 % of its middle."""
    return interval is not None and interval[1] - interval[0] <= NARROW * (interval[0] + interval[1])


def student_975(freedom: int) -> float:
    """97.5 % point of Student's t with `freedom` degrees of freedom, by bisection."""
    low, high = 1.0, 16.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < 0.95 else (low, middle)
    return (low + high) / 2


def _within(t: float, freedom: int) -> float:
    """Probability of −t to t under Student's distribution (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    is_odd = freedom % 2
    term = cosine if is_odd else 1.0
    total = 0.0
    for k in range(1 + is_odd, freedom, 2):
        total += term
        term *= cosine * cosine * k / (k + 1)
    return 2 / math.pi * (angle + sine * total) if is_odd else sine * total
