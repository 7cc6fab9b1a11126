"""Jobs for child processes: one frozen dataclass a kind, built by the engine and read in the child.

Paths are text, since jobs travel as JSON. `model_facts`, `data_facts` and `settings` are the stored JSON of
ModelFacts, DataFacts and DataSettings: the key of the prepared rows is the hash of them as they are stored.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from lwdash.child.typed_messages import from_json


@dataclass(frozen=True)
class UploadedFile:
    """An uploaded file in the artifact store, and its name before the upload."""

    path: str
    sha256: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Job:
    """Any job. log: file that takes all output; seconds: limit of processor time for each core."""

    kind: ClassVar[str]
    log: str | None = None
    seconds: int | None = None

    def uploads(self) -> Iterator[UploadedFile]:
        """The uploaded files of the job, in the order of its fields."""
        for field in fields(self):
            value = getattr(self, field.name)
            for each in value.values() if isinstance(value, Mapping) else (value,):
                if isinstance(each, UploadedFile):
                    yield each


@dataclass(frozen=True, kw_only=True)
class RowsJob(Job):
    """A job that needs the prepared rows of an experiment.

    parts: files of their own for "evaluation" or "calibration". task: None for the task of the labels.
    data_facts: None: the data is inspected again.
    """

    model_facts: Mapping[str, Any]
    data: UploadedFile
    parts: Mapping[str, UploadedFile]
    settings: Mapping[str, Any]
    task: str | None
    data_facts: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class Compress(RowsJob):
    """Makes the file of a recipe and its baseline. code: Python code that the model needs, and that may run.

    max_drop: the largest drop of accuracy, 0–1: training that has lost too much for it is stopped; None: it is not.
    """

    kind = "compress"
    recipe: str
    model: UploadedFile
    task: str
    seed: int
    code: UploadedFile | None = None
    max_drop: float | None = None


@dataclass(frozen=True, kw_only=True)
class TrainStages(RowsJob):
    """Trains the Keras steps of `recipe` on the GPU that this process sees, for a Compress job that waits.

    gpu: its name. The other fields are those of Compress.
    """

    kind = "train"
    recipe: str
    gpu: str
    model: UploadedFile
    task: str
    seed: int
    code: UploadedFile | None = None


@dataclass(frozen=True, kw_only=True)
class TakeFile(RowsJob):
    """Checks a .tflite from somewhere else as the file of a run, and makes its baseline. code: as for Compress."""

    kind = "take-file"
    tflite: UploadedFile
    model: UploadedFile
    task: str
    seed: int
    code: UploadedFile | None = None


@dataclass(frozen=True, kw_only=True)
class MeasureRun(RowsJob):
    """Measures the headline metrics of a file.

    stored: the file in another storage form, where there is one. peers: files whose latencies are measured in the same
    rotation.
    """

    kind = "measure"
    tflite: str
    baseline: str
    task: str
    threads: int
    stored: str | None = None
    peers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MeasureDetails(RowsJob):
    """Measures layers, targets and the accuracy waterfall of a file.

    trail: the stages that led to it, see compress. stored: as for MeasureRun. targets: run besides the usual ones.
    """

    kind = "details"
    tflite: str
    baseline: str
    task: str
    threads: int
    trail: tuple[Mapping[str, Any], ...]
    stored: str | None = None
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MeasureOnTarget(RowsJob):
    """Runs a file on one target. stored: as for MeasureRun."""

    kind = "on-target"
    tflite: str
    target: str
    stored: str | None = None


@dataclass(frozen=True, kw_only=True)
class PackDeviceRows(RowsJob):
    """Packs evaluation rows, and the outputs of LiteRT here, for measurements of a file on devices."""

    kind = "pack-device-rows"
    tflite: str
    baseline: str


@dataclass(frozen=True, kw_only=True)
class MeasureSensitivity(RowsJob):
    """Measures the loss of each layer in the format of a recipe."""

    kind = "sensitivity"
    recipe: str
    baseline: str
    task: str
    trail: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, kw_only=True)
class Lint(RowsJob):
    """Runs the linter over the prepared rows."""

    kind = "lint"
    data_facts: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class CompareLabels(RowsJob):
    """Compares the labels with the classes that the model gives. code: as for Compress."""

    kind = "compare-labels"
    model: UploadedFile
    seed: int
    code: UploadedFile | None = None


@dataclass(frozen=True, kw_only=True)
class EvaluationRows(RowsJob):
    """Plans reading the evaluation rows without lwdash. arrays: path of a file to write, with arrays of the plan."""

    kind = "evaluation-rows"
    tflite: str
    baseline: str
    arrays: str


@dataclass(frozen=True, kw_only=True)
class WriteProject(RowsJob):
    """Writes a project to flash to `zip`. tflite: the file on the microcontroller. notes: comment above its array."""

    kind = "write-project"
    tflite: str
    zip: str
    title: str
    notes: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class InspectModel(Job):
    """Reads the facts of an uploaded model. code: as for Compress."""

    kind = "inspect-model"
    file: UploadedFile
    code: UploadedFile | None = None


@dataclass(frozen=True, kw_only=True)
class GenerateRows(Job):
    """Generates rows from a model, and writes them to `rows` as .npz.

    low, high: the range of all values, from the user; None: the model tells it. code: as for Compress.
    """

    kind = "generate-rows"
    model: UploadedFile
    model_facts: Mapping[str, Any]
    rows: str
    seed: int
    low: float | None = None
    high: float | None = None
    code: UploadedFile | None = None


@dataclass(frozen=True, kw_only=True)
class InspectTflite(Job):
    """Reads the facts of an uploaded .tflite."""

    kind = "inspect-tflite"
    file: UploadedFile


@dataclass(frozen=True, kw_only=True)
class InspectData(Job):
    """Reads the facts of an uploaded data file. The options are as in DataSettings; None: the file decides."""

    kind = "inspect-data"
    file: UploadedFile
    label: str | None = None
    delimiter: str | None = None
    has_header: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Dissect(Job):
    """Reads the graph and the weight histograms of a file."""

    kind = "dissect"
    tflite: str
    baseline: str
    layer_names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class CompareFiles(Job):
    """Lists the differences of two .tflite files."""

    kind = "compare"
    expected: str
    found: str


@dataclass(frozen=True, kw_only=True)
class Check(Job):
    """Imports the libraries, to see whether they work. uses_gpu: also the GPU that this process sees."""

    kind = "check"
    uses_gpu: bool = False


JOBS: tuple[type[Job], ...] = (
    Compress, TrainStages, TakeFile, MeasureRun, MeasureDetails, MeasureOnTarget, PackDeviceRows, MeasureSensitivity, Lint,
    CompareLabels, EvaluationRows, WriteProject, InspectModel, GenerateRows, InspectTflite, InspectData, Dissect,
    CompareFiles, Check,
)  # fmt: skip


def read_job(data: Any) -> Job:
    """The job in a message of the engine. Raises MessageRefused."""
    return from_json(data, JOBS)
