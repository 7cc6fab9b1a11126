"""Cached stages of the supervisor, asked for over the link."""

import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lwdash.child.link import Link


class LinkCache:
    """Stages kept by the supervisor."""

    def __init__(self, link: Link):
        self.link = link

    def get(self, key: str) -> tuple[Path, dict[str, Any]] | None:
        answer = self.link.ask("stage", key=key)
        return (Path(answer["path"]), answer["facts"]) if answer["path"] else None

    @contextmanager
    def making(self, key: str) -> Iterator[None]:
        """Holds a lock file, which the kernel frees when this process dies: then the next that waits makes the stage.

        Nobody waits in a circle: a stage is asked for by the stages that follow it in a recipe, never the other way.
        """
        path = self.link.ask("stage", key=key).get("lock")
        if path is None:  # made since it was looked up
            yield
            return
        with open(path, "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.link.progress("waiting for another run that is making the same", 0.0)
                fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                yield
            finally:
                Path(path).unlink(missing_ok=True)

    def put(self, key: str, kind: str, data: bytes | Path, facts: Mapping[str, Any], seconds: float) -> None:
        path = data if isinstance(data, Path) else write_scratch(data)
        self.link.ask("store", key=key, kind=kind, path=str(path), facts=dict(facts), seconds=seconds)
        path.unlink()


def write_scratch(data: bytes) -> Path:
    """A new file in the child's own folder."""
    descriptor, name = tempfile.mkstemp()
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    return Path(name)
