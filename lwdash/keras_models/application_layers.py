"""Layers that keras.applications defines beside its networks: standard, though not in keras.layers.

This module has only tables. `application_classes` returns the classes themselves and imports Keras.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

MODULES = {
    "LayerScale": "convnext",
    "StochasticDepth": "convnext",
    "CustomScaleLayer": "inception_resnet_v2",
}
"""Class → module below keras.applications. None of these classes runs code from the file or reads another file."""

CONFIGS = {
    "LayerScale": frozenset({"init_values", "projection_dim"}),
    "StochasticDepth": frozenset({"drop_path_rate"}),
    "CustomScaleLayer": frozenset({"scale"}),
}
"""Arguments of each class, besides those that every layer has."""

EVERY_LAYERS = frozenset({"name", "trainable", "dtype"})
REGISTERED = {"CustomScaleLayer": "Custom>CustomScaleLayer"}
"""Names in the registry of Keras 2."""


def application_layer(entry: Mapping[str, Any]) -> str | None:
    """The keras.applications class of a serialised layer; None for any other layer.

    A .keras file names the module. A .h5 file names the class only, and a user's own layer may have the same
    name. It counts as Keras's class if it has exactly the same arguments.
    """
    class_name, module = str(entry.get("class_name")), entry.get("module")
    name = class_name.removeprefix("Custom>")
    if name not in MODULES or class_name not in (name, REGISTERED.get(name)):
        return None
    if entry.get("registered_name") not in (None, name, REGISTERED.get(name)):
        return None
    if module is not None:
        known = [f"{library}.src.applications.{MODULES[name]}" for library in ("keras", "tf_keras")]
        return name if module in known else None
    config = entry.get("config")
    has_its_config = isinstance(config, dict) and set(config) - EVERY_LAYERS == CONFIGS[name]
    return name if has_its_config else None


def application_classes(library: Any) -> dict[str, Any]:
    """The classes of the module `keras` or `tf_keras`, by every name that files use for them."""
    classes = {}
    for name, module in MODULES.items():
        found = getattr(import_module(f"{library.__name__}.src.applications.{module}"), name)
        classes[name] = classes[REGISTERED.get(name, name)] = found
    return classes
