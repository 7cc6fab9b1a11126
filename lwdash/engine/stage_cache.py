"""Cached stages for children, requested over their link: `stage` looks one up, `store` stores one."""

from collections.abc import Callable
from pathlib import Path

from lwdash.child.stage_messages import (
    ComputedStage,
    FoundStage,
    KeptStage,
    MissingStage,
    read_computed,
    read_request,
)
from lwdash.child.typed_messages import to_json
from lwdash.engine.child_process import Handler
from storage import stages
from storage.errors import MissingArtifact
from storage.store import Store


def stage_handlers(store: Store, run: Callable[[], int | None] = lambda: None) -> dict[str, Handler]:
    """Handlers of a child's messages about stages. run: gives the id of the run that the child works on, if there is one."""
    return {
        "stage": lambda message: {
            "reply": to_json(find_stage(store, read_request(message["request"]).key, run()))
        },
        "store": lambda message: {"reply": to_json(keep_stage(store, read_computed(message["stage"])))},
    }


def find_stage(store: Store, key: str, run: int | None = None) -> FoundStage | MissingStage:
    """The stage of this key, or the lock file of this host's children, so that no two compute the same.

    run: id of the run that needs the stage; others that wait for the lock show it.
    """
    found = stages.get_stage(store.database, key)
    if found is None:
        return _missing(store, key, run)
    try:
        path = store.artifacts.local_path(found.sha256)
    except MissingArtifact:
        stages.forget_stage(store.database, key)
        return _missing(store, key, run)
    return FoundStage(str(path), found.facts)


def _missing(store: Store, key: str, run: int | None) -> MissingStage:
    locks = store.artifacts.cache / "making"
    locks.mkdir(parents=True, exist_ok=True)
    return MissingStage(str(locks / key), run)


def keep_stage(store: Store, stage: ComputedStage) -> KeptStage:
    """Store the file of a computed stage under its key."""
    sha256 = store.artifacts.put(Path(stage.path))
    stages.put_stage(
        store.database,
        stage.key,
        kind=stage.stage_kind,
        sha256=sha256,
        facts=dict(stage.facts),
        seconds=stage.seconds,
    )
    return KeptStage(sha256)
