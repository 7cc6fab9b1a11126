"""Working folders of children: empty at the start, removed at the end, and cleaned up if their owner was killed."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "step-"
SETTLING_S = 10.0
"""A folder younger than this may not have been locked yet."""


@contextmanager
def working_folder(scratch: Path) -> Iterator[Path]:
    """A new folder in `scratch`, locked by this process until it is removed."""
    scratch.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=scratch))
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def sweep(scratch: Path) -> int:
    """Remove the folders of this host whose owning process is gone; return their number."""
    swept = 0
    for folder in scratch.glob(f"{PREFIX}*"):
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:  # its owner has just removed it
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if time.time() - os.fstat(descriptor).st_mtime > SETTLING_S:
                shutil.rmtree(folder, ignore_errors=True)
                swept += 1
        except BlockingIOError:
            pass
        finally:
            os.close(descriptor)
    return swept


def private(path: str, flags: int) -> int:
    """Open a file; a new file is readable by its owner only."""
    return os.open(path, flags, 0o600)
