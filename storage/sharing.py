"""Share links and privacy of experiments. A link's token is all that its visitor needs; without it, it is dead."""

import secrets
from typing import Any

from sqlalchemy import Engine, select, update

from storage.tables import Experiment
from storage.visitors import must_change

TOKEN_BYTES = 32
LONGEST_TOKEN = 64


def share(engine: Engine, experiment_id: int) -> str:
    """The token of the experiment's share link; it is made where there is none. Raises NotAllowed."""
    must_change(engine, experiment_id)
    query = select(Experiment.share_token).where(Experiment.id == experiment_id)
    with engine.begin() as connection:
        known = connection.execute(query).scalar()
        if known is None:
            made = update(Experiment).where(Experiment.id == experiment_id, Experiment.share_token.is_(None))
            connection.execute(made.values(share_token=secrets.token_urlsafe(TOKEN_BYTES)))
            known = connection.execute(query).scalar_one()
    assert known is not None
    return known


def revoke(engine: Engine, experiment_id: int) -> None:
    """Kills the experiment's share link; a later one has another token. Raises NotAllowed."""
    _set(engine, experiment_id, share_token=None)


def set_private(engine: Engine, experiment_id: int, is_private: bool, owner: str) -> None:
    """Hides an experiment from all but its owner, or shows it again; what belongs to nobody becomes `owner`'s.

    Raises NotAllowed.
    """
    must_change(engine, experiment_id)
    changed = update(Experiment).where(Experiment.id == experiment_id)
    with engine.begin() as connection:
        connection.execute(changed.where(Experiment.owner.is_(None)).values(owner=owner))
        connection.execute(changed.values(is_private=is_private))


def shared_experiment(engine: Engine, token: str) -> int | None:
    """The experiment whose share link has this token now, or None."""
    if not token or len(token) > LONGEST_TOKEN or not token.isascii():
        return None
    query = select(Experiment.id).where(Experiment.share_token == token)
    with engine.connect() as connection:
        return connection.execute(query).scalar()


def _set(engine: Engine, experiment_id: int, **values: Any) -> None:
    must_change(engine, experiment_id)
    with engine.begin() as connection:
        connection.execute(update(Experiment).where(Experiment.id == experiment_id).values(**values))
