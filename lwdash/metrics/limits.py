"""The limits of an experiment: the runs that keep them, and the best of those."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lwdash.metrics.run_metrics import Measure, quality_of


@dataclass(frozen=True)
class Limit:
    """One of the limits that an experiment can have. `factor` turns the stored unit into the shown one; `step` is what
    the buttons of its field add, in the shown unit."""

    key: str
    label: str
    short: str
    unit: str
    factor: float
    step: float
    help: str


LIMITS: Mapping[str, Limit] = {
    limit.key: limit
    for limit in (
        Limit("size_bytes", "Size of the .tflite, at most", "size", "kB", 1e-3, 1.0, "What the flash has room for"),
        Limit("accuracy_drop", "Drop of accuracy, at most", "accuracy", "points", 100.0, 0.1,
              "Against the baseline on the same rows. Without labels, the rows that the original decides "
              "otherwise count, which is the most that accuracy can have dropped."),
        Limit("latency_ms", "Latency p50, at most", "latency", "µs", 1e3, 1.0,
              "As measured on this server's host: a microcontroller is slower"),
        Limit("arena_bytes", "Arena, at most", "arena", "kB", 1e-3, 1.0,
              "RAM that TensorFlow Lite Micro plans for activations; its own tables come on top, some kB"),
    )
}  # fmt: skip


NOT_RUNNABLE = 10.0
"""By which share of a limit on the arena a file exceeds it that TensorFlow Lite Micro does not run."""


def kept(runs: pd.DataFrame, limits: Mapping[str, float]) -> pd.DataFrame:
    """For each run and limit 1.0 where it is kept, 0.0 where it is broken, NaN where nothing was measured to tell."""
    over = excess(runs, limits)
    return (over <= 0).astype(float).where(over.notna())


def excess(runs: pd.DataFrame, limits: Mapping[str, float]) -> pd.DataFrame:
    """For each run and limit by which share of the limit it is exceeded: 0.1 is a tenth too much, below 0 it is kept.

    A limit of 0 counts as a billionth. NaN where nothing was measured to tell.
    """
    found = {}
    for key in LIMITS:
        if limits.get(key) is not None:
            limit = float(limits[key])
            allowed = limit + 1e-9 * max(1.0, abs(limit))  # 0.93 − 0.92 is a little more than 0.01
            found[key] = ((_figures(runs, key) - allowed) / allowed).replace(np.inf, NOT_RUNNABLE)
    return pd.DataFrame(found, index=runs.index, dtype=float)


def keeps_all(runs: pd.DataFrame, limits: Mapping[str, float]) -> pd.Series:
    """Whether a run is measured to keep every limit; True for each measured run where there is no limit."""
    done = runs["state"] == "succeeded" if "state" in runs else pd.Series(True, index=runs.index)
    return done & (kept(runs, limits) == 1.0).all(axis=1)


def best(runs: pd.DataFrame, limits: Mapping[str, float]) -> int | None:
    """The id of the best run besides the baseline that keeps all limits; None where none does, or there is no limit.

    Where something besides quality is limited, best is the best quality, and of equal ones the smallest file; where
    quality alone is limited, the smallest file, and of equal ones the best quality.
    """
    wanted = {key for key in LIMITS if limits.get(key) is not None}
    able = runs[keeps_all(runs, limits)] if wanted else runs.iloc[:0]
    if "is_baseline" in able:
        able = able[~able["is_baseline"].astype(bool)]
    if able.empty:
        return None
    measure = quality_of(able)
    quality = pd.to_numeric(able[measure.column]) * (-1 if measure.is_higher_better else 1)
    by = pd.DataFrame({"quality": quality, "size": pd.to_numeric(able["size_bytes"]), "id": able["id"]})
    order = ["size", "quality"] if wanted == {"accuracy_drop"} else ["quality", "size"]
    return int(by.sort_values([*order, "id"])["id"].iloc[0])


def limit_on(measure: Measure, limits: Mapping[str, float], runs: pd.DataFrame) -> float | None:
    """Where a limit lies on an axis of `measure`, in the shown unit; None where none does."""
    direct = {"size_bytes": "size_bytes", "latency_ms_p50": "latency_ms", "arena_bytes": "arena_bytes"}
    value = limits.get(direct.get(measure.column, ""))
    if value is not None:
        return float(value) * measure.factor
    drop = limits.get("accuracy_drop")
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


def _figures(runs: pd.DataFrame, key: str) -> pd.Series:
    """What a limit is held against, in the limit's stored unit."""
    if key == "accuracy_drop":
        drop = _numbers(runs, "baseline_accuracy") - _numbers(runs, "accuracy")
        return drop.fillna(1 - _numbers(runs, "agreement"))
    found = _numbers(runs, {"latency_ms": "latency_ms_p50"}.get(key, key))
    if key == "arena_bytes" and "arena_reason" in runs:
        return found.mask(found.isna() & runs["arena_reason"].notna(), np.inf)  # it runs in no RAM at all
    return found


def _numbers(runs: pd.DataFrame, column: str) -> pd.Series:
    if column not in runs:
        return pd.Series(np.nan, index=runs.index)
    return pd.to_numeric(runs[column], errors="coerce")
