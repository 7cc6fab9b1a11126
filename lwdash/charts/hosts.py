"""On which machines and with how many threads runs were timed: latencies of one must not be ranked with another's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class TimedOn:
    """A machine with a number of threads, and the runs whose latency was taken there, in the order of the frame.

    host_id: short, the same for equal machines. words: for people, as in `Xeon @ 2.10GHz, 2 cores, 1 thread, LiteRT 2.3`.
    """

    host_id: str
    threads: int
    words: str
    runs: tuple[int, ...]


def hosts_of(frame: pd.DataFrame) -> list[TimedOn]:
    """The places of a frame of runs, as `storage.frames.runs_frame` gives it, the one with most runs first.

    More than one: their latencies differ by the machine too, so rank only within each. Speed-ups, each against the
    baseline on the same machine, may be compared with a word of caution. Runs without a latency count nowhere.
    """
    if frame.empty or not {"id", "latency_ms_p50", "host"} <= set(frame.columns):
        return []
    places: dict[tuple[str, int], tuple[str, list[int]]] = {}
    for run in frame[frame["latency_ms_p50"].notna()].to_dict("records"):
        host = run["host"] if isinstance(run["host"], Mapping) else {}
        key = (host_id(run), int(host.get("threads") or 1))
        places.setdefault(key, (words_of(host), []))[1].append(int(run["id"]))
    found = [TimedOn(name, threads, words, tuple(runs)) for (name, threads), (words, runs) in places.items()]
    return sorted(found, key=lambda place: -len(place.runs))


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
