"""Knowledge distillation: learning from labels, from the original model's outputs, or from both.

Loss = α·T²·KL(softmax(z_t/T) ‖ softmax(z_s/T)) + (1 − α)·task loss (Hinton, Vinyals, Dean, arXiv 1503.02531),
with α the distillation weight and T the temperature. If a model outputs probabilities, their logarithms
replace the logits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from lwdash.contract import Training
from lwdash.parameters import Number, parameter

SMALLEST = 1e-7
"""Lower limit of probabilities, so that their logarithm is finite."""
MANY_ROWS = 1000
"""From this number of rows on, labels tell more than the original's outputs alone."""
TEACHER = Number(
    "Distillation weight",
    "Share of the loss that compares with the original model's outputs; the rest comes from the labels. "
    "auto is 1 with fewer than {:,} rows and 0.5 with more. "
    "Without labels the original is the only teacher, for any value here.",
    0.0,
    1.0,
    step=0.05,
    has_auto=True,
)
TEMPERATURE = Number(
    "Temperature",
    (
        "Softens the original's outputs, so that small probabilities also have an effect; 1 uses them "
        "unchanged."
    ),
    1.0,
    100.0,
    step=0.5,
)

Loss = Callable[[Any, Any], Any]
"""(target, output) → the mean loss over the rows."""


def teacher() -> Any:
    return parameter(None, replace(TEACHER, help=TEACHER.help.format(MANY_ROWS)))


def temperature() -> Any:
    return parameter(1.0, TEMPERATURE)


def taught(training: Training, params: Any) -> Training:
    """The same training, with the distillation weight and the temperature of a technique's parameters."""
    share = params.teacher
    if share is None:
        share = share_for(training)
    return replace(training, teacher_share=share, temperature=params.temperature)


def share_for(training: Training) -> float:
    """The distillation weight for a number of rows, if the user has set none."""
    has_one_row_a_sample = len(training.teacher) == 1 and training.teacher[0].ndim == 2
    return 0.5 if training.rows >= MANY_ROWS and has_one_row_a_sample else 1.0


def softened(kind: str, temperature: float) -> Loss:
    """T²·KL between the softened outputs of teacher and student.

    kind: "softmax" or "sigmoid" for probabilities, "logits" or "binary logits" for their inputs, "values" for
    numbers, which are compared by their squared difference.
    """
    import tensorflow as tf

    def logits(outputs: Any) -> Any:
        outputs = tf.cast(outputs, tf.float32)
        if kind == "softmax":
            return tf.math.log(tf.maximum(outputs, SMALLEST))
        if kind == "sigmoid":
            inside = tf.clip_by_value(outputs, SMALLEST, 1 - SMALLEST)
            return tf.math.log(inside) - tf.math.log1p(-inside)
        return outputs

    def over_classes(target: Any, output: Any) -> Any:
        teacher, student = logits(target) / temperature, logits(output) / temperature
        log_p = tf.nn.log_softmax(teacher)
        gap = tf.exp(log_p) * (log_p - tf.nn.log_softmax(student))
        return temperature**2 * tf.reduce_mean(tf.reduce_sum(gap, axis=-1))

    def yes_or_no(target: Any, output: Any) -> Any:
        teacher, student = logits(target) / temperature, logits(output) / temperature
        p = tf.sigmoid(teacher)
        yes = p * (tf.math.log_sigmoid(teacher) - tf.math.log_sigmoid(student))
        no = (1 - p) * (tf.math.log_sigmoid(-teacher) - tf.math.log_sigmoid(-student))
        return temperature**2 * tf.reduce_mean(yes + no)

    def squared(target: Any, output: Any) -> Any:
        return tf.reduce_mean(tf.square(tf.cast(target, tf.float32) - tf.cast(output, tf.float32)))

    if kind == "values":
        return squared
    return over_classes if kind in ("softmax", "logits") else yes_or_no


def both(
    share: float, soft: Loss, hard: Loss, teacher: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, Loss]:
    """One target that holds the teacher's outputs and the labels, and the loss that separates them again.

    teacher: (rows, outputs); labels: (rows,) or (rows, outputs).
    """
    teacher_outputs = teacher.shape[-1]
    columns = labels.reshape(len(labels), -1).astype("float32")

    def loss(target: Any, output: Any) -> Any:
        return share * soft(target[:, :teacher_outputs], output) + (1 - share) * hard(
            target[:, teacher_outputs:], output
        )

    return np.concatenate([teacher.astype("float32"), columns], axis=1), loss
