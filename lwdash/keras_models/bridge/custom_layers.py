"""Custom layers of Keras 3 inside a Keras 2 twin: a tf_keras layer that owns the weights and calls the Keras 3 layer.

The layer is trained like any other, and its kernels are pruned, clustered and rounded. Its class has the custom
layer's name, which reports show. It is registered with tf_keras under "lwdash_custom>…", so that a twin can be saved,
cloned and loaded again in a process that has run the user's code file.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Mapping
from typing import Any

from lwdash.errors import BridgeRefused
from lwdash.keras_models.bridge.operations import activation_name

PACKAGE = "lwdash_custom"


def register(objects: Mapping[str, Any]) -> None:
    """Make twins loadable that have Lambda layers, custom layers or custom activations. objects: by name."""
    import keras

    _layer_class("Lambda")
    for name, found in objects.items():
        if not inspect.isclass(found):
            activation_name(name)
        elif issubclass(found, keras.layers.Layer):
            _layer_class(found.__name__)


def custom_twin(layer: Any, name: str) -> Any:
    """A tf_keras layer named `name` that computes the same as the custom Keras 3 `layer`; weights are copied later.

    Raises BridgeRefused for a layer that cannot be serialised.
    """
    import keras

    try:
        spec = keras.saving.serialize_keras_object(layer)
    except Exception as fault:  # get_config is the user's code
        raise BridgeRefused(
            f"layer '{layer.name}' ({type(layer).__name__}) cannot be copied: {' '.join(str(fault).split())[:200]}"
        ) from fault
    return _layer_class(type(layer).__name__)(keras_layer=spec, name=name, trainable=layer.trainable)


@functools.cache
def _layer_class(class_name: str) -> Any:
    import tf_keras

    class CustomLayer(tf_keras.layers.Layer):
        """Calls a Keras 3 layer with its own weights, which have the order and the names of that layer's."""

        def __init__(self, keras_layer: dict[str, Any], **arguments: Any):
            import keras

            super().__init__(**arguments)
            self._spec = _Hidden(keras_layer)
            copied = copy.deepcopy(keras_layer)  # a Lambda changes the config that it is made from
            self._inner = _Hidden(keras.saving.deserialize_keras_object(copied, safe_mode=False))

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            if not self.built:  # the call shows all tensors that the layer takes; `build` only the first
                _call_once(self._inner.value, args, kwargs)
            return super().__call__(*args, **kwargs)

        def build_from_config(self, config: dict[str, Any]) -> None:
            """Wait for the first call."""

        def build(self, shape: Any) -> None:
            inner = self._inner.value
            self._own = [
                self.add_weight(
                    name=variable.path.partition("/")[2] or variable.name,
                    shape=variable.shape,
                    dtype=variable.dtype,
                    trainable=bool(variable.trainable),
                )
                for variable in inner.weights
            ]
            self.set_weights(inner.get_weights())
            super().build(shape)

        @property
        def weights(self) -> list[Any]:
            return list(getattr(self, "_own", ()))

        def call(self, *args: Any, training: bool = False, **kwargs: Any) -> Any:
            inner = self._inner.value
            values = {id(variable): own for variable, own in zip(inner.weights, self._own, strict=True)}
            fixed = inner.non_trainable_variables
            if "training" in inner._call_signature.parameters:
                kwargs["training"] = training
            outputs, states = inner.stateless_call(
                [values.get(id(v), v) for v in inner.trainable_variables],
                [values.get(id(v), v) for v in fixed],
                *args,
                **kwargs,
            )
            if training:
                for variable, state in zip(fixed, states, strict=True):
                    if id(variable) in values:
                        values[id(variable)].assign(state)
            return outputs

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "keras_layer": self._spec.value}

    CustomLayer.__name__ = CustomLayer.__qualname__ = class_name
    return tf_keras.saving.register_keras_serializable(PACKAGE, class_name)(CustomLayer)


class _Hidden:
    """Keeps tf_keras from tracking a value: the Keras 3 layer's own weights are not those of the twin."""

    def __init__(self, value: Any):
        self.value = value


def _call_once(layer: Any, args: Any, kwargs: Any) -> None:
    """Call a Keras 3 layer on tensors of the shapes in `args` and `kwargs`, so that all its weights exist."""
    import keras
    import tensorflow as tf

    def tensor(value: Any) -> Any:
        is_tensor = hasattr(value, "shape") and isinstance(getattr(value, "dtype", None), tf.DType)
        return keras.KerasTensor(tuple(value.shape), dtype=value.dtype.name) if is_tensor else value

    inner_args, inner_kwargs = tf.nest.map_structure(tensor, (args, kwargs))
    layer(*inner_args, **inner_kwargs)
