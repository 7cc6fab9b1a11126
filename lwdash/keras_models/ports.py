"""Loaded models in one form of ports: plain lists. Names of the number types that models compute in."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

HALVES = frozenset({"float16", "bfloat16"})
OTHERS = HALVES | {"float64"}
"""Float types that TensorFlow Lite does not compute in."""


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
    return library_of(model).Model(list(model.inputs), list(model.outputs), name=model.name)


def _holds_mapping(structure: Any) -> bool:
    if isinstance(structure, Mapping):
        return True
    return isinstance(structure, (list, tuple)) and any(_holds_mapping(item) for item in structure)


def library_of(model: Any) -> Any:
    """`tf_keras` for its models, else `keras` (Keras 3); the other one is not imported, which takes a second."""
    packages = {cls.__module__.partition(".")[0] for cls in type(model).__mro__}
    return importlib.import_module("tf_keras" if "tf_keras" in packages else "keras")
