"""Half-precision weights: half the bytes, computed in float32."""

from dataclasses import dataclass

import numpy as np

from lwdash.contract import Convert, Packed, Rows, Skipped
from lwdash.export.keras_converter import half_precision, require
from lwdash.parameters import parameter
from lwdash.quantize.read_back import float_weights, layer_of
from lwdash.quantize.shared_parameters import BACKEND
from lwdash.tflite.constants import add_buffer
from lwdash.tflite.flatbuffer import read_model, write_model
from lwdash.tflite.operator_codes import operator_code

NAME = "float16"
LABEL = "Half precision"
SUMMARY = "Weights stored as 16-bit floats: half the size, almost no loss."
TRAP = "A CPU still computes in float32, so it is not faster. Many microcontrollers cannot read it."
STAGE = "tflite"
NEEDS_ROWS = False


@dataclass(frozen=True)
class Params:
    backend: str = parameter("litert", BACKEND)


def apply(data: bytes, params: Params, rows: Rows | None, convert: Convert | None = None) -> Packed:
    """Every float32 constant becomes float16 with a DEQUANTIZE before its use, as in TFLiteConverter.

    A tensor with values beyond float16's range (65,504) stays float32 and is listed as skipped.
    """
    from ai_edge_litert import schema_py_generated as schema

    if params.backend == "tflite":
        converted = require(convert)(half_precision, None)
        return Packed(converted, float_weights(converted, "TFLiteConverter did not convert them"))
    model = read_model(data)
    opcode = operator_code(model, "DEQUANTIZE", version=3)
    skipped = []
    for graph in model.subgraphs:
        made: dict[int, int] = {}
        operators = []
        for operator in graph.operators:
            operator.inputs = list(operator.inputs)
            for position, index in enumerate(operator.inputs):
                if index not in made:
                    if index < 0 or not _is_constant_float(model, graph.tensors[index], schema):
                        continue
                    half = _as_half(model, graph.tensors[index])
                    if half is None:
                        layer = layer_of(graph.tensors[operator.outputs[0]])
                        skipped.append(Skipped(layer, "values beyond float16's 65,504, so they stay float32"))
                        continue
                    made[index], dequantize = _insert(model, graph, index, half, opcode, schema)
                    operators.append(dequantize)
                operator.inputs[position] = made[index]
            operators.append(operator)
        graph.operators = operators
    return Packed(write_model(model), tuple(skipped))


def _is_constant_float(model, tensor, schema) -> bool:
    data = model.buffers[tensor.buffer].data
    return (
        tensor.type == schema.TensorType.FLOAT32
        and data is not None
        and len(data) > 0
        and not tensor.isVariable
    )


def _as_half(model, tensor) -> np.ndarray | None:
    values = np.asarray(model.buffers[tensor.buffer].data, dtype=np.uint8).view(np.float32)
    if np.abs(values).max(initial=0) > np.finfo(np.float16).max:
        return None
    return values.astype(np.float16)


def _insert(model, graph, index: int, half: np.ndarray, opcode: int, schema) -> tuple[int, object]:
    """Convert tensor `index` to half precision and return its float32 reading: (new tensor's index, operator)."""
    source = graph.tensors[index]
    wide = schema.TensorT()
    wide.shape, wide.name, wide.type = source.shape, source.name + b"/float32", schema.TensorType.FLOAT32
    wide.buffer, wide.hasRank = 0, source.hasRank
    source.buffer, source.type = add_buffer(model, half), schema.TensorType.FLOAT16
    graph.tensors.append(wide)
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = opcode, [index], [len(graph.tensors) - 1]
    operator.builtinOptionsType = schema.BuiltinOptions.DequantizeOptions
    operator.builtinOptions = schema.DequantizeOptionsT()
    return len(graph.tensors) - 1, operator
