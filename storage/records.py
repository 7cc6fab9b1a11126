"""Rows of the database as typed, frozen records. JSON documents (metrics, facts, settings) stay mappings inside them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping

from storage.errors import MissingArtifact
from storage.tables import FINAL, RETRYABLE, SearchState, State


@dataclass(frozen=True)
class RunFiles:
    """The files of a run in the artifact store, by their SHA-256."""

    tflite: str
    baseline: str


@dataclass(frozen=True, kw_only=True)
class RunProgress:
    """The state of a run, and its present activity."""

    id: int
    recipe: str
    state: State
    doing: str | None
    progress: float
    """0–1, of the running step."""
    error: str | None
    started_at: float | None

    @property
    def has_succeeded(self) -> bool:
        return self.state == State.SUCCEEDED

    @property
    def is_retryable(self) -> bool:
        """True if it ended without a result."""
        return self.state in RETRYABLE

    @property
    def has_ended(self) -> bool:
        return self.state in FINAL


@dataclass(frozen=True, kw_only=True)
class StoredRun(RunProgress):
    """One recipe applied to one experiment, or an analysis of such a run; the columns of `storage.tables.Run`."""

    experiment_id: int
    is_baseline: bool
    is_trained: bool
    submission: str
    kind: str
    of_run: int | None
    owner: str | None
    title: str | None
    tags: tuple[str, ...]
    note: str
    step: str
    attempt: int
    vanished: int
    cancel_requested: bool
    worker: str | None
    created_at: float
    heartbeat_at: float | None
    finished_at: float | None
    tflite_sha256: str | None
    baseline_sha256: str | None
    stored_sha256: str | None
    size_bytes: int | None
    gzip_bytes: int | None
    accuracy: float | None
    agreement: float | None
    latency_ms_p50: float | None
    speedup: float | None
    sparsity: float | None
    metrics: Mapping[str, Any]
    """All metrics of the whole file, including the metrics above; empty if nothing was measured."""

    def files(self) -> RunFiles:
        """The run's files. Raises MissingArtifact for a run that has not been compressed."""
        if self.tflite_sha256 is None or self.baseline_sha256 is None:
            raise MissingArtifact(f"run {self.id} has no file: it is {self.state}")
        return RunFiles(self.tflite_sha256, self.baseline_sha256)

    @property
    def seconds(self) -> float | None:
        """From the first claim to the end; None for a run that has not started or not ended."""
        if self.started_at is None or self.finished_at is None:
            return None
        return self.finished_at - self.started_at


@dataclass(frozen=True, kw_only=True)
class StoredAnalysis(StoredRun):
    """An analysis of a run."""

    measured: Mapping[str, Any]
    """Its results; empty until it has succeeded."""


@dataclass(frozen=True)
class RunDetails:
    """The bulky part of a run; each is empty if nothing was recorded."""

    compressed: Mapping[str, Any]
    """Recorded while compressing: stages, skipped layers, libraries."""
    measured: Mapping[str, Any]
    """Recorded while measuring: layers, confusion matrix, changed rows."""


@dataclass(frozen=True, kw_only=True)
class ExperimentAccess:
    """The columns of an experiment that decide who may see and change it."""

    id: int
    owner: str | None
    """The person who created it, if people sign in."""
    is_private: bool


@dataclass(frozen=True)
class NamedFile:
    """A file in the artifact store and the name that it was uploaded with."""

    sha256: str
    name: str


@dataclass(frozen=True, kw_only=True)
class StoredExperiment(ExperimentAccess):
    """Everything that runs must share to be comparable; the columns of `storage.tables.Experiment`."""

    name: str
    created_at: float
    model_sha256: str
    model_name: str
    model_facts: Mapping[str, Any]
    data_sha256: str
    data_name: str
    own_parts: Mapping[str, NamedFile]
    """Separate files for "evaluation" or "calibration"; the other parts are split from the data."""
    code: NamedFile | None = None
    """The Python file that the model's custom layers need, which its user allowed to run."""
    settings: Mapping[str, Any]
    task: str
    seed: int
    fingerprint: str
    limits: Mapping[str, float]
    threads: int
    note: str
    share_token_sha256: str | None
    identity: str | None
    targets: tuple[str, ...] = ()
    """Targets that its runs are measured on, besides those that are always measured."""

    @property
    def model(self) -> NamedFile:
        return NamedFile(self.model_sha256, self.model_name)

    @property
    def data(self) -> NamedFile:
        return NamedFile(self.data_sha256, self.data_name)

    @property
    def generated(self) -> str | None:
        """Method by which its rows were generated from the model, as a clause; None: the rows are real."""
        return self.settings.get("generated")


CODE = "code"
"""Key of the code file among the stored `own_parts`."""


@dataclass(frozen=True, kw_only=True)
class FoundExperiment(ExperimentAccess):
    """An experiment in the overview, with the number of its runs in each state."""

    name: str
    created_at: float
    model_name: str
    data_name: str
    task: str
    limits: Mapping[str, float]
    last_active: float
    runs: int
    succeeded: int
    running: int
    queued: int
    failed: int
    stopped: int
    cancelled: int


def experiment_values(row: RowMapping) -> dict[str, Any]:
    """The arguments of `StoredExperiment` from a row with all columns of the table."""
    values: dict[str, Any] = {**row}
    stored = values["own_parts"] or {}
    parts = {part: NamedFile(file["sha256"], file["name"]) for part, file in stored.items()}
    return values | {
        "code": parts.pop(CODE, None),
        "own_parts": parts,
        "limits": values["limits"] or {},
        "targets": tuple(values["targets"] or ()),
    }


@dataclass(frozen=True, kw_only=True)
class StoredSearch:
    """A search for recipes: the columns of `storage.tables.Search`, and its runs that have not ended."""

    id: int
    experiment_id: int
    submission: str
    owner: str | None
    goal: str
    budget: int
    asked: int
    settings: Mapping[str, Any]
    state: SearchState
    words: str | None
    """The reason why it ended."""
    created_at: float
    finished_at: float | None
    pending: int
    """Number of runs of its experiment that have not ended."""
    own_pending: int
    """Number of runs that it started and that have not ended."""

    @property
    def is_running(self) -> bool:
        return self.state == SearchState.RUNNING

    @property
    def has_failed(self) -> bool:
        return self.state == SearchState.FAILED


@dataclass(frozen=True, kw_only=True)
class StoredFile(NamedFile):
    """An uploaded model or data file; the columns of `storage.tables.File`."""

    id: int
    kind: str
    size_bytes: int
    created_at: float
    facts: Mapping[str, Any] | None
    """The results of its inspection; None if it was refused or not inspected."""
    error: str | None
    """The reason why it was refused."""

    def found_facts(self) -> dict[str, Any]:
        """The facts of a file that was inspected and not refused."""
        assert self.facts is not None, "an inspected file has facts or an error"
        return dict(self.facts)


@dataclass(frozen=True, kw_only=True)
class StoredStage:
    """A cached piece of work; the columns of `storage.tables.Stage`."""

    key: str
    kind: str
    sha256: str
    facts: Mapping[str, Any]
    seconds: float
    created_at: float


def run_values(row: RowMapping) -> dict[str, Any]:
    """The arguments of `StoredRun` from a row with all columns of the table."""
    values: dict[str, Any] = {**row}
    metrics = values.pop("figures")
    return values | {
        "state": State(values["state"]),
        "tags": tuple(values["tags"] or ()),
        "metrics": metrics or {},
    }
