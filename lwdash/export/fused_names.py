"""Layer names for recurrent layers that the converter fuses into one operator without a name."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lwdash.keras_models.ports import leaf_layers
from lwdash.tflite.operator_codes import kind_of

FUSED = {"UNIDIRECTIONAL_SEQUENCE_LSTM": 4, "UNIDIRECTIONAL_SEQUENCE_RNN": 1}
"""Operator → number of gates; their kernels are its inputs from the second on."""


def name_fused_layers(data: Any, model: Any, mark: str) -> int:
    """Name the outputs and constants of such operators in a `ModelT` after the layer of `model` with the same
    kernel.

    mark: suffix of each layer's name, as in the float export. Returns the number of operators named.
    """
    kernels = list(_recurrent_kernels(model))
    named = 0
    for graph in data.subgraphs if kernels else ():
        for operator in graph.operators:
            gates = FUSED.get(kind_of(data, operator))
            path = _layer_of(data, graph, operator.inputs[1 : gates + 1], kernels) if gates else None
            if path is None:
                continue
            layer = path.replace("/", f"{mark}/") + mark
            constants = [
                i for i in operator.inputs[1:] if i >= 0 and _stored(data, graph.tensors[i]) is not None
            ]
            for index in constants:
                graph.tensors[index].name = f"{layer}/weights".encode()
            graph.tensors[operator.outputs[0]].name = f"{layer}/sequence".encode()
            named += 1
    return named


def _recurrent_kernels(model: Any) -> Iterator[tuple[str, np.ndarray]]:
    """(layer path, kernel) of all candidates: two axes, (inputs, gates · units)."""
    for path, layer in leaf_layers(model):
        if hasattr(layer, "return_sequences"):
            yield from ((path, np.asarray(weight)) for weight in layer.weights if len(weight.shape) == 2)


def _layer_of(
    data: Any, graph: Any, inputs: Sequence[int], kernels: Sequence[tuple[str, np.ndarray]]
) -> str | None:
    """The layer whose kernel equals the operator's, gate by gate, each (units, inputs)."""
    stored = [_stored(data, graph.tensors[i]) for i in inputs if i >= 0]
    gates = [values for values in stored if values is not None]
    if len(gates) != len(inputs):
        return None
    whole = np.concatenate(gates).T
    return next((path for path, kernel in kernels if np.array_equal(kernel, whole)), None)


def _stored(data: Any, tensor: Any) -> np.ndarray | None:
    values = data.buffers[tensor.buffer].data
    if values is None or len(values) == 0:
        return None
    return np.asarray(values, np.uint8).view(np.float32).reshape(tensor.shape)
