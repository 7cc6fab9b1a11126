"""The tables. Times are seconds since 1970 (UTC) by the database's clock; documents are JSON."""

from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class State(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    """Waits for its next step to be claimed."""
    RUNNING = "running"
    """A worker has claimed the step and sends heartbeats."""
    SUCCEEDED = "succeeded"
    """Measured; never changes again."""
    FAILED = "failed"
    """Ended with an error that says why; never changes again."""
    CANCELLED = "cancelled"
    """Ended by a person; never changes again."""


class SearchState(StrEnum):
    """Where a search stands; only a running one changes."""

    RUNNING = "running"
    ENDED = "ended"
    STOPPED = "stopped"
    """By a person."""
    FAILED = "failed"


RECIPE = "recipe"
FINAL = (State.SUCCEEDED, State.FAILED, State.CANCELLED)


_UNDER_WAY_OR_DONE = "state IN ('queued', 'running', 'succeeded')"


def _once(name: str, *columns: str, where: str) -> Index:
    """An index that keeps rows unique of which `where` is true, on SQLite and PostgreSQL alike."""
    return Index(name, *columns, unique=True, sqlite_where=text(where), postgresql_where=text(where))


class Base(DeclarativeBase):
    type_annotation_map: ClassVar[dict[Any, Any]] = {dict[str, Any]: JSON, list[Any]: JSON}


class File(Base):
    """An uploaded model or data file: its content lies in the artifact store under its hash."""

    __tablename__ = "files"
    __table_args__ = (UniqueConstraint("sha256", "kind"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    kind: Mapped[str] = mapped_column(String(10))
    name: Mapped[str] = mapped_column(String(255))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[float] = mapped_column(Float)
    facts: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    error: Mapped[str | None] = mapped_column(Text)


class Experiment(Base):
    """What makes runs comparable: model, data, how the rows are read and split, the task."""

    __tablename__ = "experiments"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[float] = mapped_column(Float, index=True)
    model_sha256: Mapped[str] = mapped_column(String(64))
    model_name: Mapped[str] = mapped_column(String(255))
    model_facts: Mapped[dict[str, Any]] = mapped_column(JSON)
    data_sha256: Mapped[str] = mapped_column(String(64))
    data_name: Mapped[str] = mapped_column(String(255))
    own_parts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    """Separate files for a part: "evaluation" | "calibration" → {"sha256", "name"}; the others are split."""
    settings: Mapped[dict[str, Any]] = mapped_column(JSON)
    task: Mapped[str] = mapped_column(String(20))
    seed: Mapped[int] = mapped_column(Integer)
    fingerprint: Mapped[str] = mapped_column(String(64), index=True)
    limits: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict, server_default="{}")
    """What a run must keep to: "size_bytes", "accuracy_drop" (0–1), "latency_ms", "arena_bytes"; each may be absent."""
    threads: Mapped[int] = mapped_column(default=1, server_default="1")
    """With how many threads latencies are measured."""
    note: Mapped[str] = mapped_column(Text, default="", server_default="")
    owner: Mapped[str | None] = mapped_column(String(200))
    """Who made it, where people sign in."""
    is_private: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Only its owner sees it, and who has its share link."""
    share_token_sha256: Mapped[str | None] = mapped_column(String(64), index=True, unique=True)
    """SHA-256 of what a read-only share link carries; None when there is no such link."""
    identity: Mapped[str | None] = mapped_column(String(64), index=True, unique=True)
    """SHA-256 of name, fingerprint and owner, so that equal experiments are one. None for one that an older lwdash
    made twice, or that came to have an owner who has an equal one."""


class Run(Base):
    """One recipe applied to one experiment."""

    __tablename__ = "runs"
    __table_args__ = (
        Index("ix_runs_experiment_id_id", "experiment_id", "id"),
        Index("ix_runs_state", "state"),
        _once("uq_runs_baseline", "experiment_id", where=f"is_baseline AND {_UNDER_WAY_OR_DONE}"),
        _once("uq_runs_analysis", "of_run", "kind", where=f"kind <> 'recipe' AND {_UNDER_WAY_OR_DONE}"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    experiment_id: Mapped[int] = mapped_column(ForeignKey("experiments.id"))
    recipe: Mapped[str] = mapped_column(Text)
    is_baseline: Mapped[bool] = mapped_column(default=False)
    is_trained: Mapped[bool] = mapped_column(default=False)
    submission: Mapped[str] = mapped_column(String(32))
    kind: Mapped[str] = mapped_column(String(20), default=RECIPE, server_default=RECIPE)
    """RECIPE, or the name of an analysis of another run, which lists of runs leave out."""
    of_run: Mapped[int | None] = mapped_column(ForeignKey("runs.id", name="fk_runs_of_run"), index=True)
    """The run that an analysis is of."""
    owner: Mapped[str | None] = mapped_column(String(200))
    """Who started it, where people sign in."""
    title: Mapped[str | None] = mapped_column(String(200))
    """What a person calls it; the recipe where there is none."""
    tags: Mapped[list[Any]] = mapped_column(JSON, default=list, server_default="[]")
    note: Mapped[str] = mapped_column(Text, default="", server_default="")

    state: Mapped[str] = mapped_column(String(10), default=State.QUEUED)
    step: Mapped[str] = mapped_column(String(20))
    attempt: Mapped[int] = mapped_column(default=1)
    vanished: Mapped[int] = mapped_column(default=0)
    """How often a worker stopped without a word while it had this attempt's steps; a retry counts anew."""
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    doing: Mapped[str | None] = mapped_column(String(200))
    progress: Mapped[float] = mapped_column(Float, default=0.0)
    error: Mapped[str | None] = mapped_column(Text)
    worker: Mapped[str | None] = mapped_column(String(200))
    created_at: Mapped[float] = mapped_column(Float)
    started_at: Mapped[float | None] = mapped_column(Float)
    heartbeat_at: Mapped[float | None] = mapped_column(Float)
    finished_at: Mapped[float | None] = mapped_column(Float)

    tflite_sha256: Mapped[str | None] = mapped_column(String(64))
    baseline_sha256: Mapped[str | None] = mapped_column(String(64))
    size_bytes: Mapped[int | None] = mapped_column()
    gzip_bytes: Mapped[int | None] = mapped_column()
    accuracy: Mapped[float | None] = mapped_column(Float)
    agreement: Mapped[float | None] = mapped_column(Float)
    latency_ms_p50: Mapped[float | None] = mapped_column(Float)
    speedup: Mapped[float | None] = mapped_column(Float)
    sparsity: Mapped[float | None] = mapped_column(Float)
    figures: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    """Everything measured about the whole file; `size_bytes` and the like repeat it for lists and sorting."""


class RunDetail(Base):
    """The bulky part of a run, read only on its own page: layers, stages, what was skipped, host."""

    __tablename__ = "run_details"

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    compressed: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    measured: Mapped[dict[str, Any] | None] = mapped_column(JSON)


class Stage(Base):
    """A cached piece of work: the key says exactly what went in, the artifact what came out."""

    __tablename__ = "stages"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    sha256: Mapped[str] = mapped_column(String(64))
    facts: Mapped[dict[str, Any]] = mapped_column(JSON)
    seconds: Mapped[float] = mapped_column(Float)
    created_at: Mapped[float] = mapped_column(Float)


class Search(Base):
    """lwdash chooses the recipes of an experiment's next runs, until so many were run or somebody stops it."""

    __tablename__ = "searches"
    __table_args__ = (_once("uq_searches_running", "experiment_id", where="state = 'running'"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    experiment_id: Mapped[int] = mapped_column(ForeignKey("experiments.id"), index=True)
    submission: Mapped[str] = mapped_column(String(32), unique=True)
    """The submission of its runs."""
    owner: Mapped[str | None] = mapped_column(String(200))
    goal: Mapped[str] = mapped_column(String(40))
    """The figure of a run that is to be small."""
    budget: Mapped[int] = mapped_column(Integer)
    """How many runs it may start."""
    asked: Mapped[int] = mapped_column(default=0, server_default="0")
    """How many runs it has started."""
    settings: Mapped[dict[str, Any]] = mapped_column(JSON)
    """Between what it chooses, and how: see lwdash.search."""
    state: Mapped[str] = mapped_column(String(10), default=SearchState.RUNNING, index=True)
    words: Mapped[str | None] = mapped_column(Text)
    """Why it has ended."""
    created_at: Mapped[float] = mapped_column(Float)
    finished_at: Mapped[float | None] = mapped_column(Float)


class Preference(Base):
    """What a person chose for the pages; `owner` is empty where nobody signs in."""

    __tablename__ = "preferences"

    owner: Mapped[str] = mapped_column(String(200), primary_key=True)
    key: Mapped[str] = mapped_column(String(100), primary_key=True)
    value: Mapped[dict[str, Any]] = mapped_column(JSON)
