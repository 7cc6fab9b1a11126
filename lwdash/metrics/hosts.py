"""On which machine, and with how many threads, a run was timed: latencies of one must not be ranked with another's."""

from collections.abc import Mapping
from typing import Any


def host_id(run: Mapping[str, Any]) -> str:
    """The short name of the machine that a run was timed on; of runs measured before there was one, by what is known."""
    known = run.get("host_id")
    if isinstance(known, str):
        return known
    host = run.get("host")
    return (
        " ".join(str(host.get(key)) for key in ("cpu", "cores", "litert"))
        if isinstance(host, Mapping)
        else "?"
    )


def words_of(host: Mapping[str, Any]) -> str:
    """A machine for people."""
    threads = host.get("threads")
    parts = [
        str(host.get("cpu") or "an unknown processor"),
        f"{host.get('cores')} core{'s' * (host.get('cores') != 1)}" if host.get("cores") else "",
        f"{threads} thread{'s' * (threads != 1)}" if threads else "",
        f"LiteRT {host['litert']}" if host.get("litert") else "",
    ]
    return ", ".join(part for part in parts if part)
