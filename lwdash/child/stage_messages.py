"""Messages about cached stages, and about training on a GPU, between a child process and its supervisor."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from lwdash.child.typed_messages import from_json


@dataclass(frozen=True)
class StageRequest:
    """A child looks for the stage of this key, the hash of its inputs."""

    kind: ClassVar[str] = "stage-request"
    key: str


@dataclass(frozen=True)
class FoundStage:
    """The file of a stage, on this host, and its facts."""

    kind: ClassVar[str] = "found-stage"
    path: str
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class MissingStage:
    """No such stage. lock: the file to lock while it is computed; run: id of the run that needs it, if there is one."""

    kind: ClassVar[str] = "missing-stage"
    lock: str
    run: int | None


@dataclass(frozen=True)
class ComputedStage:
    """A stage to be stored. stage_kind: what it is; path: its file, which the child removes; seconds: spent on it."""

    kind: ClassVar[str] = "computed-stage"
    key: str
    stage_kind: str
    path: str
    facts: Mapping[str, Any]
    seconds: float


@dataclass(frozen=True)
class KeptStage:
    """A stage was stored. sha256: of its content."""

    kind: ClassVar[str] = "kept-stage"
    sha256: str


@dataclass(frozen=True)
class TrainingRequest:
    """A child needs the Keras model after the steps of a recipe. key: of its stage, which is not stored."""

    kind: ClassVar[str] = "training-request"
    recipe: str
    key: str


@dataclass(frozen=True)
class TrainedStages:
    """The stages that were trained on a GPU, as JSON of `StageReport`. None: the child has to train them itself."""

    kind: ClassVar[str] = "trained-stages"
    stages: tuple[Mapping[str, Any], ...] | None


REPLIES: tuple[type[FoundStage | MissingStage], ...] = (FoundStage, MissingStage)


def read_request(data: Any) -> StageRequest:
    """The request in a message of a child. Raises MessageRefused."""
    return from_json(data, (StageRequest,))


def read_reply(data: Any) -> FoundStage | MissingStage:
    """The supervisor's reply to a request. Raises MessageRefused."""
    return from_json(data, REPLIES)


def read_computed(data: Any) -> ComputedStage:
    """The computed stage in a message of a child. Raises MessageRefused."""
    return from_json(data, (ComputedStage,))


def read_training_request(data: Any) -> TrainingRequest:
    """The request in a message of a child. Raises MessageRefused."""
    return from_json(data, (TrainingRequest,))


def read_trained(data: Any) -> TrainedStages:
    """The supervisor's reply to a training request. Raises MessageRefused."""
    return from_json(data, (TrainedStages,))
