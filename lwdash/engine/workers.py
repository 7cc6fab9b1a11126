"""Workers of a shared scheduler: properties that must equal the server's before a worker gets steps."""

import asyncio
import os
import platform
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import psutil

import lwdash
from lwdash.settings import load_settings
from storage.installation import installation_of
from storage.store import open_store

LIBRARIES = (
    "tensorflow", "keras", "tf-keras", "tensorflow-model-optimization", "ai-edge-litert", "litert-quantizer",
    "distributed",
)  # fmt: skip
RESPONSE_S = 30.0


@dataclass(frozen=True)
class Worker:
    """A place where steps run, for display."""

    address: str
    host: str
    slots: int
    """Maximum number of steps at once."""
    memory_bytes: int | None
    """Memory of its process, without the children that do the work."""
    refused: str | None = None
    """Message on why it gets no steps."""


def this_process(slots: int) -> Worker:
    """The embedded worker."""
    memory_bytes = psutil.Process().memory_info().rss
    return Worker(f"process {os.getpid()}", socket.gethostname(), slots, memory_bytes)


def of_cluster(info: Mapping[str, Mapping[str, Any]], refused: Mapping[str, str]) -> list[Worker]:
    """info: `workers` of dask's scheduler_info; refused: reason why one gets no steps, by its address."""
    without = "it offers no resource cpu: start it with `--resources cpu=N`"
    return [
        Worker(
            address,
            str(worker.get("host", "?")),
            int(worker.get("resources", {}).get("cpu", 0)),
            worker.get("metrics", {}).get("memory"),
            refused.get(address) or (None if worker.get("resources", {}).get("cpu") else without),
        )
        for address, worker in sorted(info.items())
    ]


def versions() -> dict[str, str]:
    """Versions that affect a run's result: lwdash, Python (without its last number) and the libraries."""
    found = {"lwdash": lwdash.__version__, "Python": ".".join(platform.python_version_tuple()[:2])}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


async def describe(mark: str) -> dict[str, Any]:
    """Runs on a worker: its versions, and a message on a problem of its settings, or None.

    mark: the SHA-256 of the server's installation.
    """
    try:
        problem = await asyncio.wait_for(asyncio.to_thread(_problem_here, mark), RESPONSE_S)
    except TimeoutError:
        problem = f"its database or its artifact store did not respond within {RESPONSE_S:g} s"
    return {"versions": versions(), "host": socket.gethostname(), "problem": problem}


def _problem_here(mark: str) -> str | None:
    settings = load_settings()
    store = open_store(settings.database_url, settings.artifacts, settings.home / "cache", is_upgraded=False)
    kind = store.database.dialect.name
    try:
        known = installation_of(store.database)
    except Exception as error:  # any exception of the driver is shown on the page
        return f"it cannot read its {kind} database ({type(error).__name__}): check its LWDASH_DATABASE_URL"
    finally:
        store.database.dispose()
    if known != mark:
        return (
            f"it has another database than this server ({kind} there): give it the same LWDASH_DATABASE_URL"
        )
    try:
        has_mark = store.artifacts.has(mark)
    except Exception as error:
        return f"it cannot reach its artifact store ({type(error).__name__}): check its LWDASH_ARTIFACTS"
    if not has_mark:
        return "it has another artifact store than this server: give it the same LWDASH_ARTIFACTS"
    return None


def refusal(worker: str, reply: Any, here: Mapping[str, str]) -> str | None:
    """Reason why a worker gets no steps, with both sides' versions, or None.

    answer: result of `describe` there, or its exception.
    """
    if not isinstance(reply, Mapping):
        return f"worker {worker} cannot run lwdash ({type(reply).__name__}: {reply}): install it there"
    there: Mapping[str, str] = reply["versions"]
    differing = [name for name in here if there.get(name) != here[name]]
    if differing:
        theirs, ours = (
            ", ".join(f"{name} {side.get(name, 'not installed')}" for name in differing)
            for side in (there, here)
        )
        return (
            f"worker {worker} on {reply['host']} has {theirs}, this server has {ours}: install the same there"
        )
    if reply["problem"]:
        return f"worker {worker} on {reply['host']} gets no steps: {reply['problem']}"
    return None
