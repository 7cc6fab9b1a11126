"""Looking into uploaded files, in a child process with a short leash."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lwdash
from lwdash.engine.child_process import Handler, run_child
from lwdash.errors import NotFound
from lwdash.settings import Settings
from storage import experiments
from storage.store import Store


@dataclass(frozen=True)
class Limits:
    """What a child may use until its answer is there."""

    seconds: int
    memory_mb: int


LIMITS = Limits(seconds=300, memory_mb=4096)
MODEL_LIMITS = Limits(seconds=90, memory_mb=2048)
"""Models of 2 GB take some 10 s, and less than 1 GB of memory whatever their size."""
_FOUND_BY = "lwdash"
"""In stored facts: the version that found them."""
_LOOKED_AT: set[tuple[str, str, str]] = set()
"""(database, hash, kind) of the files that this process has had looked into: a refusal says no version."""


def inspect_file(settings: Settings, store: Store, sha256: str, kind: str) -> dict[str, Any]:
    """What a stored file holds: its row with `facts`, or with `error` saying why it is refused.

    kind: "model" or "data". What was found is kept; a fault of ours is not, so that the next call tries again. What
    another version of lwdash found or refused is looked for anew, once.
    """
    row = experiments.get_file(store.database, sha256, kind)
    if row is None:
        raise NotFound(f"no {kind} file {sha256[:12]}… was uploaded")
    key = (str(store.database.url), sha256, kind)
    if key in _LOOKED_AT or (row["facts"] or {}).get(_FOUND_BY) == lwdash.__version__:
        return dict(row)
    path = store.artifacts.local_path(sha256)
    answer = ask_child(settings, f"inspect-{kind}", {"path": str(path), "name": row["name"]})
    facts, error = answer.get("facts"), answer.get("error")
    if not answer.get("is_fault"):
        _LOOKED_AT.add(key)
    if facts is None and row["facts"] is not None:
        return dict(row)  # experiments stand on what an earlier version found
    if not answer.get("is_fault"):
        facts = facts and {**facts, _FOUND_BY: lwdash.__version__}
        experiments.set_file_facts(store.database, row["id"], facts, error)
    return {**row, "facts": facts, "error": error}


def inspect_as(
    settings: Settings, store: Store, row: Mapping[str, Any], reading: Mapping[str, Any]
) -> dict[str, Any]:
    """A data file's row with facts read another way than the file itself suggests.

    reading: `label`, `has_header` and `delimiter` as in DataSettings, None where the file decides. Without any,
    or with a label that is among the candidates already, the row comes back as it is.
    """
    facts = row["facts"]
    if facts is None or row["error"]:
        return dict(row)
    asked = {key: reading.get(key) or None for key in ("label", "delimiter")}
    asked["has_header"] = reading.get("has_header")
    if asked["label"] in [c["name"] for c in facts["candidates"]]:
        asked["label"] = None
    if all(value is None for value in asked.values()):
        return dict(row)
    key = (row["sha256"], *asked.values())
    if key not in _READ_OTHERWISE:
        path = store.artifacts.local_path(row["sha256"])
        answer = ask_child(settings, "inspect-data", {"path": str(path), "name": row["name"], **asked})
        if answer.get("is_fault"):
            return {**row, "facts": None, "error": answer["error"]}
        while len(_READ_OTHERWISE) >= MOST_READ_OTHERWISE:
            _READ_OTHERWISE.pop(next(iter(_READ_OTHERWISE)))
        _READ_OTHERWISE[key] = answer
    answer = _READ_OTHERWISE[key]
    return {**row, "facts": answer.get("facts"), "error": answer.get("error")}


_READ_OTHERWISE: dict[tuple[Any, ...], dict[str, Any]] = {}
MOST_READ_OTHERWISE = 16


def ask_child(
    settings: Settings, step: str, job: dict[str, Any], handlers: Mapping[str, Handler] | None = None
) -> dict[str, Any]:
    """One job for a child of its own: its `done` message, or {"error": words}. handlers: for what else it may ask."""
    answer: dict[str, Any] = {}
    jobs = [{**job, "run": None}]
    started = time.monotonic()

    def keep(message: dict[str, Any]) -> dict[str, Any]:
        answer.update(message)
        return {}

    limits = MODEL_LIMITS if step == "inspect-model" else LIMITS

    def watch(memory_mb: int) -> str | None:
        if memory_mb > limits.memory_mb:
            return f"reading it took more than {limits.memory_mb:,} MB of memory"
        if time.monotonic() - started > limits.seconds:
            return f"reading it took longer than {limits.seconds} s"
        return None

    ended = run_child(
        [step],
        scratch=settings.scratch,
        log=settings.logs / "inspections.log",
        handlers={
            "next": lambda _: {"job": jobs.pop() if jobs else None},
            "done": keep,
            "failed": keep,
            "progress": lambda _: None,
            **(handlers or {}),
        },
        watch=watch,
    )
    return answer or {"error": f"the file could not be read: {ended.words}", "is_fault": True}
