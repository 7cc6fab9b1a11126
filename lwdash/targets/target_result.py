"""Results of targets: whether a runtime or a device runs a file, what it needs there, and what to do where it does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

TargetState = Literal["runs", "refused", "unavailable"]


@dataclass(frozen=True)
class TargetMetric:
    """One measured value. value: None where it could not be measured."""

    name: str
    label: str
    unit: str
    value: float | int | None


@dataclass(frozen=True)
class TargetLayer:
    """An operator on a target. unit: the processor that runs it. cycles, macs: None where they are not estimated."""

    name: str
    operator: str
    unit: str
    cycles: int | None
    macs: int | None


@dataclass(frozen=True)
class TargetResult:
    """One file on one target.

    state: "unavailable" where the target's library is missing on this host. reason, remedy: clauses for users, None where
    the file runs. message: the runtime's own words. operators: type → how often the file has it, all that the target needs.
    version: of the library that ran the file. layers: empty where the target does not report them.
    host, label: where times were measured and the target's title; None for targets without times.
    """

    state: TargetState
    reason: str | None = None
    remedy: str | None = None
    message: str | None = None
    metrics: tuple[TargetMetric, ...] = ()
    operators: Mapping[str, int] = field(default_factory=dict)
    version: str | None = None
    layers: tuple[TargetLayer, ...] = ()
    host: Mapping[str, Any] | None = None
    label: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The stored form: metrics by name."""
        return {
            "state": self.state,
            "reason": self.reason,
            "remedy": self.remedy,
            "message": self.message,
            "metrics": {m.name: {"label": m.label, "unit": m.unit, "value": m.value} for m in self.metrics},
            "operators": dict(self.operators),
            "version": self.version,
            "layers": [asdict(layer) for layer in self.layers],
            **({} if self.host is None else {"host": dict(self.host), "label": self.label}),
        }


def installed_version(package: str) -> str | None:
    """Version of a distribution; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
