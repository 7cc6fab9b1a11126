"""Layers that keras.applications defines beside its networks: standard, though not in keras.layers.

Pure tables; the classes themselves are fetched by `application_classes`, which imports Keras.
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
"""Class → module below keras.applications. None of them runs code of the file or reads another."""

CONFIGS = {
    "LayerScale": frozenset({"init_values", "projection_dim"}),
    "StochasticDepth": frozenset({"drop_path_rate"}),
    "CustomScaleLayer": frozenset({"scale"}),
}
"""Arguments that each has of its own, besides those of every layer."""

EVERY_LAYERS = frozenset({"name", "trainable", "dtype"})
REGISTERED = {"CustomScaleLayer": "Custom>CustomScaleLayer"}
"""Names in the registry of Keras 2."""


def application_layer(entry: Mapping[str, Any]) -> str | None:
    """The class of keras.applications that a serialised layer is, None for any other.

    A .keras file names the module. A .h5 names the class alone, which a layer of the user's own may have too: it is
    taken for Keras's where it has exactly the arguments of Keras's.
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
    """The classes, by every name that files have for them, of the module `keras` or `tf_keras`."""
    classes = {}
    for name, module in MODULES.items():
        found = getattr(import_module(f"{library.__name__}.src.applications.{module}"), name)
        classes[name] = classes[REGISTERED.get(name, name)] = found
    return classes
