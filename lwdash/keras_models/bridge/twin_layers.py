"""The tf_keras twin of one Keras 3 layer: its class, its arguments, its weights."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from lwdash.errors import BridgeRefused
from lwdash.keras_models import application_layers
from lwdash.keras_models.bridge.custom_layers import custom_twin
from lwdash.keras_models.bridge.operations import activation_name
from lwdash.keras_models.learnt_state import learnt_config

INERT = frozenset(
    {
        "seed",
        "flash_attention",
        "synchronized",
        "input_axes",
        "output_axes",
        "use_cudnn",
        "input_dim",
        "value_range",
        "quantization_config",
        "autocast",
        "renorm_momentum",
    }
)
"""Keras 3 arguments that change nothing at inference and that Keras 2 does not have."""

AUGMENTATIONS = frozenset({"AugMix", "CutMix", "MixUp", "RandAugment"})
"""These, and every Keras 3 layer named Random…, do nothing at inference. The comparison of outputs checks it."""

RENAMED = {"LeakyReLU": {"negative_slope": "alpha"}}

BY_CONSTRUCTOR = frozenset({"MultiHeadAttention"})
"""Layers whose tf_keras from_config expects shapes that a Keras 3 config does not contain."""

OBJECTS = ("layers", "initializers", "regularizers", "constraints")


def twin_layer(layer: Any, name: str) -> Any:
    """A tf_keras layer named `name` that computes the same as the Keras 3 `layer`; weights are copied later.

    Custom layers compute in Keras 3 itself. Raises BridgeRefused for everything else that Keras 2 cannot express.
    """
    import tf_keras

    class_name = type(layer).__name__
    where = f"layer '{layer.name}' ({class_name})"
    own = class_name in application_layers.MODULES and type(layer).__module__.startswith(
        "keras.src.applications."
    )
    if not (own or type(layer).__module__.startswith("keras.src.layers.")) or class_name == "Lambda":
        return custom_twin(layer, name)
    if getattr(layer, "quantization_mode", None):
        raise BridgeRefused(
            f"{where} is already quantized ({layer.quantization_mode}). Start from the float model"
        )
    if own:
        config = {**layer.get_config(), "name": name, "dtype": "float32"}
        return application_layers.application_classes(tf_keras)[class_name].from_config(config)
    if not hasattr(tf_keras.layers, class_name) and augments(class_name):
        return tf_keras.layers.Activation("linear", name=name, trainable=False)
    if not hasattr(tf_keras.layers, class_name):
        raise BridgeRefused(f"{where} has no counterpart in Keras 2")
    twin_class = getattr(tf_keras.layers, class_name)
    arguments = _arguments(class_name, learnt_config(layer), where)
    arguments["name"] = name
    if class_name == "Normalization" and layer.mean is not None:
        # The statistics from adapt() become constants: tf_keras counts rows in a third weight that Keras 3
        # does not have.
        arguments["mean"], arguments["variance"] = (
            _squeezed(value) for value in (layer.mean, layer.variance)
        )
    try:
        twin = twin_class(**arguments) if class_name in BY_CONSTRUCTOR else twin_class.from_config(arguments)
    except (TypeError, ValueError, AttributeError, KeyError) as fault:
        raise BridgeRefused(f"{where} cannot be made in Keras 2: {fault}") from fault
    twin.trainable = layer.trainable
    return twin


def augments(class_name: str) -> bool:
    """True if a layer only varies its input during training."""
    return class_name in AUGMENTATIONS or class_name.startswith("Random")


def copy_weights(layer: Any, twin: Any) -> None:
    """Copy the weights of `layer` into `twin`. Raises BridgeRefused when their shapes do not match."""
    if type(layer).__name__ == "Normalization" or augments(type(layer).__name__):
        return
    source, target = layer.get_weights(), twin.get_weights()
    if [value.shape for value in source] != [value.shape for value in target]:
        raise BridgeRefused(
            f"layer '{layer.name}' ({type(layer).__name__}) has weights of shapes "
            f"{[value.shape for value in source]}, in Keras 2 {[value.shape for value in target]}"
        )
    twin.set_weights(source)


def _squeezed(values: Any) -> np.ndarray:
    array = np.asarray(values)
    return array.reshape([size for size in array.shape if size != 1] or [1])


def _arguments(class_name: str, config: dict[str, Any], where: str) -> dict[str, Any]:
    """The config of a Keras 3 object as arguments of its tf_keras twin.

    An argument that Keras 2 does not have is dropped where it has no effect: inert, empty, or at its default
    in Keras 3.
    """
    import keras
    import tf_keras

    twin_class = _twin_class(class_name, where)
    is_layer = issubclass(twin_class, tf_keras.layers.Layer)
    accepted = _accepted(twin_class)
    original = getattr(keras.layers, class_name, None) if is_layer else None
    defaults = (
        {key: parameter.default for key, parameter in inspect.signature(original.__init__).parameters.items()}
        if original
        else {}
    )
    arguments: dict[str, Any] = {}
    for key, value in config.items():
        if (key, value) == ("data_format", "channels_first"):
            raise BridgeRefused(
                f"{where} is channels_first, which TensorFlow Lite does not support. Rebuild it channels_last"
            )
        translated = _value(key, value, where, is_layer)
        name = RENAMED.get(class_name, {}).get(key, key)
        if name in accepted:
            arguments[name] = translated
        elif not (
            key in INERT
            or value in (None, False, [], {})
            or (key in defaults and value == defaults[key])
            or (key, value) == ("data_format", "channels_last")
        ):
            raise BridgeRefused(f"{where} uses {key}={value!r}, which Keras 2 does not have")
    return arguments


def _value(key: str, value: Any, where: str, is_layer: bool) -> Any:
    if key == "dtype" and is_layer:
        return _dtype(value, where)
    if isinstance(value, dict) and "class_name" in value and "config" in value:
        if "activation" in key and isinstance(value["config"], str):
            return activation_name(value["config"])
        if key.endswith("initializer") and not str(value.get("module")).startswith("keras."):
            return "zeros"  # a custom initializer is not needed: the weights are copied
        return _serialised(value, where)
    if isinstance(value, list) and value and isinstance(value[0], dict) and "class_name" in value[0]:
        return [_serialised(item, where) for item in value]
    if "activation" in key and isinstance(value, str):
        return activation_name(value)
    return value


def _dtype(value: Any, where: str) -> str:
    name = str(value["config"].get("name", "float32") if isinstance(value, dict) else value)
    if "int8" in name or "int4" in name or "float8" in name:
        raise BridgeRefused(f"{where} is already quantized ({name}). Start from the float model")
    # Variables of mixed policies are float32 already, and TensorFlow Lite computes in float32 too.
    return "float32" if name.startswith("mixed") or name in ("float16", "bfloat16") else name


def _serialised(value: dict[str, Any], where: str) -> dict[str, Any]:
    """A nested object (wrapped layer, cell, initializer …) in the serialised form of Keras 2."""
    import tf_keras

    class_name = value["class_name"]
    if class_name in ("function", "Lambda") or value.get("registered_name") not in (
        None,
        class_name,
        "Functional",
    ):
        raise BridgeRefused(f"{where} uses the custom object '{value.get('registered_name') or class_name}'")
    module = "keras.layers" if hasattr(tf_keras.layers, class_name) else value.get("module")
    return {
        "module": module,
        "class_name": class_name,
        "config": _arguments(class_name, value["config"], where),
        "registered_name": None,
    }


def _twin_class(class_name: str, where: str) -> Any:
    import tf_keras

    for namespace in OBJECTS:
        found = getattr(getattr(tf_keras, namespace), class_name, None)
        if found is not None:
            return found
    raise BridgeRefused(f"{where} uses {class_name}, which has no counterpart in Keras 2")


def _accepted(twin_class: Any) -> set[str]:
    """Parameter names of the constructor of `twin_class`, following **kwargs up the class hierarchy."""
    import tf_keras

    names = {"name", "trainable", "dtype"} if issubclass(twin_class, tf_keras.layers.Layer) else set()
    if issubclass(twin_class, tf_keras.layers.RNN):
        names.add("zero_output_for_mask")  # read from **kwargs
    for base in twin_class.__mro__:
        if "__init__" not in base.__dict__:
            continue
        parameters = inspect.signature(base.__init__).parameters.values()
        names |= {
            item.name for item in parameters if item.kind in (item.POSITIONAL_OR_KEYWORD, item.KEYWORD_ONLY)
        }
        if not any(item.kind is item.VAR_KEYWORD for item in parameters):
            break
    return names - {"self"}
