"""Cached stages: what was made from exactly these inputs before."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine, delete, insert, select
from sqlalchemy.exc import IntegrityError

from storage.database import now
from storage.tables import Stage


def get_stage(engine: Engine, key: str) -> Mapping[str, Any] | None:
    """The cached stage with this key (kind, sha256, facts, seconds), or None."""
    with engine.connect() as connection:
        row = connection.execute(select(Stage.__table__).where(Stage.key == key)).mappings().first()
    return dict(row) if row else None


def put_stage(
    engine: Engine, key: str, *, kind: str, sha256: str, facts: Mapping[str, Any], seconds: float
) -> None:
    """Records a stage; of two workers that made the same, the first stays."""
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
    """Drops a stage whose artifact is gone, so that it is made again."""
    with engine.begin() as connection:
        connection.execute(delete(Stage).where(Stage.key == key))
