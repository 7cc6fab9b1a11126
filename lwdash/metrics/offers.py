"""Metrics that targets offer as axes, limits and goals; each kind of target registers its own once.

The column of such a metric is `TARGET.NAME`, such as `ethos_u55_256.npu_cycles`. Times depend on the host, so the column
`device_1.latency_ms_p50` holds those of the host that measured last; those of an earlier host, such as the device before an
update of LiteRT, are in `device_1.latency_ms_p50@HOST`. Values of different hosts are never in one column.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Offer:
    """One metric of a target. name: of the value in the stored result, in the stored unit.

    label, heading: with `{target}`; for lists and for the table. unit, factor, digits, is_higher_better: as of a Measure.
    option_unit: of a limit on the command line, see limits.OPTION_UNITS. like: the metric of runs that it changes with,
    for a search. same_as: the metric of runs that has the same value for the usual target.
    """

    name: str
    label: str
    heading: str
    unit: str
    option_unit: str
    help: str
    like: str
    factor: float = 1.0
    digits: int = 1
    is_higher_better: bool = False
    same_as: str | None = None

    def read(self, result: Mapping[str, Any]) -> float | None:
        """The value in a stored result; None where it was not measured."""
        value = result["metrics"].get(self.name, {}).get("value")
        return None if value is None else float(value)


@dataclass(frozen=True)
class Offering:
    """The metrics of a target. target: its name; with is_family the beginning of the names of several.

    is_integer_only: True if it runs integer files only. is_of_host: True if its values depend on the host.
    """

    target: str
    label: str
    offers: tuple[Offer, ...]
    is_family: bool = False
    is_integer_only: bool = False
    is_of_host: bool = False


@dataclass(frozen=True)
class OfferedMetric:
    """A metric of one target. host: "" for the host that measured last."""

    target: str
    offering: Offering
    offer: Offer
    host: str = ""


_OFFERINGS: dict[str, Offering] = {}


def register(offering: Offering) -> None:
    """Make the metrics of a target known; a second registration of a name replaces the first."""
    _OFFERINGS[offering.target] = offering


def offering_of(target: str) -> Offering | None:
    """The metrics of a target; None for an unknown one."""
    if target in _OFFERINGS and not _OFFERINGS[target].is_family:
        return _OFFERINGS[target]
    families = (o for o in _OFFERINGS.values() if o.is_family and target.startswith(o.target))
    return next((o for o in families if target.removeprefix(o.target).isdecimal()), None)


def target_metric(column: str) -> OfferedMetric | None:
    """The metric of a column; None where it is none of a target."""
    target, _, rest = column.partition(".")
    name, _, host = rest.partition("@")
    offering = offering_of(target)
    offers = () if offering is None else offering.offers
    found = next((offer for offer in offers if offer.name == name), None)
    return None if found is None or offering is None else OfferedMetric(target, offering, found, host)


def refused_column(target: str) -> str:
    """The column that is 1.0 for runs whose file the target refuses: it has none of the target's metrics."""
    return f"{target}.refused"


def columns_of_targets(targets: Collection[str]) -> list[str]:
    """The columns of everything that these targets offer; unknown targets are left out."""
    known = [(target, offering) for target in targets if (offering := offering_of(target)) is not None]
    return [f"{target}.{offer.name}" for target, offering in known for offer in offering.offers]


def all_target_columns() -> list[str]:
    """The columns that can be named at any time; of a family with N for the number."""
    return [f"{o.target}{'N' * o.is_family}.{offer.name}" for o in _OFFERINGS.values() for offer in o.offers]


def targets_of(columns: Collection[str]) -> list[str]:
    """The targets that these columns are of, each once, in order; columns of runs are left out."""
    found = (target_metric(column) for column in columns)
    return list(dict.fromkeys(metric.target for metric in found if metric is not None))


def title_of(metric: OfferedMetric, names: Mapping[str, str] | None = None) -> str:
    """`Arm Ethos-U55, 256 MACs`; of a device its name, or `device 3` where that is not known."""
    key = metric.target + f"@{metric.host}" * bool(metric.host)
    default = metric.target.replace("_", " ") if metric.offering.is_family else metric.offering.label
    return (names or {}).get(key, f"{default}, {metric.host}" if metric.host else default)
