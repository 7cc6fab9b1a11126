"""The limits of an experiment, the runs that meet them, and the best of these runs."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import pandas as pd

from lwdash.errors import UserMistake
from lwdash.metrics.run_metrics import Measure, quality_of

ACCURACY_DROP = "accuracy_drop"
OPTION_UNITS: Mapping[str, Mapping[str, float]] = {
    "KB": {"kB": 1.0, "MB": 1000.0, "B": 0.001},
    "MS": {"ms": 1.0, "s": 1000.0},
    "POINTS": {"points": 1.0},
    "CYCLES": {"cycles": 1.0},
}
"""Unit of an option → the units that may be written behind its value, with their factors."""


@dataclass(frozen=True)
class Option:
    """A command-line option for a limit, `--max-NAME UNIT`; `factor` converts that unit to the stored one."""

    name: str
    unit: str
    factor: float
    help: str

    def read(self, text: str) -> float:
        """The value in this unit; a unit may be written behind it: `30`, `30kB`, `0.03MB`, `5ms`. Raises UserMistake."""
        units = OPTION_UNITS[self.unit]
        found = re.fullmatch(
            rf"([\d.]+(?:e[+-]?\d+)?)\s*({'|'.join(units)})?", text.strip(), flags=re.IGNORECASE
        )
        factors = {name.lower(): factor for name, factor in units.items()}
        try:
            value = float(found[1]) * factors[(found[2] or self.unit).lower()] if found else 0.0
        except ValueError:
            value = 0.0
        if not 0 < value < np.inf:
            raise UserMistake(f"must be a number of {' or '.join(units)} above 0, but got {text!r}")
        return value


@dataclass(frozen=True)
class Limit:
    """One of the limits that an experiment can have, by the key that it is stored under."""

    key: str
    column: str | None
    """The metric that is limited; None if it is computed from several."""
    label: str
    name: str
    """The name in a sentence."""
    short: str
    unit: str
    factor: float
    """Converts the stored unit to the shown one."""
    step: float
    """The step of the buttons of its field, in the shown unit."""
    help: str
    option: Option


LIMITS: Mapping[str, Limit] = {
    limit.key: limit
    for limit in (
        Limit("size_bytes", "size_bytes", "Size of the .tflite, at most", "size", "size", "kB", 1e-3, 1.0,
              "The flash memory that is available for the model.",
              Option("size", "KB", 1000.0, "largest .tflite in kB (1,000 bytes)")),
        Limit(ACCURACY_DROP, None, "Drop of accuracy, at most", "drop of accuracy", "accuracy", "points", 100.0, 0.1,
              "Compared with the baseline on the same rows. Without labels, every row that differs from "
              "the original counts as a possible loss.",
              Option("drop", "POINTS", 0.01, "largest loss of accuracy in percentage points")),
        Limit("latency_ms", "latency_ms_p50", "Latency p50, at most", "latency p50", "latency", "µs", 1e3, 1.0,
              "Measured on this server's host. A microcontroller is slower.",
              Option("latency", "MS", 1.0, "longest latency in ms")),
        Limit("arena_bytes", "arena_bytes", "Arena, at most", "arena", "arena", "kB", 1e-3, 1.0,
              "RAM that TensorFlow Lite Micro takes; until that is measured, what it plans for activations.",
              Option("arena", "KB", 1000.0,
                     "maximum RAM that TensorFlow Lite Micro takes, in kB (1,000 bytes)")),
        Limit("npu_cycles", "npu_cycles", "NPU cycles, at most", "NPU cycles", "NPU cycles", "thousand", 1e-3, 1.0,
              "Arm's compiler Vela estimates them for the experiment's NPU, some seconds after a run has ended.",
              Option("npu", "CYCLES", 1.0, "maximum cycles on the experiment's NPU, as Vela estimates them")),
        Limit("micro_flash_bytes", "micro_flash_bytes", "Flash on a microcontroller, at most", "flash", "flash", "kB",
              1e-3, 1.0,
              "The file, the runtime and an assumed size of code for each type of operator.",
              Option("flash", "KB", 1000.0,
                     "maximum flash on a microcontroller: file, runtime and kernels, in kB (1,000 bytes)")),
    )
}  # fmt: skip
"""All limits; used by pages, commands, searches and the checks of stored limits."""


OF_MICRO = ("arena_bytes", "micro_flash_bytes")
NOT_RUNNABLE = 10.0
"""Excess over a limit of OF_MICRO (as a share of the limit) that is assigned to files that TensorFlow Lite Micro
cannot run.
"""


def checked_limits(limits: Mapping[str, float | None]) -> dict[str, float]:
    """The limits that are set, as they are stored; None is no limit. Raises UserMistake for an invalid one."""
    for key, value in limits.items():
        if key not in LIMITS:
            raise UserMistake(f"there is no limit {key!r} (there are: {', '.join(LIMITS)})")
        if value is not None and not value >= 0:
            raise UserMistake(f"the limit {key} is 0 or more, received {value}")
    return {key: float(value) for key, value in limits.items() if value is not None}


def limits_from_options(options: Mapping[str, float | None]) -> dict[str, float]:
    """Limits as they are stored, from option name (`size` of `--max-size`) → value in the option's unit; None is no
    limit. Raises UserMistake for an invalid value.
    """
    by_name = {limit.option.name: limit for limit in LIMITS.values()}
    return checked_limits(
        {
            by_name[name].key: None if value is None else value * by_name[name].option.factor
            for name, value in options.items()
        }
    )


def given_limits(limits: Mapping[str, float | None]) -> dict[str, float]:
    """The limits that are set."""
    return {key: value for key, value in limits.items() if value is not None}


def limits_summary(limits: Mapping[str, float]) -> str:
    """`size ≤ 20 kB, drop of accuracy ≤ 1 point`."""
    values = {
        key: f"{float(limits[key]) * limit.factor:,.4g} {limit.unit}"
        for key, limit in LIMITS.items()
        if limits.get(key) is not None
    }
    return ", ".join(
        f"{LIMITS[key].name} ≤ {'1 point' if value == '1 points' else value}" for key, value in values.items()
    )


def limits_met(runs: pd.DataFrame, limits: Mapping[str, float]) -> pd.DataFrame:
    """For each run and limit: 1.0 if the limit is met, 0.0 if it is exceeded, NaN if the value was not measured."""
    over = excess(runs, limits)
    return (over <= 0).astype(float).where(over.notna())


def excess(runs: pd.DataFrame, limits: Mapping[str, float]) -> pd.DataFrame:
    """For each run and limit: the excess as a share of the limit. 0.1 is 10 % too much; a value below 0 meets
    the limit.

    A limit of 0 is treated as 1e-9. NaN where the value was not measured.
    """
    found = {}
    for key in LIMITS:
        if limits.get(key) is not None:
            limit = float(limits[key])
            allowed = limit + 1e-9 * max(1.0, abs(limit))  # 0.93 − 0.92 is a little more than 0.01
            found[key] = ((limited_values(runs, key) - allowed) / allowed).replace(np.inf, NOT_RUNNABLE)
    return pd.DataFrame(found, index=runs.index, dtype=float)


def meets_all_limits(runs: pd.DataFrame, limits: Mapping[str, float]) -> pd.Series:
    """True for each run that was measured to meet every limit. Without limits, True for each measured run."""
    done = runs["state"] == "succeeded" if "state" in runs else pd.Series(True, index=runs.index)
    return done & (limits_met(runs, limits) == 1.0).all(axis=1)


class Rated(Protocol):
    """A run that meets all limits: more `quality` is better, less `cost` is better; neither is NaN."""

    @property
    def run(self) -> int: ...

    @property
    def quality(self) -> float: ...

    @property
    def cost(self) -> float: ...


class RatedRun(NamedTuple):
    """A run with its quality and its size."""

    run: int
    quality: float
    cost: float


R = TypeVar("R", bound=Rated)


def best_of(able: Iterable[R], *, is_cheapest: bool) -> R | None:
    """The run to take of those that keep all limits; None where there is none.

    is_cheapest: the cheapest, and of equal ones the best quality; else the best quality, and of equal ones the cheapest.
    The oldest of runs that are equal in both.
    """

    def order(rated: R) -> tuple[float, float, int]:
        first, second = (rated.cost, -rated.quality) if is_cheapest else (-rated.quality, rated.cost)
        return first, second, rated.run

    return min(able, key=order, default=None)


def best(runs: pd.DataFrame, limits: Mapping[str, float]) -> int | None:
    """Id of the best run, baseline excluded, that meets all limits; None without such a run or without
    limits.

    If there is a limit on something besides quality, the best run has the best quality; of equal runs, the
    smallest file. If only quality is limited, the best run is the smallest file; of equal files, the best
    quality.
    """
    wanted = {key for key in LIMITS if limits.get(key) is not None}
    able = runs[meets_all_limits(runs, limits)] if wanted else runs.iloc[:0]
    if "is_baseline" in able:
        able = able[~able["is_baseline"].astype(bool)]
    if able.empty:
        return None
    measure = quality_of(able)
    quality = pd.to_numeric(able[measure.column]) * (1 if measure.is_higher_better else -1)
    size = pd.to_numeric(able["size_bytes"])
    rated = map(RatedRun, able["id"], quality.fillna(-np.inf), size.fillna(np.inf))
    chosen = best_of(rated, is_cheapest=wanted == {ACCURACY_DROP})
    return None if chosen is None else int(chosen.run)


def limit_on(measure: Measure, limits: Mapping[str, float], runs: pd.DataFrame) -> float | None:
    """Position of a limit on an axis of `measure`, in the shown unit; None where there is no such limit."""
    for limit in LIMITS.values():
        value = limits.get(limit.key)
        if limit.column == measure.column and value is not None:
            return float(value) * measure.factor
    drop = limits.get(ACCURACY_DROP)
    if drop is None:
        return None
    if measure.column == "accuracy_change":
        return -float(drop) * measure.factor
    if (
        measure.column == "accuracy"
        and "baseline_accuracy" in runs
        and runs["baseline_accuracy"].notna().any()
    ):
        return float(runs["baseline_accuracy"].dropna().iloc[0] - drop) * measure.factor
    if measure.column == "agreement" and not ("accuracy" in runs and runs["accuracy"].notna().any()):
        return (1 - float(drop)) * measure.factor
    return None


def limited_values(runs: pd.DataFrame, key: str) -> pd.Series:
    """The values that a limit applies to, in the limit's stored unit."""
    column = LIMITS[key].column
    if column is None:
        drop = _column_values(runs, "baseline_accuracy") - _column_values(runs, "accuracy")
        return drop.fillna(1 - _column_values(runs, "agreement"))
    found = _column_values(runs, column)
    if key == "arena_bytes":
        found = _column_values(runs, "arena_total_bytes").fillna(found)
    if key in OF_MICRO and "arena_reason" in runs:
        # a file that TensorFlow Lite Micro cannot run fits in no memory
        return found.mask(found.isna() & runs["arena_reason"].notna(), np.inf)
    return found


def _column_values(runs: pd.DataFrame, column: str) -> pd.Series:
    if column not in runs:
        return pd.Series(np.nan, index=runs.index)
    return pd.to_numeric(runs[column], errors="coerce")
