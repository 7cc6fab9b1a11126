"""Models whose inputs or outputs are dictionaries, as models of plain lists: one calling convention for all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


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


def _holds_mapping(structure: Any) -> bool:
    if isinstance(structure, Mapping):
        return True
    return isinstance(structure, (list, tuple)) and any(_holds_mapping(item) for item in structure)


def _library(model: Any) -> Any:
    import keras
    import tf_keras

    return tf_keras if isinstance(model, tf_keras.Model) else keras
