"""Copies of live models: techniques never change their input model."""

from collections.abc import Callable
from typing import Any

from lwdash.keras_models.learnt_state import learnt_config
from lwdash.keras_models.ports import leaf_layers


def clone_with(model: Any, wrap: Callable[[Any], Any]) -> Any:
    """A copy of a tf_keras model with its weights, each layer replaced by the result of `wrap` for its copy.

    The weights are set before wrapping, since wrappers (tfmot) take their initial values from them.
    Nested models are wrapped from the inside out.
    """
    import tf_keras

    copy = tf_keras.models.clone_model(model)
    copy.set_weights(model.get_weights())

    def wrap_layer(layer: Any) -> Any:
        if isinstance(layer, tf_keras.Model):
            return tf_keras.models.clone_model(layer, clone_function=wrap_layer)
        return wrap(layer)

    return tf_keras.models.clone_model(copy, clone_function=wrap_layer)


def clone_live(model: Any) -> Any:
    """A copy of a model of either Keras with its weights."""
    import keras
    import tf_keras

    if isinstance(model, tf_keras.Model):
        return clone_with(model, lambda layer: layer)

    def copied(layer: Any) -> Any:
        return type(layer).from_config(
            learnt_config(layer) if isinstance(layer, keras.layers.Layer) else layer.get_config()
        )

    copy = keras.models.clone_model(model, clone_function=copied, recursive=True)
    for (_, source), (_, target) in zip(leaf_layers(model), leaf_layers(copy), strict=True):
        if target.weights:  # a Normalization's weights are constants of its copy
            target.set_weights(source.get_weights())
    return copy
