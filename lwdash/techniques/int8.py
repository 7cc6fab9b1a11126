"""Full integer quantization: int8 weights and activations, ranges from calibration rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lwdash.parameters import Choice, Integer, parameter
from lwdash.techniques.contract import Convert, Packed, Rows
from lwdash.techniques.flatbuffer import read_model, write_model
from lwdash.techniques.quantizer import floating_operators, quantize

NAME = "int8"
LABEL = "Full integer"
SUMMARY = "8-bit weights and activations: a quarter of the size, and the only form most microcontrollers run."
TRAP = "The ranges come from the calibration rows: rows scaled otherwise than in use give a bad file."
STAGE = "tflite"
NEEDS_ROWS = True


@dataclass(frozen=True)
class Params:
    io: str = parameter(
        "int8",
        Choice(
            "Input and output",
            "The number format at the file's borders.",
            {
                "int8": "8-bit signed, as the kernels compute",
                "uint8": "8-bit unsigned, for camera pixels",
                "float32": "floats, converted inside the file",
            },
        ),
    )
    rows: int = parameter(
        256,
        Integer("Calibration rows", "How many calibration rows set the ranges, at most.", 1, 100_000, "rows"),
    )


def apply(data: bytes, params: Params, rows: Rows | None, convert: Convert | None = None) -> Packed:
    """Integer throughout; operators that have no integer form are listed as skipped."""
    from litert_quantizer import recipe

    some = None if rows is None else {name: values[: params.rows] for name, values in rows.items()}
    quantized = quantize(data, recipe.static_wi8_ai8(), some)
    skipped = floating_operators(quantized)
    if params.io != "int8":
        quantized = with_borders(quantized, params.io)
    used = 0 if some is None else len(next(iter(some.values())))
    return Packed(quantized, skipped, {"calibration_rows": used})


def with_borders(data: bytes, io: str) -> bytes:
    """The same file with `uint8` or `float32` inputs and outputs, converted by operators at its borders."""
    from ai_edge_litert import schema_py_generated as schema

    model = read_model(data)
    graph = model.subgraphs[0]
    graph.inputs, graph.outputs = list(graph.inputs), list(graph.outputs)
    renamed: dict[int, int] = {}
    for position, index in enumerate(graph.inputs):
        if graph.tensors[index].type == schema.TensorType.INT8:
            outer = _border_tensor(graph, index, io, schema)
            graph.operators.insert(0, _operator(model, "QUANTIZE", outer, index, schema))
            graph.inputs[position] = renamed[index] = outer
    for position, index in enumerate(graph.outputs):
        if graph.tensors[index].type == schema.TensorType.INT8:
            outer = _border_tensor(graph, index, io, schema)
            kind = "DEQUANTIZE" if io == "float32" else "QUANTIZE"
            graph.operators.append(_operator(model, kind, index, outer, schema))
            graph.outputs[position] = renamed[index] = outer
    for signature in model.signatureDefs or ():
        for entry in [*signature.inputs, *signature.outputs]:
            entry.tensorIndex = renamed.get(entry.tensorIndex, entry.tensorIndex)
    return write_model(model)


def _border_tensor(graph: Any, index: int, io: str, schema: Any) -> int:
    """A tensor like `index`, with its name, in the border's format; the inner one is called `…/int8`."""
    inner = graph.tensors[index]
    outer = schema.TensorT()
    outer.shape, outer.shapeSignature, outer.name, outer.buffer = (
        inner.shape,
        inner.shapeSignature,
        inner.name,
        0,
    )
    outer.hasRank = inner.hasRank
    inner.name = inner.name + b"/int8"
    if io == "float32":
        outer.type = schema.TensorType.FLOAT32
    else:
        outer.type = schema.TensorType.UINT8
        outer.quantization = schema.QuantizationParametersT()
        outer.quantization.scale = inner.quantization.scale
        outer.quantization.zeroPoint = np.asarray(inner.quantization.zeroPoint, np.int64) + 128
    graph.tensors.append(outer)
    return len(graph.tensors) - 1


def _operator(model: Any, kind: str, source: int, target: int, schema: Any) -> Any:
    operator = schema.OperatorT()
    operator.opcodeIndex = _opcode(model, getattr(schema.BuiltinOperator, kind), schema)
    operator.inputs, operator.outputs = [source], [target]
    options = schema.DequantizeOptionsT if kind == "DEQUANTIZE" else schema.QuantizeOptionsT
    operator.builtinOptionsType = getattr(schema.BuiltinOptions, options.__name__[:-1])
    operator.builtinOptions = options()
    return operator


def _opcode(model: Any, builtin: int, schema: Any) -> int:
    for i, code in enumerate(model.operatorCodes):
        if code.builtinCode == builtin:
            return i
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = builtin
    code.version = 2
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1
