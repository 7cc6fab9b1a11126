"""The host as a room: steps work in it side by side, and one that measures has it to itself.

Two lock files for all processes of the host, whichever home or worker they belong to. Who works holds the
room in common. Who measures locks the door, so that nobody else comes in; the others notice within a
quarter of a second, pause their children (SIGSTOP) and leave, and come back when it is done. A latency is so
never taken beside another step, and a training of an hour does not keep quick results waiting. Locks of
a process that dies are gone with it.
"""

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

POLL_S = 0.05


class Place:
    """A step's place among the others on this host. Not thread-safe."""

    def __init__(self, folder: Path | None = None):
        folder = folder or Path(tempfile.gettempdir())
        self._door = lock_file(folder / "lwdash-door.lock")
        self._room = lock_file(folder / "lwdash-room.lock")
        self._left_at: float | None = None
        self._away_s = 0.0

    @property
    def is_away(self) -> bool:
        """Whether this step makes way for another just now."""
        return self._left_at is not None

    @property
    def away_s(self) -> float:
        """Seconds that this step has made way for others so far."""
        now = time.monotonic()
        return self._away_s + (now - self._left_at if self._left_at is not None else 0.0)

    def take(self) -> bool:
        """Comes in beside others, unless somebody measures or is about to."""
        if not _try(self._door, fcntl.LOCK_SH):
            return False
        try:
            is_in = _try(self._room, fcntl.LOCK_SH)
        finally:
            fcntl.flock(self._door, fcntl.LOCK_UN)
        if is_in and self._left_at is not None:
            self._away_s = self.away_s
            self._left_at = None
        return is_in

    def is_wanted(self) -> bool:
        """Whether somebody stands at the door who needs the room alone."""
        if _try(self._door, fcntl.LOCK_SH):
            fcntl.flock(self._door, fcntl.LOCK_UN)
            return False
        return True

    def leave(self) -> None:
        """Makes way; the caller's children must stand still by now."""
        fcntl.flock(self._room, fcntl.LOCK_UN)
        self._left_at = time.monotonic()

    def take_alone(self, gives_up: Callable[[], bool]) -> bool:
        """Waits until nobody else is in; False when `gives_up` says so first."""
        for lock in (self._door, self._room):
            while not _try(lock, fcntl.LOCK_EX):
                if gives_up():
                    return False
                time.sleep(POLL_S)
        return True

    def close(self) -> None:
        for lock in (self._room, self._door):
            os.close(lock)


@contextlib.contextmanager
def place_for(*, alone: bool, gives_up: Callable[[], bool]) -> Iterator[Place | None]:
    """A place, alone or beside others, for as long as the block runs; None when `gives_up` said so first."""
    place = Place()
    try:
        if alone:
            yield place if place.take_alone(gives_up) else None
            return
        while not place.take():
            if gives_up():
                yield None
                return
            time.sleep(POLL_S)
        yield place
    finally:
        place.close()


def lock_file(path: Path) -> int:
    """Opens a lock file that every user of the host may share."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    with contextlib.suppress(FileNotFoundError):
        return os.open(path, flags)
    with contextlib.suppress(FileExistsError):  # somebody else made it meanwhile
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | flags, 0o644))
    return os.open(path, flags)


def _try(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
