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
    """State of a run."""

    QUEUED = "queued"
    """Waits for its next step to be claimed."""
    RUNNING = "running"
    """A worker has claimed the step and sends heartbeats."""
    SUCCEEDED = "succeeded"
    """Measured; never changes again."""
    FAILED = "failed"
    """Ended with an error message; never changes again."""
    CANCELLED = "cancelled"
    """Ended by a user; never changes again."""
    STOPPED = "stopped"
    """Ended early, since it cannot meet a limit of its search; `error` is the reason. Never changes again."""


class SearchState(StrEnum):
    """State of a search; only a running one changes."""

    RUNNING = "running"
    ENDED = "ended"
    STOPPED = "stopped"
    """By a user."""
    FAILED = "failed"


class TaskState(StrEnum):
    """State of a task of a device."""

    QUEUED = "queued"
    """Waits for an agent; also after an agent's lease has ended without a result."""
    LEASED = "leased"
    """An agent measures it, and must report before its lease ends."""
    DONE = "done"
    """Its result is recorded; never changes again."""
    FAILED = "failed"
    """Ended with an error message; never changes again."""
    CANCELLED = "cancelled"
    """Ended by a user, or with its device; never changes again."""


RECIPE = "recipe"
FINAL = (State.SUCCEEDED, State.FAILED, State.CANCELLED, State.STOPPED)
RETRYABLE = (State.FAILED, State.CANCELLED, State.STOPPED)
"""States of runs that ended without a result."""


_UNDER_WAY_OR_DONE = "state IN ('queued', 'running', 'succeeded')"


def _once(name: str, *columns: str, where: str) -> Index:
    """An index that makes the rows with `where` unique, on SQLite and PostgreSQL."""
    return Index(name, *columns, unique=True, sqlite_where=text(where), postgresql_where=text(where))


class Base(DeclarativeBase):
    type_annotation_map: ClassVar[dict[Any, Any]] = {dict[str, Any]: JSON, list[Any]: JSON}


class File(Base):
    """An uploaded model, data or code file: its content is in the artifact store under its hash."""

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
    """Properties that make runs comparable: model, data, reading and splitting of the rows, task."""

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
    """Separate files: "evaluation" | "calibration" → {"sha256", "name"}, the other parts are split; "code": the Python
    file that the model needs.
    """
    settings: Mapped[dict[str, Any]] = mapped_column(JSON)
    task: Mapped[str] = mapped_column(String(20))
    seed: Mapped[int] = mapped_column(Integer)
    fingerprint: Mapped[str] = mapped_column(String(64), index=True)
    limits: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict, server_default="{}")
    """The limits that a run must meet, by the keys of `lwdash.metrics.limits`; each may be absent."""
    threads: Mapped[int] = mapped_column(default=1, server_default="1")
    """Number of threads for latency measurements."""
    note: Mapped[str] = mapped_column(Text, default="", server_default="")
    owner: Mapped[str | None] = mapped_column(String(200))
    """Its owner, if sign-in is enabled."""
    is_private: Mapped[bool] = mapped_column(default=False, server_default=false())
    """True if only its owner and users of its share link can see it."""
    share_token_sha256: Mapped[str | None] = mapped_column(String(64), index=True, unique=True)
    """SHA-256 of the token of the read-only share link; None when there is no link."""
    identity: Mapped[str | None] = mapped_column(String(64), index=True, unique=True)
    """SHA-256 of name, fingerprint and owner, so that equal experiments are one. None for an experiment that
    an older lwdash made twice, or whose new owner already has an equal one.
    """
    targets: Mapped[list[Any]] = mapped_column(JSON, default=list, server_default="[]")
    """Names of the targets that its runs are measured on, besides those that are always measured."""


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
    """The user who started it, if sign-in is enabled."""
    title: Mapped[str | None] = mapped_column(String(200))
    """The user's title; the recipe is shown where there is none."""
    tags: Mapped[list[Any]] = mapped_column(JSON, default=list, server_default="[]")
    note: Mapped[str] = mapped_column(Text, default="", server_default="")

    state: Mapped[str] = mapped_column(String(10), default=State.QUEUED)
    step: Mapped[str] = mapped_column(String(20))
    attempt: Mapped[int] = mapped_column(default=1)
    vanished: Mapped[int] = mapped_column(default=0)
    """Number of times that a worker was lost during this attempt's steps; a retry counts anew."""
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
    stored_sha256: Mapped[str | None] = mapped_column(String(64))
    """The file in a storage form that LiteRT does not run, such as look-up tables or coded."""
    size_bytes: Mapped[int | None] = mapped_column()
    gzip_bytes: Mapped[int | None] = mapped_column()
    accuracy: Mapped[float | None] = mapped_column(Float)
    agreement: Mapped[float | None] = mapped_column(Float)
    latency_ms_p50: Mapped[float | None] = mapped_column(Float)
    speedup: Mapped[float | None] = mapped_column(Float)
    sparsity: Mapped[float | None] = mapped_column(Float)
    figures: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    """All metrics of the whole file; `size_bytes` and similar columns repeat some for lists and sorting."""


class RunDetail(Base):
    """The bulky part of a run, read only on its own page: layers, stages, skipped layers, host."""

    __tablename__ = "run_details"

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    compressed: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    measured: Mapped[dict[str, Any] | None] = mapped_column(JSON)


class TargetOutcome(Base):
    """The result of a run's file on one target: a runtime or a device other than LiteRT on this host."""

    __tablename__ = "target_results"

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    target: Mapped[str] = mapped_column(String(40), primary_key=True)
    result: Mapped[dict[str, Any]] = mapped_column(JSON)
    """The stored form of lwdash.targets.target_result.TargetResult."""
    measured_at: Mapped[float] = mapped_column(Float)


class DeviceRow(Base):
    """Another computer, whose agent connects to this server, measures files, and sends the results."""

    __tablename__ = "devices"
    __table_args__ = (_once("uq_devices_name", "name", where="removed_at IS NULL"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(60))
    owner: Mapped[str | None] = mapped_column(String(200))
    """The user who added it, if sign-in is enabled."""
    token_sha256: Mapped[str | None] = mapped_column(String(64), index=True, unique=True)
    """SHA-256 of the token of its agents; None after the device was removed."""
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict, server_default="{}")
    """The machine and its libraries, as the agent reported them last."""
    created_at: Mapped[float] = mapped_column(Float)
    last_seen_at: Mapped[float | None] = mapped_column(Float)
    removed_at: Mapped[float | None] = mapped_column(Float)


class DeviceTask(Base):
    """The measurement of one run's file on one device."""

    __tablename__ = "device_tasks"
    __table_args__ = (
        Index("ix_device_tasks_device_id_state", "device_id", "state"),
        _once("uq_device_tasks_open", "device_id", "run_id", where="state IN ('queued', 'leased')"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id"))
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), index=True)
    owner: Mapped[str | None] = mapped_column(String(200))
    """The user who asked for it, if sign-in is enabled."""
    state: Mapped[str] = mapped_column(String(10), default=TaskState.QUEUED)
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    """Number of agents that have taken it."""
    lease: Mapped[str | None] = mapped_column(String(64))
    """Known to the agent that has it, or had it last; repeated uploads of one result name it."""
    leased_until: Mapped[float | None] = mapped_column(Float)
    doing: Mapped[str | None] = mapped_column(String(200))
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[float] = mapped_column(Float)
    finished_at: Mapped[float | None] = mapped_column(Float)


class Stage(Base):
    """A cached piece of work: the key is a hash of its inputs, the artifact is its result."""

    __tablename__ = "stages"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    sha256: Mapped[str] = mapped_column(String(64))
    facts: Mapped[dict[str, Any]] = mapped_column(JSON)
    seconds: Mapped[float] = mapped_column(Float)
    created_at: Mapped[float] = mapped_column(Float)


class Search(Base):
    """A search that chooses the recipes of an experiment's next runs, until its budget is used or a user stops it."""

    __tablename__ = "searches"
    __table_args__ = (_once("uq_searches_running", "experiment_id", where="state = 'running'"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    experiment_id: Mapped[int] = mapped_column(ForeignKey("experiments.id"), index=True)
    submission: Mapped[str] = mapped_column(String(32), unique=True)
    """The submission of its runs."""
    owner: Mapped[str | None] = mapped_column(String(200))
    goal: Mapped[str] = mapped_column(String(40))
    """The metric to improve."""
    budget: Mapped[int] = mapped_column(Integer)
    """Maximum number of runs it may start."""
    asked: Mapped[int] = mapped_column(default=0, server_default="0")
    """Number of runs it has started."""
    settings: Mapped[dict[str, Any]] = mapped_column(JSON)
    """Its search space and sampler: see lwdash.search."""
    state: Mapped[str] = mapped_column(String(10), default=SearchState.RUNNING, index=True)
    words: Mapped[str | None] = mapped_column(Text)
    """Reason of its end."""
    created_at: Mapped[float] = mapped_column(Float)
    finished_at: Mapped[float | None] = mapped_column(Float)


class Preference(Base):
    """A user's choice for the pages; `owner` is empty if sign-in is disabled."""

    __tablename__ = "preferences"

    owner: Mapped[str] = mapped_column(String(200), primary_key=True)
    key: Mapped[str] = mapped_column(String(100), primary_key=True)
    value: Mapped[dict[str, Any]] = mapped_column(JSON)
