"""Cached stages: results of exactly these inputs."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine, delete, insert, select
from sqlalchemy.exc import IntegrityError

from storage.database import now
from storage.records import StoredStage
from storage.tables import Stage


def get_stage(engine: Engine, key: str) -> StoredStage | None:
    """The cached stage with this key, or None."""
    with engine.connect() as connection:
        row = connection.execute(select(Stage.__table__).where(Stage.key == key)).mappings().first()
    return StoredStage(**row) if row else None


def put_stage(
    engine: Engine, key: str, *, kind: str, sha256: str, facts: Mapping[str, Any], seconds: float
) -> None:
    """Record a stage; if two workers computed the same, the first stays."""
    try:
        with engine.begin() as connection:
            connection.execute(
                insert(Stage).values(
                    key=key,
                    kind=kind,
                    sha256=sha256,
                    facts=dict(facts),
                    seconds=seconds,
                    created_at=now(engine),
                )
            )
    except IntegrityError:
        return


def forget_stage(engine: Engine, key: str) -> None:
    """Remove a stage whose artifact is missing, so that it is computed again."""
    with engine.begin() as connection:
        connection.execute(delete(Stage).where(Stage.key == key))
