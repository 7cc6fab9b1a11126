"""Types that techniques receive and return."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

Progress = Callable[[str, float], None]
"""Called with what is being done and the share that is done, 0–1."""


@dataclass(frozen=True)
class Skipped:
    """A layer or operator that a technique left as it was."""

    layer: str
    reason: str


@dataclass(frozen=True)
class Training:
    """Rows to fine-tune on.

    inputs: one array a model input, in the model's order, (rows, *shape).
    labels: (rows,) int64 class indices or float32 targets, or None: then the teacher is followed.
    teacher: what the original model answers on the same rows, one array an output.
    teacher_share: 0–1, how much of the loss compares with the teacher where there are labels too (`distill`).
    temperature: softens the teacher's answers; 1 takes them as they are.
    """

    inputs: Sequence[np.ndarray]
    labels: np.ndarray | None
    teacher: Sequence[np.ndarray]
    task: str
    seed: int
    progress: Progress
    teacher_share: float = 0.0
    temperature: float = 1.0

    @property
    def rows(self) -> int:
        return len(self.inputs[0])


@dataclass(frozen=True)
class Treated:
    """A tf_keras model after a keras-stage technique, a new object: the one passed in is unchanged.

    facts: what was reached, JSON-able, shown on the run.
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


Rows = Mapping[str, np.ndarray]
"""Calibration rows by input name, each (rows, *shape) in the input's dtype."""

Configure = Callable[[Any], None]
"""Sets the options of a `tf.lite.TFLiteConverter`."""


class Convert(Protocol):
    """TensorFlow's converter on the run's live model, for what starts from the model and not from its float .tflite."""

    def __call__(self, configure: Configure, rows: Rows | None) -> bytes:
        """The .tflite with these options; `rows` are its representative data set. Raises ConversionFailed."""
