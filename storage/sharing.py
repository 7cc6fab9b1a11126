"""Share links and privacy of experiments. A link's token is the only access right of its visitor.

Only the SHA-256 of a token is stored, so reading the database or a copy of it does not reveal the link.
"""

import hashlib
import secrets
from typing import Any

from sqlalchemy import Engine, select, update
from sqlalchemy.exc import IntegrityError

from storage.experiments import identity_of
from storage.tables import Experiment
from storage.visitors import must_change

TOKEN_BYTES = 32
LONGEST_TOKEN = 64


def share(engine: Engine, experiment_id: int) -> str:
    """Create a share link for the experiment and return its token, which cannot be read again later.

    An earlier link becomes invalid. Raises NotAllowed.
    """
    token = secrets.token_urlsafe(TOKEN_BYTES)
    _set(engine, experiment_id, share_token_sha256=_sha256(token))
    return token


def revoke(engine: Engine, experiment_id: int) -> None:
    """Invalidate the experiment's share link; a later one has another token. Raises NotAllowed."""
    _set(engine, experiment_id, share_token_sha256=None)


def set_private(engine: Engine, experiment_id: int, is_private: bool, owner: str) -> None:
    """Hide an experiment from all but its owner, or show it again. An experiment without an owner becomes
    `owner`'s.

    Raises NotAllowed.
    """
    must_change(engine, experiment_id)
    try:
        _take_over(engine, experiment_id, owner, has_identity=True)
    except IntegrityError:  # the owner has an equal experiment, which keeps the identity
        _take_over(engine, experiment_id, owner, has_identity=False)
    _set(engine, experiment_id, is_private=is_private)


def _take_over(engine: Engine, experiment_id: int, owner: str, *, has_identity: bool) -> None:
    """Give an experiment without an owner to `owner`; any other stays unchanged."""
    query = select(Experiment.name, Experiment.fingerprint).where(
        Experiment.id == experiment_id, Experiment.owner.is_(None)
    )
    with engine.begin() as connection:
        row = connection.execute(query).first()
        if row is None:
            return
        identity = identity_of(row.name, row.fingerprint, owner) if has_identity else None
        changed = update(Experiment).where(Experiment.id == experiment_id, Experiment.owner.is_(None))
        connection.execute(changed.values(owner=owner, identity=identity))


def shared_experiment(engine: Engine, token: str) -> int | None:
    """The experiment whose share link has this token now, or None."""
    if not token or len(token) > LONGEST_TOKEN or not token.isascii():
        return None
    query = select(Experiment.id).where(Experiment.share_token_sha256 == _sha256(token))
    with engine.connect() as connection:
        return connection.execute(query).scalar()


def _set(engine: Engine, experiment_id: int, **values: Any) -> None:
    must_change(engine, experiment_id)
    with engine.begin() as connection:
        connection.execute(update(Experiment).where(Experiment.id == experiment_id).values(**values))


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
