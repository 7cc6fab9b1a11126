"""The limits of an experiment, the runs that meet them, and the best of these runs."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import pandas as pd

from lwdash.errors import UserMistake
from lwdash.metrics.offers import all_target_columns, refused_column, target_metric
from lwdash.metrics.run_metrics import Measure, quality_of
from lwdash.metrics.target_values import measure_of

ACCURACY_DROP = "accuracy_drop"
OPTION_UNITS: Mapping[str, Mapping[str, float]] = {
    "KB": {"kB": 1.0, "MB": 1000.0, "B": 0.001},
    "MS": {"ms": 1.0, "s": 1000.0},
    "POINTS": {"points": 1.0},
    "CYCLES": {"cycles": 1.0},
    "US": {"µs": 1.0, "us": 1.0, "ms": 1000.0},
    "RATE": {"1/s": 1.0},
    "TIMES": {"×": 1.0, "x": 1.0},
    "ROWS": {"rows": 1.0},
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
            value = float(found[1]) * (factors[found[2].lower()] if found[2] else 1.0) if found else 0.0
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
    is_at_least: bool = False
    """True if more is better: the limit is the least value."""

    @property
    def bound(self) -> str:
        """`at most` or `at least`."""
        return "at least" if self.is_at_least else "at most"


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
"""The limits on metrics of runs; metrics of targets have limits as well, see `limit_of`."""


def limit_of(key: str, names: Mapping[str, str] | None = None) -> Limit:
    """The limit that is stored under `key`: of `LIMITS`, or on the column of a target (see metrics.offers).

    names: titles of devices. Raises UserMistake for another key.
    """
    if key in LIMITS:
        return LIMITS[key]
    metric = target_metric(key)
    if metric is None or metric.host:
        raise UserMistake(
            f"there is no limit {key!r} (there are: {', '.join(LIMITS)}, and metrics of targets: "
            f"{', '.join(all_target_columns())})"
        )
    measure, offer = measure_of(key, names), metric.offer
    label = measure.label
    return Limit(
        key, key, f"{label}, {'at least' if measure.is_higher_better else 'at most'}", label, label,
        measure.unit, measure.factor, 1.0, offer.help,
        Option(key, offer.option_unit, 1 / measure.factor, offer.help), measure.is_higher_better,
    )  # fmt: skip


def set_keys(limits: Mapping[str, float | None]) -> list[str]:
    """The keys of the limits that are set, in the order in which they are shown: those on targets come last."""
    own = [key for key in LIMITS if limits.get(key) is not None]
    return [*own, *(key for key in limits if key not in LIMITS and limits[key] is not None)]


OF_MICRO = ("arena_bytes", "micro_flash_bytes")
NPU = "npu"
"""The NPU of the experiment's metrics, in place of a target in `refused_column`."""
NOT_RUNNABLE = 10.0
"""Excess over a limit on a target (as a share of the limit) that is assigned to files that the target cannot run."""


def checked_limits(limits: Mapping[str, float | None]) -> dict[str, float]:
    """The limits that are set, as they are stored; None is no limit. Raises UserMistake for an invalid one."""
    for key, value in limits.items():
        limit_of(key)
        if value is not None and not 0 <= value < inf:
            raise UserMistake(f"the limit {key} is a number from 0 on, received {value}")
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


def limits_summary(limits: Mapping[str, float], names: Mapping[str, str] | None = None) -> str:
    """`size ≤ 20 kB, drop of accuracy ≤ 1 point`; names with commas are separated by semicolons. names: see `limit_of`."""
    found, described = [], [limit_of(key, names) for key in set_keys(limits)]
    for limit in described:
        value = f"{_four_digits(float(limits[limit.key]) * limit.factor)} {limit.unit}".strip()
        found.append(
            f"{limit.name} {'≥' if limit.is_at_least else '≤'} {'1 point' if value == '1 points' else value}"
        )
    return ("; " if any("," in limit.name for limit in described) else ", ").join(found)


def _four_digits(value: float) -> str:
    """Four significant digits, without an exponent."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def limits_met(runs: pd.DataFrame, limits: Mapping[str, float]) -> pd.DataFrame:
    """For each run and limit: 1.0 if the limit is met, 0.0 if it is exceeded, NaN if the value was not measured."""
    over = excess(runs, limits)
    return (over <= 0).astype(float).where(over.notna())


def excess(runs: pd.DataFrame, limits: Mapping[str, float]) -> pd.DataFrame:
    """For each run and limit: the excess as a share of the limit. 0.1 is 10 % too much; a value below 0 meets
    the limit. Of a limit on the least value, 0.1 is a value whose reciprocal is 10 % too large.

    A limit of 0 is treated as 1e-9. NaN where the value was not measured.
    """
    found = {}
    for key in set_keys(limits):
        limit, values = float(limits[key]), limited_values(runs, key)
        if limit_of(key).is_at_least:
            low = max(limit * (1 - 1e-9), 0.0)
            over = (low / values.where(values > 0, 1e-9) - 1).where(values.notna())
            found[key] = over.mask(values == -np.inf, NOT_RUNNABLE)
            continue
        allowed = limit + 1e-9 * max(1.0, abs(limit))  # 0.93 − 0.92 is a little more than 0.01
        found[key] = ((values - allowed) / allowed).replace(np.inf, NOT_RUNNABLE)
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
    wanted = set(set_keys(limits))
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
    for limit in map(limit_of, set_keys(limits)):
        columns = (limit.column, "arena_total_bytes") if limit.key == "arena_bytes" else (limit.column,)
        if measure.column in columns:
            return float(limits[limit.key]) * measure.factor
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
    """The values that a limit applies to, in the limit's stored unit; NaN where one was not measured, infinite (of the sign
    that exceeds the limit) where the target refuses the file.

    The arena is the measured total as soon as one of the runs has it; the plan of another run, which is smaller, then
    counts as not measured.
    """
    column = limit_of(key).column
    if column is None:
        drop = _column_values(runs, "baseline_accuracy") - _column_values(runs, "accuracy")
        return drop.fillna(1 - _column_values(runs, "agreement"))
    found = _column_values(runs, column)
    if key == "arena_bytes":
        found = arena_values(runs)
    if key in OF_MICRO and "arena_reason" in runs:
        # a file that TensorFlow Lite Micro cannot run fits in no memory
        return found.mask(found.isna() & runs["arena_reason"].notna(), np.inf)
    metric = target_metric(key)
    refused = refused_column(NPU if key == "npu_cycles" else "" if metric is None else metric.target)
    if refused in runs:
        cannot_run = -np.inf if limit_of(key).is_at_least else np.inf
        return found.mask(found.isna() & (_column_values(runs, refused) == 1), cannot_run)
    return found


def arena_values(runs: pd.DataFrame) -> pd.Series:
    """The arena that TensorFlow Lite Micro took; its plan for activations where none of the runs was measured."""
    total = _column_values(runs, "arena_total_bytes")
    return total if total.notna().any() else _column_values(runs, "arena_bytes")


def _column_values(runs: pd.DataFrame, column: str) -> pd.Series:
    if column not in runs:
        return pd.Series(np.nan, index=runs.index)
    return pd.to_numeric(runs[column], errors="coerce")
