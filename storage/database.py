"""Connecting: SQLite in WAL mode or PostgreSQL, and the database's own clock."""

import errno
import logging
import os
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Float,
    create_engine,
    event,
    func,
    literal_column,
    make_url,
    text,
)
from sqlalchemy.exc import ArgumentError

from storage.backup import back_up
from storage.errors import NewerDatabase, StorageError, UpgradeFailed

logger = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"


def connect(url: str) -> Engine:
    """An engine for `url`; a SQLite file and its folder are created, its tables are not (see `upgrade`).

    Raises StorageError, and OSError where the file cannot be created or written.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StorageError(f"LWDASH_DATABASE_URL cannot be used ({error})") from error
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        _make_private(Path(parsed.database))
    engine = create_engine(url, pool_pre_ping=True)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _make_private(path: Path) -> None:
    """Create an empty SQLite file that only its owner can read; SQLite's additional files get the same mode.

    An existing file is not opened: closing it would drop the locks of this process's other connections, and the next
    process that closes its own would remove the write-ahead log below them.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if str(path) == ":memory:":
        return
    if not path.exists():
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    elif not os.access(path, os.R_OK | os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def _prepare_sqlite(connection: Any, record: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "busy_timeout=30000", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def now(engine: Engine) -> ColumnElement[float]:
    """The database's clock as an expression, in seconds since 1970: hosts' clocks differ, this one is shared."""
    if engine.dialect.name == "sqlite":
        return literal_column("((julianday('now') - 2440587.5) * 86400.0)", Float)
    return func.extract("epoch", func.clock_timestamp()).cast(Float)


def upgrade(engine: Engine) -> None:
    """Upgrade the tables to this code's version, completely or not at all; safe when several processes start
    at once.

    A SQLite file with tables is copied first (see backup.py). Raises NewerDatabase when the database is newer
    than the code, and UpgradeFailed when it cannot be opened or upgraded; the database is then unchanged.
    """
    script = ScriptDirectory(str(MIGRATIONS))
    head = script.get_current_head()
    assert head is not None
    try:
        with engine.connect() as connection:
            connection.detach()  # closed afterwards: its settings differ from the others'
            current = _lock(connection)
            if current and current not in {known.revision for known in script.walk_revisions()}:
                raise NewerDatabase(
                    f"this database has schema {current}, which this lwdash does not know. Update lwdash, "
                    "or set LWDASH_DATABASE_URL to another database"
                )
            if current == head:
                return
            if current and engine.dialect.name == "sqlite" and engine.url.database:
                back_up(Path(engine.url.database).absolute(), head)
            _migrate(connection, current)
    except NewerDatabase:
        raise
    except Exception as error:
        raise UpgradeFailed(
            f"the database {engine.url.render_as_string()} could not be brought to schema {head}: "
            f"{_first_line(error)}. Nothing was changed in it."
        ) from error


def _lock(connection: Connection) -> str | None:
    """Wait for other processes that upgrade, begin the only transaction, and return the present schema."""
    if connection.dialect.name == "sqlite":
        # Rebuilding a table drops the old one, which foreign keys would forbid; they are checked again at the
        # end.
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        # content hashed by an upgrade must not stay readable
        connection.exec_driver_sql("PRAGMA secure_delete=ON")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(text("SELECT pg_advisory_xact_lock(7105310)"))
    return MigrationContext.configure(connection).get_current_revision()


def _migrate(connection: Connection, current: str | None) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    if connection.dialect.name == "sqlite":
        orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        if orphans:
            raise RuntimeError(f"rows would refer to missing rows: {orphans[:3]}")
    connection.commit()
    logger.info("the database was upgraded from schema %s to the newest", current or "none")


def _first_line(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).strip().partition("\n")[0] or type(error).__name__


def ping(engine: Engine) -> str:
    """The schema revision, read from the database as a test that it responds."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision() or "none"
