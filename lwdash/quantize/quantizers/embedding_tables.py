"""Embedding tables in 8 bits: GATHER with a constant table. litert-quantizer has no such form with float outputs."""

from collections.abc import Collection
from typing import Any

import numpy as np

from lwdash.quantize.read_back import shape_of
from lwdash.tflite.constants import add_buffer
from lwdash.tflite.flatbuffer import text
from lwdash.tflite.operator_codes import kind_of, operator_code

LARGEST = 127
SMALLEST = 1e-30
"""A table of zeros also needs a scale."""


def quantize_tables(model: Any, scopes: Collection[str]) -> int:
    """Store the float tables read by GATHER operators of `scopes` (see `Computed.scope`) as int8; return
    their number.

    One scale per table. The selected rows become floats after the GATHER. A table that another operator also
    reads stays unchanged.
    """
    wanted = set(scopes)
    graph = model.subgraphs[0]
    picked: dict[int, list[Any]] = {}
    for operator in graph.operators:
        scope = "".join(f"{text(graph.tensors[i].name)};" for i in operator.outputs)
        if kind_of(model, operator) == "GATHER" and scope in wanted:
            picked.setdefault(int(operator.inputs[0]), []).append(operator)
    changed = 0
    for index, readers in picked.items():
        table = graph.tensors[index]
        uses = sum(index in list(operator.inputs) for operator in graph.operators)
        if uses != len(readers) or not is_stored_float(model, table):
            continue
        scale = store_as_int8(model, table)
        for operator in readers:
            _dequantize_behind(model, graph, operator, scale)
        changed += 1
    return changed


def store_as_int8(model: Any, tensor: Any) -> np.float32:
    """Convert a stored float32 tensor to symmetric int8 with one scale, which is returned."""
    from ai_edge_litert import schema_py_generated as schema

    values = np.frombuffer(np.asarray(model.buffers[tensor.buffer].data, np.uint8).tobytes(), np.float32)
    scale = np.float32(max(float(np.abs(values).max()), SMALLEST) / LARGEST)
    tensor.type = schema.TensorType.INT8
    tensor.buffer = add_buffer(model, np.rint(values / scale).astype(np.int8))
    tensor.quantization = _one_scale(scale)
    return scale


def is_stored_float(model: Any, tensor: Any) -> bool:
    """True if it holds float32 weights of two or more axes."""
    from ai_edge_litert import schema_py_generated as schema

    data = model.buffers[tensor.buffer].data
    is_stored = data is not None and len(data) > 0
    return is_stored and tensor.type == schema.TensorType.FLOAT32 and len(shape_of(tensor)) > 1


def _dequantize_behind(model: Any, graph: Any, operator: Any, scale: np.float32) -> None:
    from ai_edge_litert import schema_py_generated as schema

    result = int(operator.outputs[0])
    rows = schema.TensorT()
    rows.name = graph.tensors[result].name + b"_int8"
    rows.shape, rows.shapeSignature = graph.tensors[result].shape, graph.tensors[result].shapeSignature
    rows.type, rows.hasRank = schema.TensorType.INT8, True
    rows.buffer, rows.quantization = 0, _one_scale(scale)
    graph.tensors.append(rows)
    operator.outputs = [len(graph.tensors) - 1]
    unpack = schema.OperatorT()
    unpack.opcodeIndex = operator_code(model, "DEQUANTIZE")
    unpack.inputs, unpack.outputs = [len(graph.tensors) - 1], [result]
    unpack.builtinOptionsType = schema.BuiltinOptions.DequantizeOptions
    unpack.builtinOptions = schema.DequantizeOptionsT()
    graph.operators.insert(graph.operators.index(operator) + 1, unpack)


def _one_scale(scale: np.float32) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    found = schema.QuantizationParametersT()
    found.scale, found.zeroPoint = np.array([scale], np.float32), np.array([0], np.int64)
    return found
