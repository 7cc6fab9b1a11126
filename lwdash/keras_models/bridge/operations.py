"""Parts of Keras 3 in tf_keras: `keras.ops` operations as layers, and activations that differ.

Both are serialised with the model by name or by config, so that a bridged model can be saved, cloned and
loaded again (`load_bridged`). They are registered with tf_keras under "lwdash>…" when a model first needs
them.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from lwdash.errors import BridgeRefused
from lwdash.keras_models.application_layers import application_classes
from lwdash.keras_models.scan.allowed_classes import ACTIVATIONS, names

SAME_IN_KERAS_2 = names(
    """
    elu exponential gelu leaky_relu linear log_softmax mish relu relu6 selu sigmoid silu softmax softplus
    softsign swish tanh
    """
)
"""Activations with the same name and formula in both versions. Keras 2's hard_sigmoid, for example, differs."""


def load_bridged(path: Path) -> Any:
    """A tf_keras model saved by lwdash itself (.keras or .h5), bridged operations included.

    Only for files from our own artifact store: uploaded files go through `load_model`.
    """
    import tf_keras

    register()
    return tf_keras.models.load_model(str(path), compile=False)


def register() -> None:
    """Register the borrowed layers and activations with tf_keras by name."""
    import tf_keras

    _operation_class()
    tf_keras.utils.get_custom_objects().update(application_classes(tf_keras))
    for name in ACTIVATIONS - SAME_IN_KERAS_2:
        _activation(name)


def activation_name(name: str) -> str:
    """The name under which tf_keras finds the Keras 3 activation `name`: its own, or a borrowed one."""
    if name in SAME_IN_KERAS_2:
        return "swish" if name == "silu" else name  # the name in files of Keras 2
    _activation(name)
    return f"lwdash>{name}"


def operation_layer(operation: Any, arguments: Any, known: dict[int, Any], name: str) -> Any:
    """The result of a `keras.ops` operation on tf_keras tensors, as a layer without weights named `name`.

    arguments: positional and keyword arguments of the recorded call; `known`: tf_keras tensors by the
    identity of the Keras 3 tensor that they replace.
    """
    import keras

    tensors: list[Any] = []

    def mark(value: Any) -> Any:
        if not isinstance(value, keras.KerasTensor):
            return value
        tensors.append(known[id(value)])
        return {"lwdash_tensor": len(tensors) - 1}

    template = keras.tree.map_structure(mark, [list(arguments.args), dict(arguments.kwargs)])
    try:
        spec = keras.saving.serialize_keras_object(operation)
        call = keras.saving.serialize_keras_object(template)
    except (TypeError, ValueError, NotImplementedError) as fault:
        raise BridgeRefused(
            f"operation '{operation.name}' cannot be serialised for Keras 2: {fault}"
        ) from fault
    layer = _operation_class()(operation=spec, arguments=call, name=name)
    return layer(tensors if len(tensors) != 1 else tensors[0])


@functools.cache
def _activation(name: str) -> Any:
    import keras
    import tf_keras

    borrowed = keras.saving.get_registered_object(name) or keras.activations.get(name)

    def activation(x: Any) -> Any:
        return borrowed(x)

    activation.__name__ = name
    return tf_keras.saving.register_keras_serializable("lwdash", name)(activation)


@functools.cache
def _operation_class() -> Any:
    """The layer class. It is created on first use, since its base class needs tf_keras."""
    import tf_keras

    @tf_keras.saving.register_keras_serializable("lwdash")
    class KerasOperation(tf_keras.layers.Layer):
        """Calls a `keras.ops` operation on its inputs; the call's constants are part of the config."""

        def __init__(self, operation: dict[str, Any], arguments: Any, **layer_arguments: Any):
            import keras

            super().__init__(**layer_arguments)
            self.spec, self.template = operation, arguments
            self._operation = keras.saving.deserialize_keras_object(operation, safe_mode=True)

        def call(self, inputs: Any) -> Any:
            import keras

            tensors = inputs if isinstance(inputs, (list, tuple)) else [inputs]
            args, kwargs = _fill(keras.saving.deserialize_keras_object(_plain(self.template)), tensors)
            return self._operation.call(*args, **kwargs)

        def get_config(self) -> dict[str, Any]:
            return {
                **super().get_config(),
                "operation": _plain(self.spec),
                "arguments": _plain(self.template),
            }

    return KerasOperation


def _plain(value: Any) -> Any:
    """Plain dicts and lists: tf_keras wraps those that it finds on a layer in order to track them."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _fill(template: Any, tensors: Any) -> Any:
    if isinstance(template, dict):
        if set(template) == {"lwdash_tensor"}:
            return tensors[template["lwdash_tensor"]]
        return {key: _fill(item, tensors) for key, item in template.items()}
    if isinstance(template, (list, tuple)):
        return type(template)(_fill(item, tensors) for item in template)
    return template
