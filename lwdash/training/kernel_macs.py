"""Savings of a change of structure: parameters and multiply-accumulates of a live tf_keras model."""

import math
from collections.abc import Sequence
from typing import Any


def structure_facts(before: Any, after: Any) -> dict[str, Any]:
    """Parameters and MACs of two tf_keras models without nested ones; MACs are None where an axis is free."""
    return {
        "parameters_before": int(before.count_params()),
        "parameters_after": int(after.count_params()),
        "macs_before": model_macs(before),
        "macs_after": model_macs(after),
    }


def model_macs(model: Any) -> int | None:
    """MACs of the dense layers and convolutions for one row, shared layers once per call."""
    found = macs_by_layer(model)
    return None if found is None else sum(found.values())


def macs_by_layer(model: Any) -> dict[str, int] | None:
    """The MACs of each layer with a kernel, by its name, of all its calls; None where an axis is free."""
    found: dict[str, int] = {}
    for nodes in model._nodes_by_depth.values():
        for node in nodes:
            if not node.is_input:
                macs = layer_macs(node.layer, _shape(node.input_shapes), _shape(node.output_shapes))
                if macs is None:
                    return None
                if macs:
                    found[node.layer.name] = found.get(node.layer.name, 0) + macs
    return found


def layer_macs(layer: Any, input_shape: Sequence[Any], output_shape: Sequence[Any]) -> int | None:
    """MACs of one call of a layer: each kernel weight is used once per position; 0 for layers without
    kernels.

    input_shape, output_shape: with the batch axis.
    """
    kind = type(layer).__name__
    if kind != "Dense" and "Conv" not in kind:
        return 0
    places = (input_shape if kind.endswith("Transpose") else output_shape)[1:-1]
    if None in places:
        return None
    kernels = [w for w in layer.weights if "kernel" in w.name.rpartition("/")[2]]
    return math.prod(places) * sum(math.prod(kernel.shape) for kernel in kernels)


def _shape(shapes: Any) -> tuple[Any, ...]:
    """The shape of a layer's first tensor."""
    first = shapes
    while isinstance(first, (list, dict)):
        first = next(iter(first.values())) if isinstance(first, dict) else first[0]
    return tuple(first)
