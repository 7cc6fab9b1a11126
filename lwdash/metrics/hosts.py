"""The host of a run: machine and thread count. Latencies of different hosts must not be ranked together."""

from collections.abc import Iterable, Mapping
from typing import Any


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


def training_device(stages: Iterable[Mapping[str, Any]]) -> str | None:
    """`GPU: NAME` for a run with stages that were trained on a GPU; None for training on the CPU, or without training."""
    names = dict.fromkeys(str(gpu) for stage in stages if (gpu := (stage.get("facts") or {}).get("gpu")))
    return f"GPU: {', '.join(names)}" if names else None
