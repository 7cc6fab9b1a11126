"""Integer FULLY_CONNECTED operators written as 1 × 1 convolutions, which XNNPACK loads with sparse weights."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from lwdash.tflite.constants import add_constant
from lwdash.tflite.operator_codes import drop_unused_codes, kind_of, operator_code

CONV_VERSION = 3
"""The first version of CONV_2D with int8 activations and one scale a channel."""


def write_as_convolution(model: Any, graph: Any, kernels: Collection[int]) -> None:
    """Changes the int8 FULLY_CONNECTED operators of `graph` whose kernel is in `kernels`.

    (rows, n) → RESHAPE to (rows, 1, 1, n) → CONV_2D with the kernel as (units, 1, 1, n) → RESHAPE to what it was. Each
    output is the same sum of products, rounded alike. A kernel that another operator reads too is left alone.
    """
    from ai_edge_litert import schema_py_generated as schema

    flat = [o for o in graph.operators if _is_integer_dense(model, graph, o) and int(o.inputs[1]) in kernels]
    readers = [int(i) for o in graph.operators for i in o.inputs]
    flat = [o for o in flat if readers.count(int(o.inputs[1])) == 1]
    if not flat:
        return
    operators = []
    for operator in graph.operators:
        if operator not in flat:
            operators.append(operator)
            continue
        source, kernel, output = int(operator.inputs[0]), int(operator.inputs[1]), int(operator.outputs[0])
        units, width = (int(n) for n in graph.tensors[kernel].shape)
        graph.tensors[kernel].shape, graph.tensors[kernel].shapeSignature = [units, 1, 1, width], None
        inner = _tensor_like(graph, source, (1, 1, width))
        result = _tensor_like(graph, output, (1, 1, units))
        operators.append(_reshape(model, graph, source, inner, [-1, 1, 1, width]))
        options = schema.Conv2DOptionsT()
        options.padding, options.strideH, options.strideW = schema.Padding.VALID, 1, 1
        options.dilationHFactor = options.dilationWFactor = 1
        options.fusedActivationFunction = operator.builtinOptions.fusedActivationFunction
        operator.builtinOptions, operator.builtinOptionsType = options, schema.BuiltinOptions.Conv2DOptions
        operator.opcodeIndex = operator_code(model, "CONV_2D", CONV_VERSION)
        given = [int(i) for i in operator.inputs[2:3] if int(i) >= 0]
        bias = given[0] if given else _zero_bias(model, graph, source, kernel)
        operator.inputs, operator.outputs = [inner, kernel, bias], [result]
        operators.append(operator)
        shape = [int(n) for n in graph.tensors[output].shape]
        operators.append(_reshape(model, graph, result, output, [-1, *shape[1:]]))
    graph.operators = operators
    drop_unused_codes(model)


def _is_integer_dense(model: Any, graph: Any, operator: Any) -> bool:
    from ai_edge_litert import schema_py_generated as schema

    if kind_of(model, operator) != "FULLY_CONNECTED":
        return False
    tensors = [graph.tensors[int(i)] for i in (*operator.inputs[:2], *operator.outputs)]
    options = operator.builtinOptions
    return (
        all(tensor.type == schema.TensorType.INT8 for tensor in tensors)
        and options.weightsFormat == schema.FullyConnectedOptionsWeightsFormat.DEFAULT
        and len(graph.tensors[int(operator.outputs[0])].shape) >= 2
    )


def _tensor_like(graph: Any, index: int, inner: tuple[int, ...]) -> int:
    """Adds a tensor of the same type and scale as `index`, (rows, *inner); returns its index."""
    from ai_edge_litert import schema_py_generated as schema

    like = graph.tensors[index]
    rows = int(np.prod([int(n) for n in like.shape])) // int(np.prod(inner))
    is_free = like.shapeSignature is not None and any(int(n) == -1 for n in like.shapeSignature)
    tensor = schema.TensorT()
    tensor.name, tensor.type, tensor.quantization, tensor.hasRank = (
        like.name,
        like.type,
        like.quantization,
        True,
    )
    tensor.shape, tensor.buffer = [rows, *inner], 0
    tensor.shapeSignature = [-1, *inner] if is_free else None
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _zero_bias(model: Any, graph: Any, source: int, kernel: int) -> int:
    """Adds the bias that an integer CONV_2D must have; returns its index."""
    from ai_edge_litert import schema_py_generated as schema

    weights = graph.tensors[kernel]
    index = add_constant(model, graph, b"bias", np.zeros(int(weights.shape[0]), np.int32))
    scales = np.asarray(weights.quantization.scale) * graph.tensors[source].quantization.scale[0]
    bias = graph.tensors[index]
    bias.quantization = schema.QuantizationParametersT()
    bias.quantization.scale = scales.astype(np.float32)
    bias.quantization.zeroPoint = np.zeros(len(scales), np.int64)
    return index


def _reshape(model: Any, graph: Any, source: int, target: int, shape: list[int]) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    operator = schema.OperatorT()
    constant = add_constant(model, graph, b"shape", np.asarray(shape, np.int32))
    operator.opcodeIndex = operator_code(model, "RESHAPE", 1)
    operator.inputs, operator.outputs = [source, constant], [target]
    operator.builtinOptionsType, operator.builtinOptions = (
        schema.BuiltinOptions.ReshapeOptions,
        schema.ReshapeOptionsT(),
    )
    operator.builtinOptions.newShape = shape
    return operator
