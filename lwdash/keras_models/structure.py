"""Loaded models in one form: ports as plain lists, and Keras 2's arithmetic in float32."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HALF = frozenset({"float16", "bfloat16"})


def with_flat_ports(model: Any) -> Any:
    """`model`, or where it takes or gives a dictionary, a model of the same layers and weights with lists.

    The order is that of `model.inputs` and `model.outputs`, which `ModelFacts` has too.
    """
    inner = getattr(model, "_functional", None) or model
    structures = [
        getattr(inner, name, None)
        for name in ("_inputs_struct", "_outputs_struct", "_nested_inputs", "_nested_outputs")
    ]
    if not any(_holds_mapping(structure) for structure in structures):
        return model
    return _library(model).Model(list(model.inputs), list(model.outputs), name=model.name)


def in_float32(model: Any) -> Any:
    """`model`, or where layers of a tf_keras model compute in half precision, the same layers and weights in float32.

    TensorFlow Lite has no half-precision arithmetic; variables of mixed policies are float32 already.
    """
    import tf_keras

    if not isinstance(model, tf_keras.Model):
        return model
    if not any(str(layer.compute_dtype) in HALF for layer in model._flatten_layers()):
        return model

    def copied(layer: Any) -> Any:
        if isinstance(layer, tf_keras.Model):
            return tf_keras.models.clone_model(layer, clone_function=copied)
        return type(layer).from_config(_without_half(layer.get_config()))

    copy = tf_keras.models.clone_model(model, clone_function=copied)
    copy.set_weights(model.get_weights())
    return copy


def _without_half(config: Any, key: str = "") -> Any:
    """A layer's config with every policy and type of half precision as float32, those of wrapped layers too."""
    if key == "dtype":
        name = config.get("config", {}).get("name", "") if isinstance(config, dict) else str(config)
        return "float32" if name.startswith("mixed_") or name in HALF else config
    if isinstance(config, dict):
        return {name: _without_half(value, name) for name, value in config.items()}
    return [_without_half(value) for value in config] if isinstance(config, list) else config


def _holds_mapping(structure: Any) -> bool:
    if isinstance(structure, Mapping):
        return True
    return isinstance(structure, (list, tuple)) and any(_holds_mapping(item) for item in structure)


def _library(model: Any) -> Any:
    import keras
    import tf_keras

    return tf_keras if isinstance(model, tf_keras.Model) else keras
