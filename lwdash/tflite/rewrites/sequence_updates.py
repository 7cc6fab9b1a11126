"""Writes a step's result into a sequence in place, where TensorFlow cuts the sequence in two and joins three parts.

A recurrent layer that returns sequences puts each step's output at its time into a tensor. The converter writes that as
two slices of a length that depends on the time, and a concatenation; TensorFlow Lite Micro has fixed shapes only and
computes it wrongly. DYNAMIC_UPDATE_SLICE gives the same values by one copy.
"""

from typing import Any

import numpy as np

from lwdash.tflite.constants import add_constant
from lwdash.tflite.operator_codes import drop_unused_codes, kind_of, operator_code
from lwdash.tflite.rewrites.unread import drop_unread


def write_updates_in_place(model: Any) -> int:
    """Convert such concatenations of a `ModelT`; what only they read is removed. Returns their number."""
    from ai_edge_litert import schema_py_generated as schema

    changed = 0
    for number, graph in enumerate(model.subgraphs):
        made_by = {int(i): operator for operator in graph.operators for i in operator.outputs}
        before = changed
        for operator in list(graph.operators):
            found = _update(model, graph, made_by, operator)
            if found is None:
                continue
            sequence, new, time = found
            start = _start(model, graph, operator, time, len(graph.tensors[sequence].shape))
            operator.opcodeIndex = operator_code(model, "DYNAMIC_UPDATE_SLICE", version=1)
            operator.inputs = [sequence, new, start]
            operator.builtinOptionsType = schema.BuiltinOptions.DynamicUpdateSliceOptions
            operator.builtinOptions = schema.DynamicUpdateSliceOptionsT()
            changed += 1
        if changed > before:
            drop_unread(model, number)
    if changed:
        drop_unused_codes(model)
    return changed


def _update(model: Any, graph: Any, made_by: dict[int, Any], operator: Any) -> tuple[int, int, int] | None:
    """(sequence, new part, its place as a tensor of one number) if an operator joins x[:t], one new part and x[t + 1:]."""
    if kind_of(model, operator) != "CONCATENATION" or len(operator.inputs) != 3:
        return None
    if operator.builtinOptions.axis != 0 or operator.builtinOptions.fusedActivationFunction != 0:
        return None
    first, new, last = map(int, operator.inputs)
    head, tail = (_made(model, made_by, i, "SLICE") for i in (first, last))
    if head is None or tail is None or int(head.inputs[0]) != int(tail.inputs[0]):
        return None
    sequence = int(head.inputs[0])
    whole, part = (list(graph.tensors[i].shape) for i in (sequence, new))
    if list(graph.tensors[int(operator.outputs[0])].shape) != whole or part != [1, *whole[1:]]:
        return None
    time = _led_by(model, graph, made_by, int(head.inputs[2]), -1)
    after = _led_by(model, graph, made_by, int(tail.inputs[1]), 0)
    begin, size = _stored(model, graph, int(head.inputs[1])), _stored(model, graph, int(tail.inputs[2]))
    if time is None or after is None or begin is None or size is None:
        return None
    if np.any(begin != 0) or np.any(size != -1) or not _is_next(model, graph, made_by, time, after):
        return None
    return sequence, new, time


def _led_by(model: Any, graph: Any, made_by: dict[int, Any], index: int, rest: int) -> int | None:
    """The scalar that leads a vector whose other numbers are all `rest`."""
    joined = _made(model, made_by, index, "CONCATENATION")
    if joined is None or len(joined.inputs) != 2:
        return None
    shaped, others = (
        _made(model, made_by, int(joined.inputs[0]), "RESHAPE"),
        _stored(model, graph, int(joined.inputs[1])),
    )
    if shaped is None or others is None or np.any(others != rest):
        return None
    return int(shaped.inputs[0])


def _is_next(model: Any, graph: Any, made_by: dict[int, Any], time: int, after: int) -> bool:
    added = _made(model, made_by, after, "ADD")
    if added is None or time not in map(int, added.inputs):
        return False
    one = _stored(model, graph, next((int(i) for i in added.inputs if int(i) != time), time))
    return one is not None and one.size == 1 and int(one.ravel()[0]) == 1


def _start(model: Any, graph: Any, operator: Any, time: int, axes: int) -> int:
    """The index where the new part begins: the time, and zeros for the other axes."""
    from ai_edge_litert import schema_py_generated as schema

    name = graph.tensors[int(operator.outputs[0])].name
    one = add_constant(model, graph, name + b"/axis", np.ones(1, np.int32))
    zeros = add_constant(model, graph, name + b"/others", np.zeros(axes - 1, np.int32))
    made: list[int] = []
    for kind, inputs, size in (("RESHAPE", [time, one], 1), ("CONCATENATION", [None, zeros], axes)):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.hasRank = name + b"/" + kind.lower().encode(), [size], True
        tensor.type = schema.TensorType.INT32
        graph.tensors.append(tensor)
        step = schema.OperatorT()
        step.opcodeIndex = operator_code(model, kind, version=1)
        step.inputs = [made[-1] if i is None else i for i in inputs]
        step.outputs = [len(graph.tensors) - 1]
        made.append(len(graph.tensors) - 1)
        graph.operators.insert(graph.operators.index(operator), step)
        if kind == "CONCATENATION":
            step.builtinOptionsType = schema.BuiltinOptions.ConcatenationOptions
            step.builtinOptions = schema.ConcatenationOptionsT()
            step.builtinOptions.axis = 0
    return made[-1]


def _made(model: Any, made_by: dict[int, Any], index: int, kind: str) -> Any | None:
    """The operator that makes a tensor, if it is of this kind."""
    operator = made_by.get(index)
    return operator if operator is not None and kind_of(model, operator) == kind else None


def _stored(model: Any, graph: Any, index: int) -> np.ndarray | None:
    """The 32-bit integers of a constant."""
    from ai_edge_litert import schema_py_generated as schema

    data = model.buffers[graph.tensors[index].buffer].data
    if graph.tensors[index].type != schema.TensorType.INT32 or data is None or len(data) == 0:
        return None
    return np.asarray(data, np.uint8).view(np.int32)
