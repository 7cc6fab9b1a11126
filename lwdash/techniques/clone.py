"""Copies of live models: techniques never change the one they are given."""

from collections.abc import Callable
from typing import Any


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


def clone_keras(model: Any) -> Any:
    """A copy of a Keras 3 model with its weights."""
    import keras

    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy
