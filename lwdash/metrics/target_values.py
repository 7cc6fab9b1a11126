"""The metrics of targets as columns of a frame of runs, and their descriptions. metrics.offers has the vocabulary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from lwdash.metrics.offers import offering_of, refused_column, target_metric, title_of
from lwdash.metrics.run_metrics import MEASURES, Measure

NAMES = "target_names"
"""In the `attrs` of a frame of runs: target → its title."""
SHOWN = "shown_targets"
"""In the `attrs` of a frame of runs: the targets whose metrics are also columns of their own, see `Offer.same_as`."""


@dataclass(frozen=True)
class TargetValues:
    """Values of runs on targets. values: run → column → value in the stored unit; names: target → title.

    A target that refuses a file has 1.0 in its `refused_column`.
    """

    columns: tuple[str, ...] = ()
    values: Mapping[int, Mapping[str, float | None]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)


def measure_of(column: str, names: Mapping[str, str] | None = None) -> Measure:
    """The description of a metric of runs or of a target. names: titles of devices. Raises KeyError for another name."""
    if column in MEASURES:
        return MEASURES[column]
    metric = target_metric(column)
    if metric is None:
        raise KeyError(column)
    offer = metric.offer
    return Measure(
        column, offer.label.format(target=title_of(metric, names)), offer.unit, offer.factor,
        is_higher_better=offer.is_higher_better, digits=offer.digits, help=offer.help,
    )  # fmt: skip


def heading_of(column: str, names: Mapping[str, str] | None = None) -> str | None:
    """The heading in a table; None for a metric of runs."""
    metric = target_metric(column)
    return None if metric is None else metric.offer.heading.format(target=title_of(metric, names))


def mark_targets(runs: pd.DataFrame, names: Mapping[str, str], shown: Sequence[str]) -> pd.DataFrame:
    """`runs`, which now carries NAMES and SHOWN."""
    runs.attrs.update({NAMES: dict(names), SHOWN: list(shown)})
    return runs


def names_in(runs: pd.DataFrame) -> Mapping[str, str]:
    """The titles of targets that a frame of runs carries."""
    found: Mapping[str, str] = runs.attrs.get(NAMES, {})
    return found


def measured_target_columns(runs: pd.DataFrame) -> list[str]:
    """The columns of targets in a frame that have values, without those that another column shows too."""
    shown = runs.attrs.get(SHOWN, ())
    found = []
    for column in runs.columns:
        metric = target_metric(column) if "." in column else None
        if metric is None or not runs[column].notna().any():
            continue
        if metric.offer.same_as is None or metric.target not in shown:
            found.append(column)
    return found


def available_with_targets(runs: pd.DataFrame) -> list[Measure]:
    """The metrics that at least one of these runs has, those of targets last."""
    own = [m for m in MEASURES.values() if m.column in runs and runs[m.column].notna().any()]
    return [*own, *(measure_of(column, names_in(runs)) for column in measured_target_columns(runs))]


def target_values(results: Mapping[int, Mapping[str, Mapping[str, Any]]]) -> TargetValues:
    """The values of all runs. results: run → target → stored result."""
    newest: dict[str, tuple[int, str]] = {}
    hosts: dict[tuple[str, str], tuple[int, Mapping[str, Any]]] = {}
    for run, by_target in results.items():
        for target, result in by_target.items():
            offering = offering_of(target)
            if offering is None or not offering.is_of_host or result.get("host") is None:
                continue
            place = _host_key(result)
            newest[target] = max(newest.get(target, (run, place)), (run, place))
            if (target, place) not in hosts or hosts[target, place][0] <= run:
                hosts[target, place] = (run, result)
    values: dict[int, dict[str, float | None]] = {}
    for run, by_target in results.items():
        for target, result in by_target.items():
            offering = offering_of(target)
            if offering is None or (offering.is_of_host and result.get("host") is None):
                continue
            place = _host_key(result) if offering.is_of_host else ""
            mark = f"@{place}" if place and newest[target][1] != place else ""
            for offer in offering.offers:
                values.setdefault(run, {})[f"{target}.{offer.name}{mark}"] = offer.read(result)
            if result.get("state") == "refused":
                values[run][refused_column(target)] = 1.0
    columns = dict.fromkeys(column for by_column in values.values() for column in by_column)
    return TargetValues(tuple(sorted(columns)), values, _names(newest, hosts))


def _names(
    newest: Mapping[str, tuple[int, str]], hosts: Mapping[tuple[str, str], tuple[int, Mapping[str, Any]]]
) -> dict[str, str]:
    """Titles; those of a target with several hosts name the version of LiteRT and the host."""
    found = {}
    targets = [target for target, _ in hosts]
    for (target, place), (_, result) in hosts.items():
        name = str(result.get("label") or target)
        if targets.count(target) > 1:
            name += f", LiteRT {result['host']['litert']}, {place.partition('-')[0]}"
        found[target if newest[target][1] == place else f"{target}@{place}"] = name
    return found


def _host_key(result: Mapping[str, Any]) -> str:
    return f"{result['host']['id']}-{result['host']['threads']}"
