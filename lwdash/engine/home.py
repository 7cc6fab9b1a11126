"""The home folder: opened for its owner only, with messages for an unusable home and a full disk."""

import errno
import getpass
import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from lwdash.errors import UserMistake
from lwdash.settings import Settings
from storage.store import Store, open_store

logger = logging.getLogger(__name__)

MIN_FREE_BYTES = 16_000_000
"""Free space below which no step starts: a step's files, log and row must fit, and failures must be recorded."""
FULL = (errno.ENOSPC, errno.EDQUOT)
FULL_DATABASE = ("disk is full", "disk full", "No space left on device")
"""Messages of SQLite and PostgreSQL for a write that does not fit on the disk."""
READ_ONLY_DATABASE = ("readonly database", "unable to open database file")
FOLDERS = ("cache", "logs", "scratch", "uploads")
"""Created with closed permissions, for any content."""
OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class HomeUnusable(UserMistake):
    """LWDASH_HOME cannot be used."""


class DiskFull(UserMistake):
    """The disk is full."""


def open_home(settings: Settings) -> Store:
    """Create the home if needed, remove other accounts' access to it, and open its database and artifacts.

    Raises HomeUnusable or DiskFull with a one-sentence message, and StorageError for everything else.
    """
    try:
        _prepare(settings.home)
        return open_store(settings.database_url, settings.artifacts, settings.home / "cache")
    except Exception as error:
        message = explain_storage(error, settings)
        if message is None or isinstance(error, (HomeUnusable, DiskFull)):
            raise
        kind = DiskFull if any(map(_is_full, _causes(error))) else HomeUnusable
        raise kind(message) from error


def check_room(settings: Settings, file_bytes: int = 0) -> None:
    """Raises DiskFull where the home's disk has no room for a run.

    file_bytes: the size of its input files: the store keeps a copy of them, and the rows as arrays.
    """
    needed = MIN_FREE_BYTES + 2 * file_bytes
    free = shutil.disk_usage(settings.home).free
    if free < needed:
        raise DiskFull(_full(settings.home, "LWDASH_HOME", free, needed))


def explain_storage(error: BaseException, settings: Settings) -> str | None:
    """Message for an error caused by a full disk or an unwritable home; None for any other error."""
    for cause in _causes(error):
        if isinstance(cause, (HomeUnusable, DiskFull)):
            return str(cause)
        if _is_full(cause):
            place, name, free = _fullest(settings)
            return _full(place, name, free, MIN_FREE_BYTES)
        if any(message in str(cause) for message in READ_ONLY_DATABASE):
            return _not_writable(settings.home)
        if isinstance(cause, OSError) and cause.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            place = Path(cause.filename) if isinstance(cause.filename, str) else settings.home
            if place.absolute().is_relative_to(settings.home):
                return _not_writable(place)
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and all its causes; a database error of SQLAlchemy holds the driver's as `orig`."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = getattr(error, "orig", None) or error.__cause__ or error.__context__


def _is_full(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in FULL
    return any(message in str(error) for message in FULL_DATABASE)


def _fullest(settings: Settings) -> tuple[Path, str, int]:
    """The disk with the least free space among those that lwdash writes to: place, name, free bytes."""
    places = [(settings.home, "LWDASH_HOME"), (Path(tempfile.gettempdir()), "TMPDIR")]
    if "://" not in settings.artifacts:
        places.append((Path(settings.artifacts), "LWDASH_ARTIFACTS"))
    found = []
    for place, name in places:
        there = _nearest(place)
        found.append((shutil.disk_usage(there).free, place, name))
    free, place, name = min(found, key=lambda entry: entry[0])
    return place, name, free


def _full(place: Path, name: str, free: int, needed: int) -> str:
    return (
        f"the disk is full: {free / 1e6:,.1f} MB are free in {place} ({name}), but at least "
        f"{needed / 1e6:,.0f} MB are needed. Free space (`python -m lwdash gc --dry-run` lists what can "
        "be removed), or choose another place"
    )


def _not_writable(place: Path) -> str:
    if os.statvfs(_nearest(place)).f_flag & os.ST_RDONLY:
        return f"LWDASH_HOME cannot be used: {place} is on a read-only file system. Choose another folder"
    return (
        f"LWDASH_HOME cannot be used: the account {_account()} cannot read and write {place}. Change its "
        "permissions, or choose another folder"
    )


def _nearest(place: Path) -> Path:
    """The place, or the nearest existing folder above it that this account can see."""
    return next(folder for folder in (place, *place.parents) if os.path.exists(folder))


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in containers
        return str(os.getuid())


def _prepare(home: Path) -> None:
    """Create the folder, and remove other accounts' access to it and its content. Raises HomeUnusable, OSError."""
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (FileExistsError, NotADirectoryError) as error:
        raise HomeUnusable(
            f"LWDASH_HOME must be a folder, but {_nearest(home)} is a file. Choose another place"
        ) from error
    except OSError as error:
        if error.errno in FULL:
            raise
        raise HomeUnusable(
            f"LWDASH_HOME cannot be created: the account {_account()} cannot write in "
            f"{_nearest(home.parent)} ({error.strerror}). Choose another place"
        ) from error
    if not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        raise HomeUnusable(_not_writable(home))
    for folder in FOLDERS:
        (home / folder).mkdir(exist_ok=True, mode=0o700)
    was_open = home.stat().st_mode & OPEN_TO_OTHERS
    closed = sum(map(_close, [home, *(home.rglob("*") if was_open else home.glob("*"))]))
    if closed:
        logger.info(
            "%s: other accounts could read %d files and folders; their access was removed", home, closed
        )


def _close(path: Path) -> bool:
    """Remove other accounts' access to a file or folder; return True if anything changed."""
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode) or not mode & OPEN_TO_OTHERS:
        return False
    try:
        path.chmod(stat.S_IMODE(mode) & ~OPEN_TO_OTHERS)
    except FileNotFoundError:  # another process has just removed it
        return False
    except PermissionError:
        logger.warning("%s belongs to another account, so its access rights were not changed", path)
        return False
    return True


def files_size_bytes(paths: Iterable[Path]) -> int:
    """The total size of the existing files among these."""
    return sum(path.stat().st_size for path in paths if path.is_file())
