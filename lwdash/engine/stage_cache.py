"""Cached stages as a child asks for them over its link: `stage` looks one up, `store` keeps one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from storage import stages
from storage.errors import MissingArtifact
from storage.store import Store


def find_stage(store: Store, message: Mapping[str, Any]) -> dict[str, Any]:
    """{"path", "facts", "seconds"} of the stage with this `key`, or {"path": None}."""
    found = stages.get_stage(store.database, message["key"])
    if found is None:
        return {"path": None}
    try:
        path = store.artifacts.local_path(found["sha256"])
    except MissingArtifact:
        stages.forget_stage(store.database, message["key"])
        return {"path": None}
    return {"path": str(path), "facts": found["facts"], "seconds": found["seconds"]}


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
