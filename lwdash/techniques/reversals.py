"""REVERSE_V2 along one axis written as GATHER, which quantizers know: the backward half of a Bidirectional begins so."""

from typing import Any

import numpy as np

from lwdash.techniques.operator_codes import builtin_of, drop_unused_codes, operator_code


def write_reversals_as_gathers(model: Any) -> int:
    """Makes such float operators of a `ModelT` GATHER, to the same bits; returns how many."""
    from ai_edge_litert import schema_py_generated as schema

    changed = 0
    for graph in model.subgraphs:
        for operator in graph.operators:
            if builtin_of(model, operator) != schema.BuiltinOperator.REVERSE_V2:
                continue
            source, axes = (graph.tensors[i] for i in operator.inputs)
            stored = model.buffers[axes.buffer].data
            if source.type != schema.TensorType.FLOAT32 or stored is None or len(stored) != 4:
                continue
            axis = int(np.asarray(stored, np.uint8).view(np.int32)[0]) % len(source.shape)
            if -1 in list(source.shapeSignature if source.shapeSignature is not None else ()):
                continue
            order = _indices(model, graph, int(source.shape[axis]), schema)
            operator.inputs = [operator.inputs[0], order]
            operator.opcodeIndex = operator_code(model, schema.BuiltinOperator.GATHER)
            operator.builtinOptionsType = schema.BuiltinOptions.GatherOptions
            operator.builtinOptions = schema.GatherOptionsT()
            operator.builtinOptions.axis = axis
            changed += 1
    if changed:
        drop_unused_codes(model)
    return changed


def _indices(model: Any, graph: Any, length: int, schema: Any) -> int:
    """A constant tensor of the indices from the last to the first."""
    buffer, tensor = schema.BufferT(), schema.TensorT()
    buffer.data = np.arange(length - 1, -1, -1, dtype=np.int32).view(np.uint8)
    model.buffers.append(buffer)
    tensor.shape, tensor.name, tensor.type = [length], b"backwards", schema.TensorType.INT32
    tensor.buffer, tensor.hasRank = len(model.buffers) - 1, True
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1
