"""Visitors of the dashboard and their rights; a database engine can be bound to a visitor."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Engine,
    Insert,
    Update,
    event,
    false,
    or_,
    select,
    true,
)

from storage.errors import StorageError
from storage.tables import Experiment, Run

OPTION = "lwdash_visitor"


class NotAllowed(StorageError):
    """Only the owner of an experiment may change it."""


@dataclass(frozen=True)
class Visitor:
    """One person, or one share link, at one moment."""

    is_open: bool = False
    """Nobody signs in here: whoever reaches the server may do everything."""
    email: str | None = None
    """Who signed in."""
    shared: int | None = None
    """The one experiment that a share link shows; such a visitor only reads, whoever it is."""

    @property
    def is_known(self) -> bool:
        """Whether the visitor may see more than one shared experiment."""
        return self.shared is None and (self.is_open or self.email is not None)

    def can_see(self, experiment: Mapping[str, Any]) -> bool:
        """What is not private, one's own, and what the share link is for."""
        if self.shared is not None:
            return experiment["id"] == self.shared
        if self.is_open:
            return True
        return self.email is not None and (not experiment["is_private"] or experiment["owner"] == self.email)

    def can_change(self, experiment: Mapping[str, Any]) -> bool:
        """One's own, and what belongs to nobody: it was made before people signed in, or on the command line."""
        if self.shared is not None:
            return False
        return self.is_open or (
            self.email is not None
            and (
                experiment["owner"] == self.email
                or (experiment["owner"] is None and self.can_see(experiment))
            )
        )


EVERYBODY = Visitor(is_open=True)
"""The visitor of a server without sign-in, and the programs of lwdash itself."""
NOBODY = Visitor()
"""Somebody who has not signed in where one has to."""


@lru_cache(maxsize=256)
def bound_to(engine: Engine, visitor: Visitor) -> Engine:
    """The same database as this visitor sees and may change it.

    Queries of experiments and runs leave out what the visitor must not see. Whatever is written, by whichever
    function: updates reach only what the visitor may change, runs are added only there (else NotAllowed), and
    who came by a share link or has not signed in writes nothing at all (NotAllowed).
    """
    bound = engine.execution_options(**{OPTION: visitor})
    if visitor != EVERYBODY:
        event.listen(bound, "before_execute", _keep_to_what_is_allowed, retval=True)
    return bound


def visitor_of(engine: Engine) -> Visitor:
    """Whom an engine is bound to; EVERYBODY where it is not."""
    return engine.get_execution_options().get(OPTION, EVERYBODY)


def is_seen(engine: Engine) -> ColumnElement[bool]:
    """For queries of experiments: those that this engine's visitor sees."""
    visitor = visitor_of(engine)
    if visitor.shared is not None:
        return Experiment.id == visitor.shared
    if visitor.is_open:
        return true()
    if visitor.email is None:
        return false()
    return or_(Experiment.is_private.is_(False), Experiment.owner == visitor.email)


def is_run_seen(engine: Engine) -> ColumnElement[bool]:
    """For queries of runs: those of the experiments that this engine's visitor sees."""
    visitor = visitor_of(engine)
    if visitor.shared is not None:
        return Run.experiment_id == visitor.shared
    return true() if visitor.is_open else Run.experiment_id.in_(select(Experiment.id).where(is_seen(engine)))


def must_change(engine: Engine, experiment_id: int) -> None:
    """Raises NotAllowed where this engine's visitor may not change the experiment."""
    visitor = visitor_of(engine)
    if visitor.is_open and visitor.shared is None:
        return
    query = select(Experiment.id, Experiment.owner, Experiment.is_private).where(
        Experiment.id == experiment_id
    )
    with engine.connect() as connection:
        row = connection.execute(query).mappings().first()
    if row is None or not visitor.can_change(dict(row)):
        raise NotAllowed("this experiment belongs to somebody else: only its owner can change it")


def is_run_changeable(engine: Engine) -> ColumnElement[bool]:
    """For updates of runs: those of experiments that this engine's visitor may change."""
    visitor = visitor_of(engine)
    if visitor.shared is not None or not visitor.is_known:
        return false()
    if visitor.is_open:
        return true()
    return Run.experiment_id.in_(select(Experiment.id).where(_is_own(engine)))


def _is_own(engine: Engine) -> ColumnElement[bool]:
    visitor = visitor_of(engine)
    return or_(
        Experiment.owner == visitor.email, Experiment.owner.is_(None) & Experiment.is_private.is_(False)
    )


def _keep_to_what_is_allowed(
    connection: Connection, statement: Any, many: Any, single: Any, options: Mapping[str, Any]
) -> tuple[Any, Any, Any]:
    """Called before each statement of a bound engine."""
    if not isinstance(statement, (Insert, Update, Delete)):
        return statement, many, single
    engine = connection.engine
    if not visitor_of(engine).is_known:
        raise NotAllowed("who looks on by a share link, or has not signed in, can change nothing")
    table = getattr(statement.table, "name", None)  # of a mapped class, the table is an annotated copy
    if isinstance(statement, Insert):
        if table == Run.__tablename__:
            rows = [statement.compile().params, *([single] if single else []), *(many or ())]
            for experiment_id in {
                row["experiment_id"] for row in rows if row.get("experiment_id") is not None
            }:
                must_change(engine, experiment_id)
    elif table == Run.__tablename__:
        statement = statement.where(is_run_changeable(engine))
    elif table == Experiment.__tablename__:
        statement = statement.where(_is_own(engine))
    return statement, many, single
