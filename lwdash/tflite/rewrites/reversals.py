"""Rewrites REVERSE_V2 along one axis as GATHER, which quantizers support: the backward half of a
Bidirectional starts with it.
"""

from typing import Any

import numpy as np

from lwdash.tflite.constants import add_constant
from lwdash.tflite.operator_codes import drop_unused_codes, kind_of, operator_code


def write_reversals_as_gathers(model: Any) -> int:
    """Convert such float operators of a `ModelT` to GATHER, with the same bits; return their number."""
    from ai_edge_litert import schema_py_generated as schema

    changed = 0
    for graph in model.subgraphs:
        for operator in graph.operators:
            if kind_of(model, operator) != "REVERSE_V2":
                continue
            source, axes = (graph.tensors[i] for i in operator.inputs)
            stored = model.buffers[axes.buffer].data
            if source.type != schema.TensorType.FLOAT32 or stored is None or len(stored) != 4:
                continue
            axis = int(np.asarray(stored, np.uint8).view(np.int32)[0]) % len(source.shape)
            if -1 in list(source.shapeSignature if source.shapeSignature is not None else ()):
                continue
            backwards = np.arange(source.shape[axis] - 1, -1, -1, dtype=np.int32)
            order = add_constant(model, graph, b"backwards", backwards)
            operator.inputs = [operator.inputs[0], order]
            operator.opcodeIndex = operator_code(model, "GATHER")
            operator.builtinOptionsType = schema.BuiltinOptions.GatherOptions
            operator.builtinOptions = schema.GatherOptionsT()
            operator.builtinOptions.axis = axis
            changed += 1
    if changed:
        drop_unused_codes(model)
    return changed
