"""Checks of single runs against the limits: each limit with the run's value, and whether it is kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isinf
from typing import Any

import numpy as np
import pandas as pd

from lwdash.metrics.limits import Limit, excess, limit_of, limited_values


@dataclass(frozen=True)
class LimitCheck:
    """One limit on one run. limit: its key; allowed, value: in the stored unit of `described`.

    value: None where it was not measured, infinite where the target cannot run the file. is_kept: also False where the value
    was not measured. is_planned: True for an arena that TensorFlow Lite Micro did not measure; its tables come on top.
    """

    limit: str
    allowed: float
    value: float | None
    is_kept: bool
    described: Limit
    is_planned: bool = False

    @property
    def value_text(self) -> str:
        """The value in the shown unit, or why there is none."""
        if self.value is None:
            return "not measured"
        if isinf(self.value):
            return "cannot run"
        return _number(self.value * self.described.factor) + " (planned)" * self.is_planned

    @property
    def title(self) -> str:
        """`Size (kB), at most 20`."""
        limit = self.described
        name = limit.name[:1].upper() + limit.name[1:]
        unit = f" ({limit.unit})" if limit.unit else ""
        return f"{name}{unit}, {limit.bound} {_number(self.allowed * limit.factor)}"

    @property
    def message(self) -> str:
        """`size 25.6 kB, at most 20 kB`."""
        limit = self.described
        unit = "" if self.value is None or isinf(self.value) else f" {limit.unit}"
        allowed = f"{_number(self.allowed * limit.factor)} {limit.unit}".strip()
        return f"{limit.name} {self.value_text}{unit}".rstrip() + f", {limit.bound} {allowed}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; an infinite value is null, as one that was not measured."""
        is_number = self.value is not None and not isinf(self.value)
        return {
            "limit": self.limit,
            "allowed": self.allowed,
            "value": self.value if is_number else None,
            "value_text": self.value_text,
            "is_kept": self.is_kept,
        }


def check_limits(
    metrics: Mapping[str, Any], limits: Mapping[str, float], names: Mapping[str, str] | None = None
) -> list[LimitCheck]:
    """A check of every limit that is set, in the order of `set_keys`.

    metrics: of one run, empty for a failed run. names: titles of devices.
    """
    run = pd.DataFrame([dict(metrics)]) if metrics else pd.DataFrame(index=[0])
    over = excess(run, limits)
    found = []
    for key in over.columns:
        value = float(limited_values(run, key).iloc[0])
        is_measured = value == value
        found.append(
            LimitCheck(
                key,
                float(limits[key]),
                value if is_measured else None,
                bool(over[key].iloc[0] <= 0) and is_measured,
                limit_of(key, names),
                is_planned=key == "arena_bytes"
                and np.isfinite(value)
                and metrics.get("arena_total_bytes") is None,
            )
        )
    return found


def _number(value: float) -> str:
    """At most three decimals, without zeros at the end; three digits of a smaller number."""
    if 0 < abs(value) < 0.001:
        return f"{value:.3g}".replace("-", "−")
    text = f"{value:,.3f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text.replace("-", "−")
