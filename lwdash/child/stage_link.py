"""Cached stages of the supervisor, requested over the link."""

import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lwdash.child.link import Link
from lwdash.child.stage_messages import (
    ComputedStage,
    FoundStage,
    MissingStage,
    StageRequest,
    TrainingRequest,
    read_reply,
    read_trained,
)
from lwdash.child.typed_messages import to_json


class LinkCache:
    """Stages stored by the supervisor."""

    def __init__(self, link: Link):
        self.link = link

    def get(self, key: str) -> tuple[Path, dict[str, Any]] | None:
        """The file and the facts of a stage; None where it is not stored."""
        found = self._find(key)
        return (Path(found.path), dict(found.facts)) if isinstance(found, FoundStage) else None

    def _find(self, key: str) -> FoundStage | MissingStage:
        return read_reply(self.link.ask("stage", request=to_json(StageRequest(key)))["reply"])

    @contextmanager
    def making(self, key: str) -> Iterator[None]:
        """Hold a lock file while the stage is computed; it contains the id of the run that computes it.

        The kernel releases the lock when this process dies; then the next waiting process computes the stage.
        There is no deadlock: only later stages of a recipe wait for earlier ones.
        """
        found = self._find(key)
        if isinstance(found, FoundStage):  # computed since it was looked up
            yield
            return
        with open(found.lock, "a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                other = lock.read(20)
                whose = f"run {other}" if other.isdigit() else "another run"
                self.link.progress(f"waiting for a step shared with {whose}", 0.0)
                fcntl.flock(lock, fcntl.LOCK_EX)
            lock.truncate(0)
            lock.write(str(found.run or ""))
            lock.flush()
            try:
                yield
            finally:
                Path(found.lock).unlink(missing_ok=True)

    def put(self, key: str, kind: str, data: bytes | Path, facts: Mapping[str, Any], seconds: float) -> None:
        """Stores a stage; a file given as `data` is removed."""
        path = data if isinstance(data, Path) else write_scratch(data)
        self.link.ask("store", stage=to_json(ComputedStage(key, kind, str(path), facts, seconds)))
        path.unlink()


class LinkTrainer:
    """Training in another child of the supervisor, which sees a GPU."""

    def __init__(self, link: Link):
        self.link = link

    def __call__(self, recipe: str, key: str) -> Sequence[Mapping[str, Any]] | None:
        reply = self.link.ask("train", request=to_json(TrainingRequest(recipe, key)))["reply"]
        return read_trained(reply).stages


def write_scratch(data: bytes) -> Path:
    """A new file in the child's own folder."""
    descriptor, name = tempfile.mkstemp()
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    return Path(name)
