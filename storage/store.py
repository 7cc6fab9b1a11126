"""The database and the artifact store of one installation, opened together."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from storage.artifacts import Artifacts
from storage.database import connect, upgrade


@dataclass(frozen=True)
class Store:
    """Both are safe to share between threads."""

    database: Engine
    artifacts: Artifacts


def open_store(database_url: str, artifacts_url: str, cache: Path, *, is_upgraded: bool = True) -> Store:
    """Opens both; `is_upgraded=False` leaves the tables as they are."""
    store = Store(connect(database_url), Artifacts(artifacts_url, cache))
    if is_upgraded:
        upgrade(store.database)
    return store
