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
from storage.records import ExperimentAccess
from storage.tables import Experiment, Run

OPTION = "lwdash_visitor"


class NotAllowed(StorageError):
    """Only the owner of an experiment may change it."""


@dataclass(frozen=True)
class Visitor:
    """One person, or one share link, at one moment."""

    is_open: bool = False
    """True if sign-in is disabled: every visitor of the server may do everything."""
    email: str | None = None
    """The signed-in person."""
    shared: int | None = None
    """The one experiment that a share link shows; such a visitor can only read, also when signed in."""

    @property
    def is_known(self) -> bool:
        """True if the visitor may see more than one shared experiment."""
        return self.shared is None and (self.is_open or self.email is not None)

    def can_see(self, experiment: ExperimentAccess) -> bool:
        """True for public experiments, own ones, and the one of the share link."""
        if self.shared is not None:
            return experiment.id == self.shared
        if self.is_open:
            return True
        return self.email is not None and (not experiment.is_private or experiment.owner == self.email)

    def can_change(self, experiment: ExperimentAccess) -> bool:
        """True for own experiments, and for those without an owner: created before sign-in was enabled, or on
        the command line.
        """
        if self.shared is not None:
            return False
        return self.is_open or (
            self.email is not None
            and (experiment.owner == self.email or (experiment.owner is None and self.can_see(experiment)))
        )


EVERYBODY = Visitor(is_open=True)
"""The visitor of a server without sign-in, and of the programs of lwdash itself."""
NOBODY = Visitor()
"""A visitor who is not signed in where sign-in is required."""


@lru_cache(maxsize=256)
def bound_to(engine: Engine, visitor: Visitor) -> Engine:
    """The same database with this visitor's rights.

    Queries of experiments and runs leave out rows that the visitor may not see. All writes are restricted:
    updates reach only rows that the visitor may change, runs are added only there (else NotAllowed), and
    visitors with a share link or without sign-in cannot write at all (NotAllowed).
    """
    bound = engine.execution_options(**{OPTION: visitor})
    if visitor != EVERYBODY:
        event.listen(bound, "before_execute", _keep_to_what_is_allowed, retval=True)
    return bound


def visitor_of(engine: Engine) -> Visitor:
    """The visitor that an engine is bound to; EVERYBODY by default."""
    return engine.get_execution_options().get(OPTION, EVERYBODY)


def is_seen(engine: Engine) -> ColumnElement[bool]:
    """Condition for queries of experiments: those that this engine's visitor may see."""
    visitor = visitor_of(engine)
    if visitor.shared is not None:
        return Experiment.id == visitor.shared
    if visitor.is_open:
        return true()
    if visitor.email is None:
        return false()
    return or_(Experiment.is_private.is_(False), Experiment.owner == visitor.email)


def is_run_seen(engine: Engine) -> ColumnElement[bool]:
    """Condition for queries of runs: those of the experiments that this engine's visitor may see."""
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
    if row is None or not visitor.can_change(ExperimentAccess(**row)):
        raise NotAllowed("this experiment belongs to another user: only its owner can change it")


def is_run_changeable(engine: Engine) -> ColumnElement[bool]:
    """Condition for updates of runs: those of experiments that this engine's visitor may change."""
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
        raise NotAllowed("a visitor with a share link, or who has not signed in, cannot change anything")
    table = getattr(statement.table, "name", None)  # for a mapped class, the table is an annotated copy
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
