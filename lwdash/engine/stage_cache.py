"""Cached stages as a child asks for them over its link: `stage` looks one up, `store` keeps one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from storage import stages
from storage.errors import MissingArtifact
from storage.store import Store


def find_stage(store: Store, message: Mapping[str, Any]) -> dict[str, Any]:
    """{"path", "facts", "seconds"} of the stage with this `key`, or {"path": None, "lock"}.

    lock: a file for this host's children to lock while they make the stage, so that two do not make the same.
    """
    found = stages.get_stage(store.database, message["key"])
    if found is None:
        return _missing(store, message["key"])
    try:
        path = store.artifacts.local_path(found["sha256"])
    except MissingArtifact:
        stages.forget_stage(store.database, message["key"])
        return _missing(store, message["key"])
    return {"path": str(path), "facts": found["facts"], "seconds": found["seconds"]}


def _missing(store: Store, key: str) -> dict[str, Any]:
    locks = store.artifacts.cache / "making"
    locks.mkdir(parents=True, exist_ok=True)
    return {"path": None, "lock": str(locks / key)}


def keep_stage(store: Store, message: Mapping[str, Any]) -> dict[str, Any]:
    """Takes the file at `path` into the store as the stage with this `key`."""
    sha256 = store.artifacts.put(Path(message["path"]))
    stages.put_stage(
        store.database,
        message["key"],
        kind=message["kind"],
        sha256=sha256,
        facts=message["facts"],
        seconds=message["seconds"],
    )
    return {"sha256": sha256}
