"""Types that techniques receive and return."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

Progress = Callable[[str, float], None]
"""Called with a description of the present work and the finished share, 0–1."""
Outputs = Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]]
"""Computes a model's outputs, one array per output, for rows of all its inputs."""


@dataclass(frozen=True)
class Skipped:
    """A layer or operator that a technique did not change."""

    layer: str
    reason: str


@dataclass(frozen=True)
class Training:
    """Rows to fine-tune on.

    inputs: one array per model input, in the model's order, (rows, *shape).
    labels: (rows,) int64 class indices or float32 targets, or None: then the target is the teacher.
    teacher: outputs of the original model on the same rows, one array per output.
    teacher_share: 0–1, the distillation weight: share of the loss that compares with the teacher if there are
    labels too.
    temperature: softens the teacher's outputs; 1 uses them unchanged.
    outputs_of: computes the original model's outputs for other rows, such as mixtures of these; None: not available.
    """

    inputs: Sequence[np.ndarray]
    labels: np.ndarray | None
    teacher: Sequence[np.ndarray]
    task: str
    seed: int
    progress: Progress
    teacher_share: float = 0.0
    temperature: float = 1.0
    outputs_of: Outputs | None = None

    @property
    def rows(self) -> int:
        return len(self.inputs[0])

    @property
    def follows_original(self) -> bool:
        """True if a fine-tuning learns from the teacher alone."""
        return self.labels is None or len(self.teacher) > 1 or self.teacher_share == 1


@dataclass(frozen=True)
class Treated:
    """A tf_keras model after a keras-stage technique, a new object: the input model is unchanged.

    facts: results of the technique, JSON-able, shown on the run.
    """

    model: Any
    skipped: tuple[Skipped, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Packed:
    """A .tflite after a tflite-stage technique."""

    data: bytes
    skipped: tuple[Skipped, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


Accepts = Callable[[bytes], str | None]
"""Runs a file: None where it works and its outputs equal those of the file it was made from, else what was wrong."""


Rows = Mapping[str, np.ndarray]
"""Calibration rows by input name, each (rows, *shape) in the input's dtype."""

Configure = Callable[[Any], None]
"""Sets the options of a `tf.lite.TFLiteConverter`."""


class Convert(Protocol):
    """TensorFlow's converter on the run's live model, for techniques that start from the model instead of its
    float .tflite.
    """

    def __call__(self, configure: Configure, rows: Rows | None) -> bytes:
        """The .tflite with these options; `rows` are its representative data set. Raises ConversionFailed."""
