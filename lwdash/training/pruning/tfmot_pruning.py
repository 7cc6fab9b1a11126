"""Pruning by TFMOT: its layers, its wrappers around them, and the model without the wrappers."""

from collections.abc import Collection
from typing import Any

import numpy as np

from lwdash.contract import Skipped
from lwdash.training.kernels import only_depthwise
from lwdash.training.layer_selection import Selection, select
from lwdash.training.model_copies import clone_with
from lwdash.training.pruning.sparsity_schedule import tfmot_schedule


def knows(layer: Any) -> bool:
    """True if TFMOT prunes layers of this type."""
    from tensorflow_model_optimization.python.core.sparsity.keras import prune_registry

    return bool(prune_registry.PruneRegistry.supports(layer))


def select_layers(model: Any, skip: tuple[str, ...]) -> Selection:
    """The layers that TFMOT prunes, with the kernels that it prunes in each."""
    from tensorflow_model_optimization.python.core.sparsity.keras import prune_registry

    def kernels_of(layer: Any) -> list[Any] | Skipped:
        if not prune_registry.PruneRegistry.supports(layer):
            return Skipped(layer.name, f"TFMOT does not prune {type(layer).__name__}")
        prune_registry.PruneRegistry.make_prunable(layer)
        return list(layer.get_prunable_weights()) or only_depthwise(layer)

    return select(model, kernels_of, skip)


def wrapped(model: Any, layers: Collection[str], schedule: str, share: float, steps: int) -> Any:
    """A copy of the model that prunes these layers to the sparsity `share` while it is trained for `steps`."""
    from tensorflow_model_optimization.sparsity import keras as sparsity

    rising = tfmot_schedule(schedule, share, steps)

    def wrap(layer: Any) -> Any:
        return sparsity.prune_low_magnitude(layer, pruning_schedule=rising) if layer.name in layers else layer

    return clone_with(model, wrap)


def masked_at_once(model: Any, share: float) -> list[np.ndarray]:
    """The weights of a model of TFMOT's wrappers if the smallest are removed without fine-tuning."""
    from tensorflow_model_optimization.python.core.sparsity.keras import pruning_wrapper

    before = model.get_weights()
    for wrapper in pruning_wrapper.collect_prunable_layers(model):
        for weight, _, _ in wrapper.pruning_vars:
            values = weight.numpy()
            order = np.argsort(np.abs(values), axis=None, kind="stable")
            values.ravel()[order[: round(share * values.size)]] = 0
            weight.assign(values)
    found: list[np.ndarray] = model.get_weights()
    model.set_weights(before)
    return found


def pruned_kernels(model: Any) -> list[np.ndarray]:
    """The present values of all kernels that the wrappers of `model` prune."""
    from tensorflow_model_optimization.python.core.sparsity.keras import pruning_wrapper

    return [
        weight.numpy()
        for wrapper in pruning_wrapper.collect_prunable_layers(model)
        for weight, _, _ in wrapper.pruning_vars
    ]


def stripped(model: Any) -> Any:
    """The model without TFMOT's wrappers, as a copy; nested models too."""
    import tf_keras
    from tensorflow_model_optimization.python.core.sparsity.keras import pruning_wrapper

    def unwrap(layer: Any) -> Any:
        if isinstance(layer, tf_keras.Model):
            return stripped(layer)
        return layer.layer if isinstance(layer, pruning_wrapper.PruneLowMagnitude) else layer

    return tf_keras.models.clone_model(model, clone_function=unwrap)
