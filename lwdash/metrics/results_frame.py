"""The frame of an experiment's runs: one row per run with its metrics, and with values computed from them."""

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from lwdash.metrics.hosts import describe_host, host_id
from lwdash.metrics.run_metrics import INTERVALS, MEASURES
from lwdash.metrics.technique_families import family

METRICS = (
    *MEASURES, *INTERVALS.values(), "rows", "generated_rows", "baseline_accuracy", "baseline_size_bytes", "verdict",
    "verdict_text", "verdict_details", "output_findings", "arena_reason", "host", "host_id",
)  # fmt: skip
DERIVED = ("smaller", "accuracy_change", "run_seconds", "family", "name", "host_name")


def results_frame_of(
    runs: pd.DataFrame, metrics: Mapping[int, Mapping[str, Any]], of_targets: Collection[str] = ()
) -> pd.DataFrame:
    """`runs` with `METRICS` (NaN or None where not measured) and `DERIVED`: smaller (×), accuracy_change (0–1),
    run_seconds, family (see metrics.technique_families), name (title or recipe), host_name.

    runs: one row per run, with at least id, recipe, is_baseline, state, started_at, finished_at and title.
    metrics: stored metrics by the run's id. of_targets: further columns, of targets (see metrics.offers).
    """
    nothing: dict[str, Any] = {}
    done = runs["state"] == "succeeded"
    rows = [metrics.get(i, nothing) if ok else nothing for i, ok in zip(runs["id"], done, strict=True)]
    columns = {name: [row.get(name) for row in rows] for name in (*METRICS, *of_targets)}
    measured = pd.DataFrame(columns, index=runs.index)
    known = ("rows", "generated_rows", "baseline_accuracy", "baseline_size_bytes")
    for name in (*MEASURES, *known, *of_targets):
        measured[name] = pd.to_numeric(measured[name], errors="coerce").astype(float)
    whole = pd.concat([runs, measured], axis=1)
    whole["smaller"] = whole["baseline_size_bytes"] / whole["size_bytes"]
    whole["accuracy_change"] = whole["accuracy"] - whole["baseline_accuracy"]
    whole["run_seconds"] = pd.to_numeric(whole["finished_at"]) - pd.to_numeric(whole["started_at"])
    whole.loc[~done, "run_seconds"] = None
    whole["family"] = [family(r, b) for r, b in zip(whole["recipe"], whole["is_baseline"], strict=True)]
    whole["name"] = whole["title"].where(whole["title"].notna(), whole["recipe"])
    whole["host_name"] = pd.Series(_host_names(whole), index=whole.index, dtype=object)
    return whole


def _host_names(runs: pd.DataFrame) -> list[str | None]:
    """`AMD EPYC, 2 cores, 1 thread, LiteRT 2.3.0`, with the machine's short name if two are equal."""
    hosts = list(zip(runs["host"], runs["host_id"], strict=True))
    descriptions = [describe_host(host) if isinstance(host, Mapping) else None for host, _ in hosts]
    ids: dict[str, set[str]] = {}
    for description, (host, name) in zip(descriptions, hosts, strict=True):
        if description is not None:
            ids.setdefault(description, set()).add(host_id({"host": host, "host_id": name}))
    return [
        description
        if description is None or len(ids[description]) < 2
        else f"{description} ({host_id({'host': host, 'host_id': name})})"
        for description, (host, name) in zip(descriptions, hosts, strict=True)
    ]
