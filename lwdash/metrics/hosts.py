"""The host of a run: machine and thread count. Latencies of different hosts must not be ranked together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OTHER_HOST = "never comparable with another host's"
DEVICE_METRICS = {
    "latency_ms_p50": ("p50 on {name} (µs)", f"Median latency on this device, {OTHER_HOST}"),
    "speedup": ("Speed-up on {name}", "Against the baseline on the same device, measured in rotation"),
    "added_memory_bytes": ("Memory on {name} (kB)", "Resident memory that the file added to a process there"),
    "rows_differing": (
        "Rows that differ on {name}",
        "Rows with other outputs than LiteRT's on the dashboard's host",
    ),
}
"""Metric of a device → heading and help of its column."""
RUNTIME_METRICS = {
    "latency_ms_p50": ("p50 in {name} (µs)", f"Median latency in this runtime, {OTHER_HOST}"),
    "speedup": (
        "{name} / LiteRT",
        "Speed against LiteRT with XNNPACK for the same file, measured in rotation",
    ),
    "rows_differing": ("Rows that differ in {name}", "Rows with other outputs than LiteRT's"),
}
"""The same for another runtime on this host."""
DEVICE = "device_"
"""Begins the name under which results of a device are stored."""
FACTORS = {"added_memory_bytes": 1e-3, "latency_ms_p50": 1e3}


@dataclass(frozen=True)
class TargetColumn:
    """One metric of one target on one host: a device, or a runtime. values: run → value in the unit of the heading."""

    key: str
    metric: str
    heading: str
    help: str
    values: Mapping[int, float | None]


def columns_of_hosts(results: Mapping[int, Mapping[str, Mapping[str, Any]]]) -> list[TargetColumn]:
    """Columns for results with times: of devices, and of other runtimes. results: run → target → stored result.

    Each host has columns of its own: after an update of LiteRT a device is another host, and its heading names the version.
    """
    hosts: dict[tuple[str, str], dict[int, Mapping[str, Any]]] = {}
    for run, by_target in results.items():
        for target, result in by_target.items():
            if (host := result.get("host")) is not None:
                hosts.setdefault((target, f"{host['id']} {host['threads']}"), {})[run] = result
    devices = [target for target, _ in hosts]
    found = []
    for (target, host_key), by_run in sorted(hosts.items()):
        newest = by_run[max(by_run)]
        name = str(newest["label"])
        if devices.count(target) > 1:
            name += f", LiteRT {newest['host']['litert']}, {host_key.split()[0]}"
        described = DEVICE_METRICS if target.startswith(DEVICE) else RUNTIME_METRICS
        for metric, (heading, help) in described.items():
            factor = FACTORS.get(metric, 1.0)
            values = {run: _value(result, metric, factor) for run, result in by_run.items()}
            key = f"{target} {host_key} {metric}"
            found.append(TargetColumn(key, metric, heading.format(name=name), help, values))
    return found


def _value(result: Mapping[str, Any], metric: str, factor: float) -> float | None:
    value = result["metrics"].get(metric, {}).get("value")
    return None if value is None else factor * value


def host_id(run: Mapping[str, Any]) -> str:
    """Short id of the machine that a run was timed on. Older runs without a stored id get one from the stored
    facts.
    """
    known = run.get("host_id")
    if isinstance(known, str):
        return known
    host = run.get("host")
    return (
        " ".join(str(host.get(key)) for key in ("cpu", "cores", "litert"))
        if isinstance(host, Mapping)
        else "?"
    )


def describe_host(host: Mapping[str, Any]) -> str:
    """Description of a host for users."""
    threads = host.get("threads")
    parts = [
        str(host.get("cpu") or "an unknown processor"),
        f"{host.get('cores')} core{'s' * (host.get('cores') != 1)}" if host.get("cores") else "",
        f"{threads} thread{'s' * (threads != 1)}" if threads else "",
        f"LiteRT {host['litert']}" if host.get("litert") else "",
    ]
    return ", ".join(part for part in parts if part)
