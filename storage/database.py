"""Connecting: SQLite in WAL mode or PostgreSQL, and the database's own clock."""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    ColumnElement,
    Engine,
    Float,
    create_engine,
    event,
    func,
    literal_column,
    make_url,
    text,
)

from storage.errors import NewerDatabase

MIGRATIONS = Path(__file__).parent / "migrations"


def connect(url: str) -> Engine:
    """An engine for `url`; a SQLite file's folder is created, its tables are not (see `upgrade`)."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, pool_pre_ping=True)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
    return engine


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
    """Brings the tables to this code's version; safe when several processes start at once.

    Raises NewerDatabase when the database is ahead of the code.
    """
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    known = {script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()}
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.execute(text("SELECT pg_advisory_xact_lock(7105310)"))
        current = MigrationContext.configure(connection).get_current_revision()
        if current and current not in known:
            raise NewerDatabase(
                f"this database has schema {current}, which this lwdash does not know: update lwdash, "
                "or set LWDASH_DATABASE_URL to another database"
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()


def ping(engine: Engine) -> str:
    """The schema revision, read from the database: proof that it answers."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision() or "none"
