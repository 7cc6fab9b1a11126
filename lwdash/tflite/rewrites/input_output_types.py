"""The number format at a quantized file's inputs and outputs."""

from typing import Any

import numpy as np

from lwdash.tflite.flatbuffer import read_model, write_model
from lwdash.tflite.operator_codes import conversion


def with_borders(data: bytes, io: str) -> bytes:
    """The same file with its integer inputs and outputs as `io`, converted by additional operators.

    io: `float32` from int8, uint8 or int16, or `uint8` from int8. Inputs and outputs of another type, and
    integers without a scale, stay unchanged.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = read_model(data)
    graph = model.subgraphs[0]
    graph.inputs, graph.outputs = list(graph.inputs), list(graph.outputs)
    types = schema.TensorType
    inner = (types.INT8, types.UINT8, types.INT16) if io == "float32" else (types.INT8,)
    renamed: dict[int, int] = {}
    for position, index in enumerate(graph.inputs):
        if graph.tensors[index].type in inner and _has_scale(graph.tensors[index]):
            outer = _border_tensor(graph, index, io, schema)
            graph.operators.insert(0, conversion(model, "QUANTIZE", outer, index))
            graph.inputs[position] = renamed[index] = outer
    for position, index in enumerate(graph.outputs):
        if graph.tensors[index].type in inner and _has_scale(graph.tensors[index]):
            outer = _border_tensor(graph, index, io, schema)
            kind = "DEQUANTIZE" if io == "float32" else "QUANTIZE"
            graph.operators.append(conversion(model, kind, index, outer))
            graph.outputs[position] = renamed[index] = outer
    for signature in model.signatureDefs or ():
        for entry in [*signature.inputs, *signature.outputs]:
            entry.tensorIndex = renamed.get(entry.tensorIndex, entry.tensorIndex)
    return write_model(model)


def _has_scale(tensor: Any) -> bool:
    scale = None if tensor.quantization is None else tensor.quantization.scale
    return scale is not None and len(scale) > 0


def _border_tensor(graph: Any, index: int, io: str, schema: Any) -> int:
    """A tensor like `index`, with its name, in the new format; the inner one is named `…/int8` after its type."""
    inner = graph.tensors[index]
    outer = schema.TensorT()
    outer.shape, outer.shapeSignature, outer.name, outer.buffer = (
        inner.shape,
        inner.shapeSignature,
        inner.name,
        0,
    )
    outer.hasRank = inner.hasRank
    types = schema.TensorType
    inner.name += {types.INT8: b"/int8", types.UINT8: b"/uint8", types.INT16: b"/int16"}[inner.type]
    if io == "float32":
        outer.type = schema.TensorType.FLOAT32
    else:
        outer.type = schema.TensorType.UINT8
        outer.quantization = schema.QuantizationParametersT()
        outer.quantization.scale = inner.quantization.scale
        outer.quantization.zeroPoint = np.asarray(inner.quantization.zeroPoint, np.int64) + 128
    graph.tensors.append(outer)
    return len(graph.tensors) - 1
