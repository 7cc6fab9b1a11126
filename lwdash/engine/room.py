"""Sharing of the host: steps run side by side, but a step that measures latency runs alone.

Two lock files serve all processes of the host, of any home or worker. A working step holds the room lock in
shared mode. A measuring step locks the door, so that no other step enters. The others notice this within a
quarter of a second, pause their children (SIGSTOP), leave, and return after the measurement. So a latency is
never measured beside another step, and an hour of training does not delay quick results. The locks of a
process that dies are released.
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
        """True while this step is paused for another one."""
        return self._left_at is not None

    @property
    def away_s(self) -> float:
        """Seconds that this step has been paused so far."""
        now = time.monotonic()
        return self._away_s + (now - self._left_at if self._left_at is not None else 0.0)

    def take(self) -> bool:
        """Enter beside others, unless a step measures or is about to."""
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
        """True if another step waits to have the room alone."""
        if _try(self._door, fcntl.LOCK_SH):
            fcntl.flock(self._door, fcntl.LOCK_UN)
            return False
        return True

    def leave(self) -> None:
        """Leave for another step; the caller's children must be paused already."""
        fcntl.flock(self._room, fcntl.LOCK_UN)
        self._left_at = time.monotonic()

    def take_alone(self, gives_up: Callable[[], bool]) -> bool:
        """Wait until no other step is inside; False when `gives_up` returns True first."""
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
    """A place, alone or beside others, for the duration of the block; None if `gives_up` returned True first."""
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
    """Open a lock file that every user of the host may share."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    with contextlib.suppress(FileNotFoundError):
        return os.open(path, flags)
    with contextlib.suppress(FileExistsError):  # another process created it meanwhile
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | flags, 0o644))
    return os.open(path, flags)


def take_exclusively(lock: int) -> bool:
    """Lock a file of `lock_file`, unless another holds it."""
    return _try(lock, fcntl.LOCK_EX)


def _try(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
