"""Loaded models in one form: ports as plain lists, and arithmetic in float32."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

OTHERS = frozenset({"float16", "bfloat16", "float64"})


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
    """`model`, or where its layers compute in half or double precision, the same layers and weights in float32.

    TensorFlow Lite has arithmetic in float32 alone. A subclassed model is left as it is: nothing says how its layers are
    joined.
    """
    keras = _library(model)
    is_graph = isinstance(model, keras.Sequential) or hasattr(model, "_nodes_by_depth")
    if not is_graph or not any(str(layer.compute_dtype) in OTHERS for layer in model._flatten_layers()):
        return model
    copy = type(model).from_config(_in_float32(model.get_config()))
    copy.set_weights([np.asarray(values, np.float32) for values in model.get_weights()])
    return copy


def _in_float32(config: Any, key: str = "") -> Any:
    """A model's config with every policy and type of another precision as float32, those of inner layers too."""
    if key == "dtype":
        name = config.get("config", {}).get("name", "") if isinstance(config, dict) else str(config)
        return "float32" if name.startswith("mixed_") or name in OTHERS else config
    if isinstance(config, dict):
        return {name: _in_float32(value, name) for name, value in config.items()}
    return [_in_float32(value) for value in config] if isinstance(config, list) else config


def _holds_mapping(structure: Any) -> bool:
    if isinstance(structure, Mapping):
        return True
    return isinstance(structure, (list, tuple)) and any(_holds_mapping(item) for item in structure)


def _library(model: Any) -> Any:
    import keras
    import tf_keras

    return tf_keras if isinstance(model, tf_keras.Model) else keras
