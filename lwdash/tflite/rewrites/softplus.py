"""Rewrites log(exp(x) + 1), TensorFlow Lite's form of softplus, so that no intermediate value has a wide range.

The exponential of 10 is 22,026: in 8 bits, all values below 86 become zero. LOGISTIC has a fixed scale in 8 and 16 bits.
Mish and log_sigmoid contain a softplus.
"""

import copy
from typing import Any

import numpy as np

from lwdash.tflite.flatbuffer import text
from lwdash.tflite.operator_codes import drop_unused_codes, kind_of, operator_code


def write_softplus_in_range(model: Any) -> int:
    """Convert LOG(EXP(x) + 1) of a float `ModelT` to RELU(x) − LOG(LOGISTIC(ABS(x))); return their number."""
    changed = 0
    for graph in model.subgraphs:
        for logarithm in list(graph.operators):
            found = _softplus(model, graph, logarithm)
            if found is not None:
                _replace(model, graph, found)
                changed += 1
    if changed:
        drop_unused_codes(model)
    return changed


def _softplus(model: Any, graph: Any, logarithm: Any) -> tuple[Any, Any, Any] | None:
    """(EXP, ADD, LOG), if `logarithm` ends such a chain of floats that nothing else reads."""
    if kind_of(model, logarithm) != "LOG":
        return None
    addition = _only_maker(model, graph, int(logarithm.inputs[0]), "ADD")
    if addition is None or addition.builtinOptions.fusedActivationFunction:
        return None
    for place in (0, 1):
        exponential = _only_maker(model, graph, int(addition.inputs[place]), "EXP")
        if exponential is not None and _is_one(model, graph.tensors[int(addition.inputs[1 - place])]):
            return exponential, addition, logarithm
    return None


def _only_maker(model: Any, graph: Any, tensor: int, kind: str) -> Any | None:
    """The operator of this type that computes a tensor with one reader."""
    readers = sum(list(map(int, one.inputs)).count(tensor) for one in graph.operators)
    if readers != 1 or tensor in map(int, graph.outputs):
        return None
    makers = [one for one in graph.operators if tensor in map(int, one.outputs)]
    return makers[0] if makers and kind_of(model, makers[0]) == kind else None


def _is_one(model: Any, tensor: Any) -> bool:
    from ai_edge_litert import schema_py_generated as schema

    data = model.buffers[tensor.buffer].data
    if data is None or not len(data) or tensor.type != schema.TensorType.FLOAT32:
        return False
    return bool((np.asarray(data, np.uint8).view(np.float32) == 1).all())


def _replace(model: Any, graph: Any, found: tuple[Any, Any, Any]) -> None:
    from ai_edge_litert import schema_py_generated as schema

    exponential, addition, logarithm = found
    source, result = int(exponential.inputs[0]), int(logarithm.outputs[0])
    name = text(graph.tensors[result].name)
    size, gate, small, large = (
        _like(graph, result, f"{name}_{label}") for label in ("size", "gate", "small", "large")
    )
    subtraction = schema.SubOptionsT()
    operators = [
        _operator(model, "ABS", [source], size, schema.AbsOptionsT()),
        _operator(model, "LOGISTIC", [size], gate),
        _operator(model, "LOG", [gate], small),
        _operator(model, "RELU", [source], large),
        _operator(model, "SUB", [large, small], result, subtraction),
    ]
    place = graph.operators.index(logarithm)
    graph.operators[place : place + 1] = operators
    graph.operators.remove(exponential)
    graph.operators.remove(addition)


def _operator(model: Any, kind: str, inputs: list[int], output: int, options: Any = None) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    operator = schema.OperatorT()
    operator.opcodeIndex = operator_code(model, kind)
    operator.inputs, operator.outputs = inputs, [output]
    if options is not None:
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__[:-1])
        operator.builtinOptions = options
    return operator


def _like(graph: Any, index: int, name: str) -> int:
    """A new tensor with the shape and type of another one."""
    tensor = copy.copy(graph.tensors[index])
    tensor.name, tensor.buffer = name.encode(), 0
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1
