"""Rewrites HARD_SWISH as ADD and MUL, which have 16-bit kernels; LiteRT has none for HARD_SWISH."""

import copy
from typing import Any

import numpy as np

from lwdash.tflite.constants import add_constant
from lwdash.tflite.flatbuffer import read_model, text, write_model
from lwdash.tflite.operator_codes import drop_unused_codes, kind_of, operator_code


def hard_swish_as_products(data: bytes) -> bytes:
    """A float .tflite with x · relu6(x + 3) · (1/6) in place of each HARD_SWISH; `data` where there is none."""
    from ai_edge_litert import schema_py_generated as schema

    model = read_model(data)
    functions = schema.ActivationFunctionType
    changed = False
    for graph in model.subgraphs:
        for operator in list(graph.operators):
            if kind_of(model, operator) != "HARD_SWISH":
                continue
            changed = True
            source, result = int(operator.inputs[0]), int(operator.outputs[0])
            layer = text(graph.tensors[result].name).rpartition("/")[0]
            name = f"{layer}/hard_swish_{result}" if layer else f"hard_swish_{result}"
            three, sixth = (
                add_constant(model, graph, f"{name}_{label}".encode(), np.array(value, np.float32))
                for label, value in (("three", 3.0), ("sixth", 1 / 6))
            )
            gate, product = (_like(graph, result, f"{name}_{label}") for label in ("gate", "product"))
            place = graph.operators.index(operator)
            graph.operators[place : place + 1] = [
                _operator(model, "ADD", [source, three], gate, functions.RELU6),
                _operator(model, "MUL", [source, gate], product, functions.NONE),
                _operator(model, "MUL", [product, sixth], result, functions.NONE),
            ]
    if not changed:
        return data
    drop_unused_codes(model)
    return write_model(model)


def _operator(model: Any, kind: str, inputs: list[int], output: int, function: int) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    operator = schema.OperatorT()
    operator.opcodeIndex = operator_code(model, kind)
    operator.inputs, operator.outputs = inputs, [output]
    name = f"{kind.capitalize()}Options"
    operator.builtinOptionsType = getattr(schema.BuiltinOptions, name)
    operator.builtinOptions = getattr(schema, f"{name}T")()
    operator.builtinOptions.fusedActivationFunction = function
    return operator


def _like(graph: Any, index: int, name: str) -> int:
    """A new tensor with the shape and type of another one."""
    tensor = copy.copy(graph.tensors[index])
    tensor.name, tensor.buffer = name.encode(), 0
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1
