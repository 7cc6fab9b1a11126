"""A copy of a SQLite database from before a change of its tables."""

import logging
import os
import sqlite3
from pathlib import Path

logger = logging.getLogger(__name__)

MAX_COPIES = 3


def back_up(database: Path, revision: str) -> Path:
    """Copy `database` to `<name>.before-<revision>.sqlite` beside it, completely or not at all; return the
    copy.

    revision: the schema of the upgrade. Programs may continue to read the database. The newest three copies
    are kept. Raises OSError or sqlite3.Error (for example for a full disk); then there is no new copy.
    """
    copy = database.with_name(f"{database.stem}.before-{revision}.sqlite")
    part = copy.with_name(f"{copy.name}.{os.getpid()}.part")
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT, 0o600))  # sqlite3 would create it readable by others
        source, target = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True), sqlite3.connect(part)
        try:
            source.backup(target)
            # The copy is one file, even if the original has a write-ahead log.
            target.execute("PRAGMA journal_mode=DELETE")
        finally:
            target.close()
            source.close()
        with part.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(part, copy)
    finally:
        part.unlink(missing_ok=True)
    logger.info("the database was copied to %s before its upgrade to schema %s", copy, revision)
    _forget_old(database)
    return copy


def _forget_old(database: Path) -> None:
    copies = sorted(
        database.parent.glob(f"{database.stem}.before-*.sqlite"), key=lambda path: path.stat().st_mtime
    )
    for path in copies[:-MAX_COPIES]:
        path.unlink(missing_ok=True)
        logger.info("the old copy %s was removed: the newest %d are kept", path, MAX_COPIES)
