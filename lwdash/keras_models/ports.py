"""Loaded models with ports as plain lists. Names of the number types that models compute in."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

HALVES = frozenset({"float16", "bfloat16"})
OTHERS = HALVES | {"float64"}
"""Float types that TensorFlow Lite does not compute in."""


def with_flat_ports(model: Any) -> Any:
    """`model`; if its inputs or outputs are a dictionary, a model of the same layers and weights with lists.

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


def is_network(layer: Any) -> bool:
    """True for a nested Sequential or Functional, whose layers are treated singly; False for a layer that holds layers."""
    is_sequential = any(cls.__name__ == "Sequential" for cls in type(layer).__mro__)
    return hasattr(layer, "layers") and (is_sequential or hasattr(layer, "_nodes_by_depth"))


def leaf_layers(model: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(path, layer) of every layer that is not itself a model; those of nested models as `outer/inner`."""
    for layer in model.layers:
        if is_network(layer):
            yield from leaf_layers(layer, f"{prefix}{layer.name}/")
        else:
            yield f"{prefix}{layer.name}", layer


def fixed_rows(model: Any) -> int | None:
    """The number of rows that a live model takes at once; None where it takes any number, or is not a Keras model."""
    shapes = [tuple(tensor.shape) for tensor in getattr(model, "inputs", None) or ()]
    return next((int(shape[0]) for shape in shapes if shape and shape[0] is not None), None)


def library_of(model: Any) -> Any:
    """`tf_keras` for its models, else `keras` (Keras 3). The other one is not imported, which would take a second."""
    packages = {cls.__module__.partition(".")[0] for cls in type(model).__mro__}
    return importlib.import_module("tf_keras" if "tf_keras" in packages else "keras")
