"""The identity of an installation: a mark in its database and in its artifact store.

With it, a worker on another host proves that it uses the same two.
"""

import uuid

from sqlalchemy import Engine, delete, insert, select
from sqlalchemy.exc import IntegrityError

from storage.store import Store
from storage.tables import Preference

_NOBODY, _KEY = "", "installation"


def installation_of(engine: Engine) -> str | None:
    """The SHA-256 of this database's mark, or None where there is none."""
    query = select(Preference.value).where(Preference.owner == _NOBODY, Preference.key == _KEY)
    with engine.connect() as connection:
        value = connection.execute(query).scalar()
    return value["sha256"] if value else None


def mark_installation(store: Store) -> str:
    """Create the mark unless there is one; return its SHA-256, under which the artifact store has it too."""
    known = installation_of(store.database)
    if known and store.artifacts.has(known):
        return known
    sha256 = store.artifacts.put_bytes(f"lwdash installation {uuid.uuid4().hex}".encode())
    try:
        with store.database.begin() as connection:
            if known:
                mark = (Preference.owner == _NOBODY, Preference.key == _KEY)
                connection.execute(delete(Preference).where(*mark))
            connection.execute(insert(Preference).values(owner=_NOBODY, key=_KEY, value={"sha256": sha256}))
    except IntegrityError:  # another server created it first: its mark counts
        return mark_installation(store)
    return sha256
