"""1 × 1 convolutions written as FULLY_CONNECTED, for which LiteRT has fast kernels with 4-bit weights."""

import copy
from collections.abc import Collection
from typing import Any

from lwdash.quantize.read_back import is_pointwise, shape_of
from lwdash.tflite.flatbuffer import read_model, text, write_model
from lwdash.tflite.operator_codes import drop_unused_codes, kind_of, operator_code

KEEPS_DIMENSIONS_SINCE = 5
"""First version of FULLY_CONNECTED with `keep_num_dims`."""


def write_as_fully_connected(data: bytes, scopes: Collection[str]) -> bytes:
    """The .tflite with the 1 × 1 CONV_2D operators of `scopes` (see `Computed.scope`) as FULLY_CONNECTED.

    The result has the same bits: each output is the same sum of products. Shapes and names of activations
    stay.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = read_model(data)
    wanted = set(scopes)
    changed = False
    for graph in model.subgraphs:
        chosen = [o for o in graph.operators if _scope(graph, o) in wanted and _is_pointwise(model, graph, o)]
        flat: dict[int, int] = {}
        for operator in chosen:
            kernel = int(operator.inputs[1])
            if kernel not in flat:
                others = [o for o in graph.operators if kernel in list(o.inputs) and o not in chosen]
                flat[kernel] = _flat_kernel(graph, kernel, is_shared=bool(others))
        for operator in chosen:
            options = schema.FullyConnectedOptionsT()
            options.fusedActivationFunction = operator.builtinOptions.fusedActivationFunction
            options.keepNumDims = True
            operator.builtinOptions = options
            operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
            operator.inputs = [operator.inputs[0], flat[int(operator.inputs[1])], *operator.inputs[2:]]
            operator.opcodeIndex = operator_code(model, "FULLY_CONNECTED", KEEPS_DIMENSIONS_SINCE)
            code = model.operatorCodes[operator.opcodeIndex]
            code.version = max(code.version, KEEPS_DIMENSIONS_SINCE)
            changed = True
    if not changed:
        return data
    drop_unused_codes(model)
    return write_model(model)


def _scope(graph: Any, operator: Any) -> str:
    return "".join(f"{text(graph.tensors[i].name)};" for i in operator.outputs)


def _is_pointwise(model: Any, graph: Any, operator: Any) -> bool:
    if kind_of(model, operator) != "CONV_2D":
        return False
    return is_pointwise(operator.builtinOptions, shape_of(graph.tensors[operator.inputs[1]]))


def _flat_kernel(graph: Any, kernel: int, *, is_shared: bool) -> int:
    """Index of the same weights with two axes: the tensor itself if no other operator reads it in its old shape."""
    tensor = graph.tensors[kernel]
    outputs, _, _, inputs = shape_of(tensor)
    if is_shared:
        tensor = copy.copy(tensor)
        tensor.name = tensor.name + b"_flat"
        graph.tensors.append(tensor)
        kernel = len(graph.tensors) - 1
    tensor.shape, tensor.shapeSignature = [outputs, inputs], None
    return kernel
