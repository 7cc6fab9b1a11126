"""Fine-tuning a tf_keras model on the train rows: on labels where there are any, else after the original."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lwdash.errors import InternalFault
from lwdash.parameters import Integer, Number, parameter
from lwdash.techniques.contract import Training

EPOCHS = Integer("Epochs", "How often the fine-tuning goes through the train rows.", 1, 1000, "epochs")
LEARNING_RATE = Number(
    "Learning rate", "Adam's step size while fine-tuning.", 0.0, 1.0, step=0.0001, low_open=True
)
BATCH_SIZE = Integer("Batch size", "Rows a training step.", 1, 4096, "rows")


def epochs(default: int) -> Any:
    return parameter(default, EPOCHS)


def learning_rate(default: float) -> Any:
    return parameter(default, LEARNING_RATE)


def batch_size(default: int = 32) -> Any:
    return parameter(default, BATCH_SIZE)


def steps_in_all(rows: int, batch: int, epochs: int) -> int:
    """How many training steps `epochs` take: what a schedule has to be derived from."""
    return -(-rows // min(batch, rows)) * epochs


def seed_everything(seed: int) -> None:
    """The same seed gives the same weights to the bit (one process, CPU)."""
    import tensorflow as tf
    import tf_keras

    tf_keras.utils.set_random_seed(seed)
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
    import tf_keras

    targets, losses, source = _targets(training)
    model.compile(optimizer=tf_keras.optimizers.Adam(learning_rate), loss=losses)
    inputs = list(training.inputs)
    history = model.fit(
        inputs if len(inputs) > 1 else inputs[0],
        targets if len(targets) > 1 else targets[0],
        batch_size=min(batch_size, training.rows),
        epochs=epochs,
        shuffle=True,
        verbose=0,
        callbacks=[*callbacks, _tell(training, what, epochs)],
    )
    loss = float(history.history["loss"][-1])
    if not np.isfinite(loss):
        raise InternalFault(
            f"fine-tuning diverged: the loss became {loss}; try a smaller learning_rate than {learning_rate:g}"
        )
    return {"learnt_from": source, "rows": training.rows, "epochs": epochs, "loss": loss}


def _targets(training: Training) -> tuple[list[np.ndarray], list[Any], str]:
    """What each output should be, its loss, and where that comes from."""
    from tf_keras import losses

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


def _tell(training: Training, what: str, epochs: int) -> Any:
    import tf_keras

    def on_epoch_end(epoch: int, logs: Any) -> None:
        training.progress(f"{what}: epoch {epoch + 1} of {epochs}", (epoch + 1) / epochs)

    return tf_keras.callbacks.LambdaCallback(on_epoch_end=on_epoch_end)


RECALIBRATION_ROWS = 1024


def settle_batch_norm(model: Any, training: Training) -> bool:
    """Takes batch normalization's moving statistics anew from the train rows, if that lowers the loss there.

    They follow with momentum (0.99: a third of the old value is left after 100 steps), so after a short
    fine-tuning they describe weights that are gone. Returns whether the new ones were kept.
    """
    import tf_keras

    norms = [layer for layer in _flat(model) if isinstance(layer, tf_keras.layers.BatchNormalization)]
    norms = [layer for layer in norms if layer.trainable]
    if not norms:
        return False
    targets, losses, _ = _targets(training)
    inputs = [values[:RECALIBRATION_ROWS] for values in training.inputs]

    def loss() -> float:
        outputs = model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
        outputs = outputs if isinstance(outputs, list) else [outputs]
        pairs = zip(losses, targets, outputs, strict=True)
        return sum(float(f(target[:RECALIBRATION_ROWS], output)) for f, target, output in pairs)

    before, weights, momenta = loss(), model.get_weights(), [layer.momentum for layer in norms]
    size = min(256, len(inputs[0]))
    for number, start in enumerate(range(0, len(inputs[0]) - size + 1, size)):
        for layer in norms:
            layer.momentum = number / (number + 1)
        batch = [values[start : start + size] for values in inputs]
        model(batch if len(batch) > 1 else batch[0], training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
    if loss() < before:
        return True
    model.set_weights(weights)
    return False


def _flat(model: Any) -> list[Any]:
    return [
        inner for layer in model.layers for inner in (_flat(layer) if hasattr(layer, "layers") else [layer])
    ]


def clone_with(model: Any, wrap: Callable[[Any], Any]) -> Any:
    """A copy of a tf_keras model with its weights, each layer replaced by what `wrap` gives for its clone.

    The clone's weights are set before wrapping, since wrappers (tfmot) take initial values from them;
    the model passed in is never touched. Nested models are copied inside out.
    """
    import tf_keras

    def clone_layer(layer: Any) -> Any:
        if isinstance(layer, tf_keras.Model):
            return clone_with(layer, wrap)
        copy = layer.__class__.from_config(layer.get_config())
        if layer.built and layer.weights and not isinstance(layer, tf_keras.layers.InputLayer):
            copy.build(layer.get_input_shape_at(0))
            copy.set_weights(layer.get_weights())
        return wrap(copy)

    return tf_keras.models.clone_model(model, clone_function=clone_layer)
