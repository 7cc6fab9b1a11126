"""Dissolves the nested models of a tf_keras model: TFMOT's quantization does not look into them."""

from __future__ import annotations

from typing import Any

from lwdash.errors import BridgeRefused


def is_nested(model: Any) -> bool:
    """Whether a layer of `model` is itself a model."""
    return any(hasattr(layer, "layers") for layer in model.layers)


def flatten_model(model: Any) -> Any:
    """A copy of a tf_keras Sequential or Functional in one level, with copies of the layers and their weights.

    A layer inside a nested model is named by its path, "outer/inner". Layers that were shared stay shared.
    """
    return _Flattening().whole(model)


class _Flattening:
    """One run; copies by the identity of their original."""

    def __init__(self) -> None:
        self.copies: dict[int, Any] = {}

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
        """The output tensors of `model` called on `inputs`, one after the other."""
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

    def copy(self, layer: Any, prefix: str) -> _Copy:
        if id(layer) not in self.copies:
            twin = type(layer).from_config({**layer.get_config(), "name": prefix + layer.name})
            self.copies[id(layer)] = _Copy(layer, twin)
        return self.copies[id(layer)]


class _Copy:
    """A copied layer, which takes its original's weights after its first call has made them."""

    def __init__(self, original: Any, twin: Any):
        self.original, self.twin, self.has_weights = original, twin, False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result = self.twin(*args, **kwargs)
        if not self.has_weights:
            self.twin.set_weights(self.original.get_weights())
            self.twin.trainable = self.original.trainable
            self.has_weights = True
        return result
