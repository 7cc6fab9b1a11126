"""Fine-tuning a live model of either Keras on the train rows: on labels, after the original, or both."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lwdash.contract import Training
from lwdash.errors import InternalFault, RecipeError
from lwdash.keras_models.ports import library_of
from lwdash.parameters import Integer, Number, parameter
from lwdash.training import distillation

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


def batch_size() -> Any:
    return parameter(32, BATCH_SIZE)


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
    steps = _steps_an_epoch(training.rows, batch_size)
    history = model.fit(
        inputs if len(inputs) > 1 else inputs[0],
        targets if len(targets) > 1 else targets[0],
        batch_size=min(batch_size, training.rows),
        epochs=epochs,
        shuffle=True,
        verbose=0,
        callbacks=[*callbacks, _tell(library, training, what, epochs, steps)],
    )
    loss = float(history.history["loss"][-1])
    if not np.isfinite(loss):
        raise InternalFault(
            f"fine-tuning diverged: the loss became {loss}; try a smaller learning_rate than {learning_rate:g}"
        )
    return {"learnt_from": source, "rows": training.rows, "epochs": epochs, "loss": loss}


def training_targets(training: Training, library: Any) -> tuple[list[np.ndarray], list[Any], str]:
    """What each output should be, its loss, and where that comes from: labels, the teacher, or both."""
    if training.labels is None or len(training.teacher) > 1:
        kinds = [_kind(answers, training.task, len(training.teacher)) for answers in training.teacher]
        losses = [distillation.softened(kind, training.temperature) for kind in kinds]
        return list(training.teacher), losses, "the original model's outputs"
    answers, labels = training.teacher[0], training.labels
    kind, share = _kind(answers, training.task, 1), training.teacher_share
    hard: Any = library.losses.MeanSquaredError()
    source = "targets"
    if training.task == "classification":
        hard = library.losses.SparseCategoricalCrossentropy(from_logits=kind != "softmax")
        source = "labels"
    elif training.task in ("binary", "multi-label"):
        hard = library.losses.BinaryCrossentropy(from_logits=kind not in ("sigmoid", "softmax"))
        source = "labels"
    if training.task != "classification":
        labels = labels.reshape(answers.shape).astype("float32")
    if not share:
        return [labels], [hard], source
    soft = distillation.softened(kind, training.temperature)
    if share == 1:
        return [answers], [soft], "the original model's outputs"
    if answers.ndim != 2:
        raise RecipeError(
            f"teacher={share:g} needs one row of outputs a sample, but the model answers in shape {answers.shape[1:]}; "
            "write teacher=0 for the labels alone or teacher=1 for the original model alone"
        )
    target, loss = distillation.both(share, soft, hard, answers, labels)
    return [target], [loss], f"{source} and the original model's outputs"


def _kind(answers: np.ndarray, task: str, outputs: int) -> str:
    """What an output's numbers are, as `distillation.softened` takes them."""
    if is_distribution(answers):
        return "softmax"
    if outputs == 1 and task in ("binary", "multi-label"):
        return "sigmoid" if _is_probability(answers) else "binary logits"
    return "logits" if outputs == 1 and task == "classification" and answers.shape[-1] > 1 else "values"


def is_distribution(outputs: np.ndarray) -> bool:
    """Whether the last axis holds probabilities that add up to 1, as behind a softmax."""
    return (
        outputs.shape[-1] > 1
        and _is_probability(outputs)
        and bool(np.allclose(outputs.sum(axis=-1), 1.0, atol=1e-3))
    )


def _is_probability(outputs: np.ndarray) -> bool:
    return bool(outputs.min(initial=0) >= 0 and outputs.max(initial=0) <= 1.0 + 1e-6)


def _tell(library: Any, training: Training, what: str, epochs: int, steps: int) -> Any:
    """A callback that says where the training is, from its first step on: an epoch of a large network takes minutes.

    steps: of an epoch.
    """

    class Telling(library.callbacks.Callback):  # type: ignore[misc, name-defined]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.epoch = epoch
            self.tell(0)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.tell(batch + 1)

        def tell(self, done: int) -> None:
            training.progress(
                f"{what}: epoch {self.epoch + 1} of {epochs}", (self.epoch + done / steps) / epochs
            )

    return Telling()
