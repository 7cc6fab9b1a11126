"""The verdict on a difference to the baseline: better, worse, equivalent, or not significant.

Both models see the same rows, so the comparison is paired. For rows right or wrong: exact McNemar test
(McNemar, 1947) and Tango's score interval (Statistics in Medicine 17, 1998), widened by half a row on each
side. For errors: symmetric bootstrap-t (Hall, JRSS B 50, 1988). Both are conservative. Enumerated over 10 to
300 rows, the interval's coverage is at least 95 %; Tango's own falls to 93 % in places.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

BETTER, WORSE, EQUIVALENT, CANNOT_TELL = "better", "worse", "equivalent", "cannot tell"
MARGIN = 0.01
_LEVEL = 0.05
_Z = 1.959963984540054
# Resampling few rows gives intervals that are too short; this nominal level covers in 95 % (see the tests).
_BOOTSTRAP_LEVEL = 0.97
_MIN_SPREAD = 0.15
"""Smallest standard error of a resample, as a share of the rows' own. Where only one to three rows differ, many resamples
have none of them and no spread at all: without a minimum, the interval would be millions of points wide.
"""


@dataclass(frozen=True)
class Verdict:
    """`difference` is the run's value minus the baseline's; `interval` is its 95 % interval, in the metric's
    unit.

    smallest_drop: the smallest loss that would be significant with these rows; None where no loss could be
    significant.
    """

    verdict: str
    text: str
    difference: float | None = None
    interval: tuple[float, float] | None = None
    p_value: float | None = None
    margin: float = MARGIN
    smallest_drop: float | None = None
    lost: int | None = None
    gained: int | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict,
            "text": self.text,
            "difference": self.difference,
            "interval": None if self.interval is None else list(self.interval),
            "p_value": self.p_value,
            "margin": self.margin,
            "smallest_drop": self.smallest_drop,
            "lost": self.lost,
            "gained": self.gained,
        }


def mcnemar_p(lost: int, gained: int) -> float:
    """Two-sided exact p-value of McNemar's test: both flips are equally likely among lost + gained."""
    from scipy.special import bdtr

    flips = lost + gained
    return 1.0 if flips == 0 else min(1.0, 2 * float(bdtr(min(lost, gained), flips, 0.5)))


def paired_interval(lost: int, gained: int, rows: int) -> tuple[float, float]:
    """95 % interval of (gained − lost) / rows: Tango's score interval, wider by half a row on each side."""

    def score(delta: float) -> float:
        a, b, c = 2 * rows, -gained - lost + (2 * rows - gained + lost) * delta, -lost * delta * (1 - delta)
        nuisance = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
        variance = rows * (2 * nuisance + delta * (1 - delta))
        return (gained - lost - rows * delta) / math.sqrt(max(variance, 1e-300))

    def crossing(inside: float, outside: float) -> float:
        for _ in range(60):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if abs(score(middle)) <= _Z else (inside, middle)
        return (inside + outside) / 2

    centre = (gained - lost) / rows
    low, high = crossing(centre, -1.0), crossing(centre, 1.0)
    return max(-1.0, low - 0.5 / rows), min(1.0, high + 0.5 / rows)


def smallest_provable_drop(gained: int, rows: int) -> float | None:
    """Smallest net share of lost rows that is significant by McNemar's test while `gained` rows flip the
    other way.
    """
    low, high = gained + 1, rows - gained
    if high < low or mcnemar_p(high, gained) > _LEVEL:
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if mcnemar_p(middle, gained) <= _LEVEL else (middle + 1, high)
    return (low - gained) / rows


def compare_right_rows(right: np.ndarray, baseline_right: np.ndarray, *, margin: float = MARGIN) -> Verdict:
    """Verdict on accuracy. right, baseline_right: (rows,) bool, True where the model is right on the row.

    Where McNemar's test finds no difference, the interval is extended to 0. The exact test needs more
    evidence than the score interval (for example at 5 lost and none gained), and the two must not contradict
    each other.
    """
    right, baseline_right = np.asarray(right, bool), np.asarray(baseline_right, bool)
    rows = len(right)
    lost, gained = int((baseline_right & ~right).sum()), int((right & ~baseline_right).sum())
    difference, interval = (gained - lost) / rows, paired_interval(lost, gained, rows)
    p_value, smallest = mcnemar_p(lost, gained), smallest_provable_drop(gained, rows)
    if p_value > _LEVEL:
        interval = min(interval[0], 0.0), max(interval[1], 0.0)
    flips = f"{_rows(lost)} lost, {gained} gained"
    inside = f"95 % interval {_points(interval[0])} to {_points(interval[1])} points"
    if -margin < interval[0] and interval[1] < margin:
        verdict = EQUIVALENT
        text = (
            f"Equivalent: accuracy changed by {_points(difference)} points ({inside}), inside the margin of "
            f"±{100 * margin:g}; {flips} of {rows:,}."
        )
    elif p_value <= _LEVEL:
        verdict = BETTER if difference > 0 else WORSE
        word = "rose" if difference > 0 else "fell"
        text = (
            f"{verdict.capitalize()}: accuracy {word} by {100 * abs(difference):.1f} percentage points "
            f"({inside}); {flips} of {rows:,}, which happens by chance {_chance(p_value)}."
        )
    else:
        verdict = CANNOT_TELL
        could = (
            f"a drop of {100 * smallest:.1f} points or more would have been significant"
            if smallest is not None
            else "no drop of any size would have been significant"
        )
        text = (
            f"Not significant: accuracy changed by {_points(difference)} points ({inside}); {flips} of "
            f"{rows:,}. With these rows {could}. Add evaluation rows for a clearer result."
        )
    return Verdict(verdict, text, difference, interval, p_value, margin, smallest, lost, gained)


def bootstrap_interval(
    differences: np.ndarray, *, seed: int = 0, comparisons: int = 1
) -> tuple[float, float]:
    """Interval of the mean of paired differences (rows,): symmetric bootstrap-t, coverage at least 95 %.

    comparisons: number of intervals that must hold at once with 95 % probability (Bonferroni).
    """
    count = len(differences)
    mean = float(differences.mean())
    error = float(differences.std(ddof=1)) / math.sqrt(count) if count > 1 else 0.0
    if error == 0.0:
        return mean, mean
    generator = np.random.default_rng(seed)
    resamples = int(np.clip(2e7 // count, 200, 1000))
    statistics = []
    for _ in range(0, resamples, 100):
        sample = differences[generator.integers(0, count, (100, count))]
        spread = np.maximum(sample.std(axis=1, ddof=1) / math.sqrt(count), _MIN_SPREAD * error)
        statistics.append(np.abs(sample.mean(axis=1) - mean) / spread)
    half = float(np.quantile(np.concatenate(statistics), 1 - (1 - _BOOTSTRAP_LEVEL) / comparisons)) * error
    return mean - half, mean + half


def unseen_share(rows: int) -> float:
    """Largest share of rows of a kind that none of `rows` rows shows, with 95 % confidence: the rule of three, exactly."""
    return float(1 - _LEVEL ** (1 / rows))


def share_mean_interval(values: np.ndarray, *, usual: float) -> tuple[float, float]:
    """95 % interval of the mean of `values` (rows,), each between −1 and 1, `usual` being that of an ordinary row.

    The bootstrap knows only what the rows show: if all of six rows are equal, its width is 0. So the interval is wider on
    each side by the share of rows that may be of a kind not seen, times the mean distance of the other rows from `usual`, to
    which one row at the distance 1 is added. Simulated with 6 to 100 rows, each changed with a probability of 1 to 70 %,
    by 1 %, by any share or as a whole: the bootstrap alone covers 5 to 100 %, this interval 93 to 100 %. A
    mixture is covered worse, down to 57 %: many rows that change a little, and a few as a whole, none of which was seen.
    """
    low, high = bootstrap_interval(values)
    distances = np.abs(values - usual)
    distance = (float(distances.sum()) + 1) / (np.count_nonzero(distances) + 1)
    half = unseen_share(len(values)) * distance
    return low - half, high + half


def compare_errors(
    errors: np.ndarray,
    baseline_errors: np.ndarray,
    *,
    metric: str = "mean absolute error",
    margin: float = MARGIN,
    comparisons: int = 1,
) -> Verdict:
    """Verdict on a mean error, where less is better. errors, baseline_errors: (rows,) each row's error.

    margin: as a share of the baseline's mean error. comparisons: see `bootstrap_interval`.
    """
    differences = np.asarray(errors, np.float64) - np.asarray(baseline_errors, np.float64)
    rows, base = len(differences), float(np.mean(baseline_errors))
    difference = float(differences.mean())
    if rows < 5:
        text = f"Not significant: {_rows(rows)} are too few to compare the {metric}; at least 5 are needed."
        return Verdict(CANNOT_TELL, text, difference, margin=margin)
    low, high = bootstrap_interval(differences, comparisons=comparisons)
    allowed = margin * base
    inside = f"95 % interval {low:+.3g} to {high:+.3g}, {rows:,} rows"
    change = f"the {metric} changed from {base:.4g} by {difference:+.3g} ({inside})"
    if (-allowed < low and high < allowed) or (low == high == 0):
        verdict, text = EQUIVALENT, f"Equivalent: {change}, inside the margin of ±{100 * margin:g} % of it."
    elif low > 0 or high < 0:
        verdict = WORSE if low > 0 else BETTER
        text = f"{verdict.capitalize()}: {change}."
    else:
        verdict = CANNOT_TELL
        text = (
            f"Not significant: {change}. With these rows an increase of {(high - low) / 2:.3g} would "
            "have been significant."
        )
    return Verdict(verdict, text, difference, (low, high), None, margin, (high - low) / 2)


def compare_without_labels(
    agreeing: int, rows: int, *, margin: float = MARGIN, single: tuple[int, int] | None = None
) -> Verdict:
    """Verdict without labels, from the original's classes: accuracy changes by at most the share of rows that
    differ.

    agreeing: rows whose outputs all equal the original's. single: (agreeing, all) single outputs where a row
    has several.
    """
    from lwdash.measure.accuracy import wilson_interval

    low, high = wilson_interval(agreeing, rows)
    whole = "the original's class" if single is None else "all of the original's classes"
    same = (
        f"the model gives {whole} on {agreeing:,} of {rows:,} rows (95 % interval {100 * low:.1f} % to "
        f"{100 * high:.1f} %)"
    )
    if single is not None:
        same += (
            f"; of the {single[1]:,} single outputs, {single[1] // rows} per row, "
            f"{100 * single[0] / single[1]:.1f} % equal the original's (the agreement)"
        )
    if 1 - low <= margin:
        text = f"Equivalent: {same}, so accuracy changed by at most {100 * margin:g} points."
        return Verdict(EQUIVALENT, text, margin=margin)
    return Verdict(CANNOT_TELL, f"Not significant without labels: {same}.", margin=margin)


def same_file(*, margin: float = MARGIN) -> Verdict:
    """Verdict for a run that equals the baseline byte for byte."""
    return Verdict(
        EQUIVALENT,
        "Equivalent: the file is identical to the baseline.",
        0.0,
        (0.0, 0.0),
        1.0,
        margin,
        None,
        0,
        0,
    )


def _rows(count: int) -> str:
    return f"{count:,} row" if count == 1 else f"{count:,} rows"


def _points(share: float) -> str:
    rounded = round(100 * share, 1)
    return f"{rounded:+.1f}".replace("-", "−") if rounded else "0.0"


def _chance(p_value: float) -> str:
    return "less than once in 1,000 times" if p_value < 0.001 else f"{100 * p_value:.1f} times in 100"
