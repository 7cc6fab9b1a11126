"""Results of jobs, as a child process returns them: one frozen dataclass a kind, checked by the engine on arrival."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from lwdash.child.typed_messages import from_json


@dataclass(frozen=True)
class Result:
    """Any result."""

    kind: ClassVar[str]


@dataclass(frozen=True)
class Failure:
    """A job that failed. is_fault: lwdash or a library failed, not the user's input; another try may succeed."""

    kind: ClassVar[str] = "failure"
    error: str
    is_fault: bool


@dataclass(frozen=True)
class CompressedFiles(Result):
    """Paths of the file of a recipe, of its baseline, and of its storage form where that is another file.

    compressed: JSON of `Compressed`.
    """

    kind = "compressed"
    tflite: str
    baseline: str
    compressed: Mapping[str, Any]
    stored: str | None = None


@dataclass(frozen=True)
class Stopped(Result):
    """A run of a search that was ended early, since it cannot meet the limit on the drop of accuracy.

    drop: the accuracy that it had lost, 0–1. compressed: JSON of the stages that were made.
    """

    kind = "stopped"
    reason: str
    drop: float
    compressed: Mapping[str, Any]


@dataclass(frozen=True)
class StagesTrained(Result):
    """The Keras stages of a recipe, trained on a GPU and stored. stages: JSON of a `StageReport` of each."""

    kind = "stages-trained"
    stages: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Measured(Result):
    """Headline metrics, and the bulky rest. has_details: the details are measured by a job of their own."""

    kind = "measured"
    metrics: Mapping[str, Any]
    measured: Mapping[str, Any]
    has_details: bool = False


@dataclass(frozen=True)
class Analysed(Result):
    """Additions to what is measured of a run."""

    kind = "analysed"
    measured: Mapping[str, Any]


@dataclass(frozen=True)
class Inspected(Result):
    """JSON of ModelFacts or DataFacts."""

    kind = "inspected"
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class RowsGenerated(Result):
    """The generated rows are at the path of their job. method: how they were made, as a clause."""

    kind = "rows-generated"
    method: str


@dataclass(frozen=True)
class LintReport(Result):
    """Findings as JSON. rows: number of rows in each part; label: its column; has_classes: they can be compared."""

    kind = "linted"
    findings: tuple[Mapping[str, Any], ...]
    rows: Mapping[str, int]
    label: str | None
    has_classes: bool
    task: str | None
    task_note: str | None


@dataclass(frozen=True)
class ComparedLabels(Result):
    """JSON of a `Comparison` of label readings and the classes as read; None for tasks without classes."""

    kind = "compared-labels"
    comparison: Mapping[str, Any] | None
    classes: tuple[str, ...] | None


@dataclass(frozen=True)
class Dissected(Result):
    """The graph and the weight histograms of a file."""

    kind = "dissected"
    dissected: Mapping[str, Any]


@dataclass(frozen=True)
class PlannedRows(Result):
    """The plan by which a capsule's script reads the evaluation rows."""

    kind = "planned-rows"
    plan: Mapping[str, Any]


@dataclass(frozen=True)
class ProjectWritten(Result):
    """The project to flash is at the path of its job."""

    kind = "project-written"
    size_bytes: int


@dataclass(frozen=True)
class ComparedFiles(Result):
    """The differences of two files."""

    kind = "compared-files"
    differences: Mapping[str, Any]


@dataclass(frozen=True)
class Checked(Result):
    """The libraries can be imported, in so many seconds. gpu: that TensorFlow computes on; None: none, or not tried."""

    kind = "checked"
    starts: bool
    import_seconds: float
    h5py: str
    gpu: str | None = None


RESULTS: tuple[type[Result], ...] = (
    CompressedFiles, Stopped, StagesTrained, Measured, Analysed, Inspected, RowsGenerated, LintReport, ComparedLabels,
    Dissected, PlannedRows, ProjectWritten, ComparedFiles, Checked,
)  # fmt: skip


def read_result(data: Any) -> Result:
    """The result in a message of a child. Raises MessageRefused."""
    return from_json(data, RESULTS)


def read_failure(data: Any) -> Failure:
    """The failure in a message of a child. Raises MessageRefused."""
    return from_json(data, (Failure,))
