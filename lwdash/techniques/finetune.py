"""Fine-tuning a live model of either Keras on the train rows: on labels where there are any, else after the original."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lwdash.errors import InternalFault
from lwdash.parameters import Integer, Number, parameter
from lwdash.techniques.contract import Training

EPOCHS = Integer(
    "Epochs",
    "How often the fine-tuning goes through the train rows; 0 takes as many as make about {steps:,} training "
    "steps, 100 at most.",
    0,
    1000,
    "epochs",
)
MOST_EPOCHS = 100
LEARNING_RATE = Number(
    "Learning rate", "Adam's step size while fine-tuning.", 0.0, 1.0, step=0.0001, low_open=True
)
BATCH_SIZE = Integer("Batch size", "Rows a training step.", 1, 4096, "rows")


def epochs(steps: int) -> Any:
    """The parameter `epochs`, by default as many as make about `steps` training steps."""
    return parameter(0, replace(EPOCHS, help=EPOCHS.help.format(steps=steps)))


def learning_rate(default: float) -> Any:
    return parameter(default, LEARNING_RATE)


def batch_size(default: int = 32) -> Any:
    return parameter(default, BATCH_SIZE)


def epochs_for(epochs: int, steps: int, rows: int, batch: int) -> int:
    """`epochs`, or as many as make about `steps` training steps where it is 0."""
    return epochs or min(MOST_EPOCHS, max(1, round(steps / _steps_an_epoch(rows, batch))))


def steps_in_all(rows: int, batch: int, epochs: int) -> int:
    """How many training steps `epochs` take: what a schedule has to be derived from."""
    return _steps_an_epoch(rows, batch) * epochs


def _steps_an_epoch(rows: int, batch: int) -> int:
    return -(-rows // min(batch, rows))


def seed_everything(seed: int) -> None:
    """The same seed gives the same weights to the bit (one process, CPU)."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def finetune(
    model: Any,
    training: Training,
    *,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    what: str,
    callbacks: Sequence[Any] = (),
) -> dict[str, Any]:
    """Trains `model` in place; returns what it learnt from and the last loss.

    Raises InternalFault when the loss is not finite.
    """
    library = library_of(model)
    targets, losses, source = training_targets(training, library)
    model.compile(optimizer=library.optimizers.Adam(learning_rate), loss=losses)
    inputs = list(training.inputs)
    history = model.fit(
        inputs if len(inputs) > 1 else inputs[0],
        targets if len(targets) > 1 else targets[0],
        batch_size=min(batch_size, training.rows),
        epochs=epochs,
        shuffle=True,
        verbose=0,
        callbacks=[*callbacks, _tell(library, training, what, epochs)],
    )
    loss = float(history.history["loss"][-1])
    if not np.isfinite(loss):
        raise InternalFault(
            f"fine-tuning diverged: the loss became {loss}; try a smaller learning_rate than {learning_rate:g}"
        )
    return {"learnt_from": source, "rows": training.rows, "epochs": epochs, "loss": loss}


def training_targets(training: Training, library: Any) -> tuple[list[np.ndarray], list[Any], str]:
    """What each output should be, its loss, and where that comes from."""
    losses = library.losses
    if training.labels is None or len(training.teacher) > 1:
        teacher = list(training.teacher)
        return (
            teacher,
            [losses.KLDivergence() if is_distribution(t) else losses.MeanSquaredError() for t in teacher],
            ("the original model's outputs"),
        )
    answers = training.teacher[0]
    if training.task == "classification":
        return (
            [training.labels],
            [losses.SparseCategoricalCrossentropy(from_logits=not is_distribution(answers))],
            "labels",
        )
    if training.task in ("binary", "multi-label"):
        labels = training.labels.reshape(answers.shape).astype("float32")
        return [labels], [losses.BinaryCrossentropy(from_logits=not _is_probability(answers))], "labels"
    return [training.labels.reshape(answers.shape).astype("float32")], [losses.MeanSquaredError()], "targets"


def is_distribution(outputs: np.ndarray) -> bool:
    """Whether the last axis holds probabilities that add up to 1, as behind a softmax."""
    return (
        outputs.shape[-1] > 1
        and _is_probability(outputs)
        and bool(np.allclose(outputs.sum(axis=-1), 1.0, atol=1e-3))
    )


def _is_probability(outputs: np.ndarray) -> bool:
    return bool(outputs.min(initial=0) >= 0 and outputs.max(initial=0) <= 1.0 + 1e-6)


def _tell(library: Any, training: Training, what: str, epochs: int) -> Any:
    def on_epoch_end(epoch: int, logs: Any) -> None:
        training.progress(f"{what}: epoch {epoch + 1} of {epochs}", (epoch + 1) / epochs)

    return library.callbacks.LambdaCallback(on_epoch_end=on_epoch_end)


def library_of(model: Any) -> Any:
    """`tf_keras` for its models, else `keras` (Keras 3)."""
    import keras
    import tf_keras

    return tf_keras if isinstance(model, tf_keras.Model) else keras
