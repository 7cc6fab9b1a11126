"""Flattens the nested models of a tf_keras model, and can replace its layers at the same time.

Channel pruning and factorization replace layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lwdash.errors import BridgeRefused

Replace = Callable[[Any, str], "Sequence[tuple[Any, Sequence[np.ndarray]]] | None"]
"""Given a layer and its path: the consecutive layers that replace it, each with its weights; None keeps a copy of it."""


def flatten_model(model: Any, replace: Replace | None = None) -> Any:
    """A copy of a tf_keras Sequential or Functional in one level, with copies of the layers and their
    weights.

    A layer inside a nested model is named by its path, "outer/inner". Shared layers stay shared; `replace` is
    called once for each. Raises BridgeRefused for a model without a graph.
    """
    return _Flattening(replace).whole(model)


class _Flattening:
    """State of one flattening; copies are stored by the identity of their original."""

    def __init__(self, replace: Replace | None) -> None:
        self.replace = replace
        self.copies: dict[int, _Chain] = {}

    def whole(self, model: Any) -> Any:
        import tensorflow as tf
        import tf_keras

        if not hasattr(model, "_nodes_by_depth") or not model.inputs:
            raise BridgeRefused(
                f"'{model.name}' is a subclassed or unbuilt model: it has no graph to flatten"
            )
        inputs = [
            tf_keras.Input(
                batch_shape=tuple(tensor.shape), dtype=tensor.dtype, name=tensor._keras_history.layer.name
            )
            for tensor in model.inputs
        ]
        outputs = self.run(model, inputs, "")
        return tf_keras.Model(
            tf.nest.pack_sequence_as(model._nested_inputs, inputs),
            tf.nest.pack_sequence_as(model._nested_outputs, outputs),
            name=model.name,
        )

    def run(self, model: Any, inputs: list[Any], prefix: str) -> list[Any]:
        """The output tensors of `model`, with its layers called on `inputs` in order."""
        import tensorflow as tf

        known = {id(tensor): value for tensor, value in zip(model.inputs, inputs, strict=True)}

        def fill(structure: Any) -> Any:
            return tf.nest.map_structure(lambda value: known.get(id(value), value), structure)

        for depth in sorted(model._nodes_by_depth, reverse=True):
            for node in model._nodes_by_depth[depth]:
                if node.is_input:
                    continue
                args, kwargs = fill(node.call_args), fill(node.call_kwargs)
                if hasattr(node.layer, "_nodes_by_depth"):
                    results = self.run(node.layer, tf.nest.flatten(args), f"{prefix}{node.layer.name}/")
                else:
                    results = tf.nest.flatten(self.copy(node.layer, prefix)(*args, **kwargs))
                known.update(zip((id(one) for one in tf.nest.flatten(node.outputs)), results, strict=True))
        return [known[id(tensor)] for tensor in model.outputs]

    def copy(self, layer: Any, prefix: str) -> _Chain:
        if id(layer) not in self.copies:
            path = prefix + layer.name
            pairs = self.replace(layer, path) if self.replace else None
            if pairs is None:
                twin = type(layer).from_config({**layer.get_config(), "name": path})
                pairs = [(twin, layer.get_weights())]
            self.copies[id(layer)] = _Chain(pairs, layer.trainable)
        return self.copies[id(layer)]


class _Chain:
    """Layers that replace one layer: one or more, which get their weights after their first call has built them."""

    def __init__(self, pairs: Sequence[tuple[Any, Sequence[np.ndarray]]], trainable: bool):
        self.pairs, self.trainable, self.has_weights = pairs, trainable, False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        (first, _), *rest = self.pairs
        result = first(*args, **kwargs)
        for layer, _ in rest:
            result = layer(result)
        if not self.has_weights:
            for layer, weights in self.pairs:
                layer.set_weights(weights)
                layer.trainable = self.trainable
            self.has_weights = True
        return result
