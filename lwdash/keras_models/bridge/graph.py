"""Replays the live graph of a Keras 3 model with tf_keras layers on tf_keras tensors."""

from __future__ import annotations

import inspect
import re
from typing import Any

from lwdash.errors import BridgeRefused
from lwdash.keras_models.bridge.operations import operation_layer
from lwdash.keras_models.bridge.twin_layers import copy_weights, twin_layer

EXPLICIT_MASKS = frozenset({"attention_mask", "use_causal_mask"})


def functional(model: Any) -> Any:
    """The Functional model behind a built Keras 3 model. Raises BridgeRefused for a subclassed or unbuilt one."""
    import keras

    inner = model._functional if isinstance(model, keras.Sequential) else model
    if inner is None or not hasattr(inner, "_nodes_by_depth"):
        raise BridgeRefused(
            f"'{model.name}' is a subclassed or unbuilt model ({type(model).__name__}); only Sequential and "
            "Functional models have a graph that can be replayed"
        )
    return inner


def convert(model: Any) -> Any:
    """The tf_keras model for `model`, with its weights; outputs are not yet compared."""
    replay = _Replay()
    twin = replay.whole(model)
    for layer, other in replay.pairs:
        copy_weights(layer, other)
    return twin


class _Replay:
    """State of one conversion; twins are stored by the identity of their original, so that shared layers stay shared."""

    def __init__(self) -> None:
        self.twins: dict[int, Any] = {}
        self.pairs: list[tuple[Any, Any]] = []
        self.names: set[str] = set()

    def whole(self, model: Any) -> Any:
        """A separate tf_keras Functional for `model`."""
        import keras
        import tf_keras

        inner = functional(model)
        # Names are unique only within one model, in both libraries, so a nested model starts with an empty
        # set of names.
        names = [legal_name(tensor._keras_history.operation.name) for tensor in inner.inputs]
        outer_names, self.names = self.names, set(names)
        inputs = [
            tf_keras.Input(batch_shape=tuple(tensor.shape), dtype=tensor.dtype, name=name)
            for tensor, name in zip(inner.inputs, names, strict=True)
        ]
        outputs = self.run(model, inputs)
        self.names = outer_names
        structure = keras.tree.pack_sequence_as(inner._inputs_struct, inputs)
        return tf_keras.Model(structure, outputs, name=legal_name(model.name))

    def run(self, model: Any, inputs: list[Any]) -> Any:
        """The output tensors of `model` called on the tf_keras tensors `inputs`, in the structure of its outputs."""
        import keras

        inner = functional(model)
        known = {id(tensor): value for tensor, value in zip(inner.inputs, inputs, strict=True)}
        masks = _mask_tensors(inner)
        for depth in sorted(inner._nodes_by_depth, reverse=True):
            for node in inner._nodes_by_depth[depth]:
                if (
                    node.is_input
                    or node.operation is None
                    or all(id(tensor) in masks for tensor in node.outputs)
                ):
                    continue
                value = self.call(node, known)
                for tensor, result in zip(node.outputs, keras.tree.flatten(value), strict=False):
                    known[id(tensor)] = result
        return keras.tree.map_structure(lambda tensor: known[id(tensor)], inner._outputs_struct)

    def call(self, node: Any, known: dict[int, Any]) -> Any:
        """One node of the graph (nested model, layer or operation) called on the tensors known so far."""
        import keras

        def fill(structure: Any) -> Any:
            return keras.tree.map_structure(
                lambda value: known[id(value)] if isinstance(value, keras.KerasTensor) else value, structure
            )

        operation = node.operation
        if isinstance(operation, keras.Sequential) or hasattr(operation, "_nodes_by_depth"):
            if id(operation) not in self.twins:
                self.twins[id(operation)] = self.whole(operation)
            return self.twins[id(operation)](*fill(node.arguments.args))
        if isinstance(operation, keras.layers.Layer):
            arguments = {key: value for key, value in node.arguments.kwargs.items() if not is_implicit(key)}
            twin = self.twin(operation)
            accepted = inspect.signature(twin.call).parameters
            return twin(
                *fill(node.arguments.args),
                **{
                    key: value
                    for key, value in fill(arguments).items()
                    if value is not None and (key in accepted or key == "initial_state")
                },
            )
        if type(operation).__module__.startswith("keras.src.ops."):
            return operation_layer(operation, node.arguments, known, self.name(operation.name))
        raise BridgeRefused(
            f"'{operation.name}' ({type(operation).__name__}) is neither a layer nor a Keras operation"
        )

    def twin(self, layer: Any) -> Any:
        if id(layer) not in self.twins:
            self.twins[id(layer)] = twin_layer(layer, self.name(layer.name))
            self.pairs.append((layer, self.twins[id(layer)]))
        return self.twins[id(layer)]

    def name(self, wanted: str) -> str:
        """`wanted` as a legal name, with a number if already used: Keras 3 allows an operation to have a layer's name."""
        name = base = legal_name(wanted)
        number = 1
        while name in self.names:
            name, number = f"{base}_{number}", number + 1
        self.names.add(name)
        return name


def legal_name(name: str) -> str:
    """A layer name as a TensorFlow scope. Keras 3 allows spaces and other characters that Keras 2 refuses."""
    legal = re.sub(r"[^A-Za-z0-9_.\\/>-]", "_", name)
    return legal if re.match(r"[A-Za-z0-9.]", legal) else f"x{legal}"


def is_implicit(argument: str) -> bool:
    """True for arguments that Keras 3 records itself: `training`, and masks, which tf_keras propagates differently."""
    return argument == "training" or (argument.endswith("mask") and argument not in EXPLICIT_MASKS)


def _mask_tensors(inner: Any) -> set[int]:
    """Ids of tensors that are only implicit masks. Replaying them would compute them twice and wrongly."""
    import keras

    nodes = [node for level in inner._nodes_by_depth.values() for node in level if not node.is_input]
    used = {id(tensor) for tensor in keras.tree.flatten(inner._outputs_struct)}
    for node in nodes:
        explicit = {key: value for key, value in node.arguments.kwargs.items() if not is_implicit(key)}
        if not isinstance(node.operation, keras.layers.Layer):
            explicit = node.arguments.kwargs
        for value in keras.tree.flatten((node.arguments.args, explicit)):
            if isinstance(value, keras.KerasTensor):
                used.add(id(value))
    return {
        id(tensor)
        for node in nodes
        if type(node.operation).__name__ == "NotEqual"
        for tensor in node.outputs
        if id(tensor) not in used
    }
