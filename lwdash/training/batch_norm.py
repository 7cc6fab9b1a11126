"""Batch normalization after a fine-tuning that is too short for its moving statistics."""

from typing import Any

from lwdash.contract import Training
from lwdash.keras_models.ports import leaf_layers, library_of
from lwdash.spread_rows import spread
from lwdash.training.fine_tuning import training_targets

RECALIBRATION_ROWS = 1024
BATCH = 256
"""Minimum number of rows for one set of statistics."""


def norms_of(model: Any) -> list[Any]:
    """The batch normalizations of a model of either Keras, those of nested models included."""
    kind = library_of(model).layers.BatchNormalization
    return [layer for _, layer in leaf_layers(model) if isinstance(layer, kind)]


def settle_batch_norm(model: Any, training: Training) -> bool:
    """Recompute batch normalization's moving statistics from the train rows, if that lowers the loss there.

    They follow with momentum (0.99: a third of the old value is left after 100 steps). After a short
    fine-tuning they still describe earlier weights. Returns True if the new ones were kept.
    """
    library = library_of(model)
    norms = [layer for layer in norms_of(model) if layer.trainable]
    if not norms:
        return False
    targets, losses, _ = training_targets(training, library)
    chosen = spread(training.rows, RECALIBRATION_ROWS)
    inputs = [values[chosen] for values in training.inputs]

    def loss() -> float:
        outputs = model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
        outputs = outputs if isinstance(outputs, list) else [outputs]
        pairs = zip(losses, targets, outputs, strict=True)
        return sum(float(f(target[chosen], output)) for f, target, output in pairs)

    before, weights, momenta = loss(), model.get_weights(), [layer.momentum for layer in norms]
    batches = max(1, len(chosen) // BATCH)
    for number in range(batches):
        for layer in norms:
            layer.momentum = number / (number + 1)
        # Take every k-th row: the mean of the batches' variances lacks the variation between batches.
        batch = [values[number::batches] for values in inputs]
        model(batch if len(batch) > 1 else batch[0], training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
    if loss() < before:
        return True
    model.set_weights(weights)
    return False
