"""Workers of a shared scheduler: what each must have in common with the server before it gets steps."""

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
ANSWER_S = 30.0


@dataclass(frozen=True)
class Worker:
    """Where steps run, for people who watch."""

    address: str
    host: str
    slots: int
    """Steps that it runs at once."""
    memory_bytes: int | None
    """Of its process, without the children that do the work."""
    refused: str | None = None
    """Why it gets no steps, in words."""


def this_process(slots: int) -> Worker:
    """The embedded worker."""
    memory_bytes = psutil.Process().memory_info().rss
    return Worker(f"process {os.getpid()}", socket.gethostname(), slots, memory_bytes)


def of_cluster(info: Mapping[str, Mapping[str, Any]], refused: Mapping[str, str]) -> list[Worker]:
    """info: `workers` of dask's scheduler_info; refused: why one gets no steps, by its address."""
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
    """What decides a run's result: lwdash, Python (without its last number) and the libraries."""
    found = {"lwdash": lwdash.__version__, "Python": ".".join(platform.python_version_tuple()[:2])}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


async def describe(mark: str) -> dict[str, Any]:
    """Runs on a worker: its versions, and what is wrong with its settings, in words, or None.

    mark: the SHA-256 of the server's installation.
    """
    try:
        problem = await asyncio.wait_for(asyncio.to_thread(_problem_here, mark), ANSWER_S)
    except TimeoutError:
        problem = f"its database or its artifact store did not answer within {ANSWER_S:g} s"
    return {"versions": versions(), "host": socket.gethostname(), "problem": problem}


def _problem_here(mark: str) -> str | None:
    settings = load_settings()
    store = open_store(settings.database_url, settings.artifacts, settings.home / "cache", is_upgraded=False)
    kind = store.database.dialect.name
    try:
        known = installation_of(store.database)
    except Exception as error:  # whatever the driver raises, it is said on the page
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


def refusal(worker: str, answer: Any, here: Mapping[str, str]) -> str | None:
    """Why a worker gets no steps, both sides' versions named, or None.

    answer: what `describe` returned there, or the exception that it raised.
    """
    if not isinstance(answer, Mapping):
        return f"worker {worker} cannot run lwdash ({type(answer).__name__}: {answer}): install it there"
    there: Mapping[str, str] = answer["versions"]
    differing = [name for name in here if there.get(name) != here[name]]
    if differing:
        theirs, ours = (
            ", ".join(f"{name} {side.get(name, 'not installed')}" for name in differing)
            for side in (there, here)
        )
        return f"worker {worker} on {answer['host']} has {theirs}, this server has {ours}: install the same there"
    if answer["problem"]:
        return f"worker {worker} on {answer['host']} gets no steps: {answer['problem']}"
    return None
