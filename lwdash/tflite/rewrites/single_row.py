"""A .tflite for a fixed number of rows, rewritten for one row and compared with the original."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from lwdash.tflite.constants import add_buffer
from lwdash.tflite.flatbuffer import read_model, write_model
from lwdash.tflite.operator_codes import kind_of
from lwdash.tflite.rewrites.unread import drop_unread

SHAPES = {"RESHAPE": 1, "BROADCAST_TO": 1, "FILL": 0, "TRANSPOSE_CONV": 0, "SLICE": 2}
"""Operators, and the place of their input that holds a shape with the rows first."""
WITH_KERNELS = frozenset(("FULLY_CONNECTED", "BATCH_MATMUL", "EMBEDDING_LOOKUP", "GATHER"))
"""Operators with constants whose first axis is not the rows."""
TOLERANCE = 1e-4


class RowsNotAlone(ValueError):
    """The file cannot be rewritten for one row."""


def with_single_row(data: bytes, rows: int) -> bytes:
    """`data`, whose inputs take `rows` rows at once, for inputs of one row.

    The number of rows becomes 1 in constant shapes, in initial states and in the shapes of all tensors. Raises RowsNotAlone
    where LiteRT cannot run the result, or where the output of a row depends on the others.
    """
    model = read_model(data)
    try:
        for graph in model.subgraphs:
            _shorten(model, graph, rows)
        for number in range(len(model.subgraphs)):
            drop_unread(model, number, kinds=())
        written = _with_prepared_shapes(model)
        difference = _difference(data, written, rows)
    except (RuntimeError, ValueError) as fault:
        raise RowsNotAlone(" ".join(str(fault).split())[:200]) from fault
    if not difference <= TOLERANCE:  # also NaN
        raise RowsNotAlone(f"its outputs for one row depend on the other rows, by {100 * difference:.3g} %")
    return written


def _shorten(model: Any, graph: Any, rows: int) -> None:
    for operator in graph.operators:
        _shorten_constants(model, graph, operator, rows)
    for tensor in graph.tensors:
        if model.buffers[tensor.buffer].data is None and tensor.shape is not None and len(tensor.shape):
            for name in ("shape", "shapeSignature"):
                lengths = getattr(tensor, name)
                if lengths is not None and len(lengths) and lengths[0] == rows:
                    setattr(tensor, name, [1, *map(int, lengths[1:])])


def _shorten_constants(model: Any, graph: Any, operator: Any, rows: int) -> None:
    from ai_edge_litert import schema_py_generated as schema

    kind = kind_of(model, operator)
    operator.inputs = list(map(int, operator.inputs))
    options = operator.builtinOptions
    lengths = getattr(options, "newShape", None)
    if lengths is not None and len(lengths) and lengths[0] == rows:
        options.newShape = [1, *map(int, lengths[1:])]
    for place, index in enumerate(operator.inputs):
        stored = None if index < 0 else model.buffers[graph.tensors[index].buffer].data
        if stored is None or not len(stored):
            continue
        tensor = graph.tensors[index]
        values: np.ndarray | None = None
        if SHAPES.get(kind) == place and tensor.type == schema.TensorType.INT32:
            values = np.asarray(stored, np.uint8).view(np.int32)
            values = np.concatenate([[1], values[1:]]).astype(np.int32) if values[0] == rows else None
        elif (
            kind not in WITH_KERNELS
            and "CONV" not in kind
            and tensor.shape is not None
            and len(tensor.shape) > 1
            and tensor.shape[0] == rows
        ):
            each = np.asarray(stored, np.uint8).reshape(rows, -1)
            values = each[0] if (each == each[:1]).all() else None
        if values is not None:
            changed = copy.copy(tensor)  # other operators may read the same constant
            if tensor.type != schema.TensorType.INT32 or len(tensor.shape) > 1:
                changed.shape = [1, *map(int, tensor.shape[1:])]
            changed.buffer = add_buffer(model, np.ascontiguousarray(values))
            graph.tensors.append(changed)
            operator.inputs[place] = len(graph.tensors) - 1


def _with_prepared_shapes(model: Any) -> bytes:
    """The file with the shapes that LiteRT computes for the tensors of its first subgraph."""
    interpreter = _interpreter(write_model(model))
    for port in interpreter.get_tensor_details():
        if port["index"] < len(model.subgraphs[0].tensors):
            tensor = model.subgraphs[0].tensors[port["index"]]
            if tensor.shape is not None and len(tensor.shape) == len(port["shape"]):
                tensor.shape = [int(length) for length in port["shape"]]
    return write_model(model)


def _difference(data: bytes, single: bytes, rows: int) -> float:
    """Largest difference of the two files' outputs for random rows, as a share of the largest output."""
    chance = np.random.default_rng(0)
    original, one = _interpreter(data), _interpreter(single)
    columns = [_random(port, chance) for port in original.get_input_details()]
    expected = _run(original, columns)
    apart, reach = 0.0, 1e-2
    for row in {0, rows // 2, rows - 1}:
        received = _run(one, [values[row : row + 1] for values in columns])
        for values, own in zip(expected, received, strict=True):
            if len(values) != rows or own.shape != (1, *values.shape[1:]):
                raise RowsNotAlone(f"an output of shape {values.shape} would get the shape {own.shape}")
            apart = float(np.maximum(apart, np.abs(values[row] - own[0]).max(initial=0)))
            reach = max(reach, float(np.abs(values[row]).max(initial=0)))
    return apart / reach


def _random(port: Any, chance: np.random.Generator) -> np.ndarray:
    kind = np.dtype(port["dtype"])
    if kind.kind == "f":
        return chance.normal(size=port["shape"]).astype(kind)
    is_scaled = len(port["quantization_parameters"]["scales"]) > 0
    low, high = (np.iinfo(kind).min, np.iinfo(kind).max + 1) if is_scaled else (0, 2)
    return chance.integers(low, high, port["shape"]).astype(kind)


def _interpreter(data: bytes) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data, num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


def _run(interpreter: Any, columns: Sequence[np.ndarray]) -> list[np.ndarray]:
    interpreter.reset_all_variables()
    for port, values in zip(interpreter.get_input_details(), columns, strict=True):
        interpreter.set_tensor(port["index"], values)
    interpreter.invoke()
    return [
        interpreter.get_tensor(port["index"]).astype(np.float64) for port in interpreter.get_output_details()
    ]
