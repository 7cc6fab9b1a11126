"""Rewrites SPLIT_V with equal parts as SPLIT, which quantizers support: TensorFlow uses SPLIT_V for a GRU's gates."""

from typing import Any

from lwdash.tflite.operator_codes import drop_unused_codes, kind_of, operator_code


def write_equal_splits(model: Any) -> int:
    """Convert such operators of a `ModelT` to SPLIT; unread parts of size 0 are removed. Returns their number."""
    from ai_edge_litert import schema_py_generated as schema

    changed = 0
    for graph in model.subgraphs:
        read = {int(i) for operator in graph.operators for i in operator.inputs} | {
            int(i) for i in graph.outputs
        }
        for operator in graph.operators:
            if kind_of(model, operator) != "SPLIT_V":
                continue
            value, _, axis = operator.inputs
            kept = [int(i) for i in operator.outputs if int(i) in read or 0 not in graph.tensors[i].shape]
            if len({tuple(graph.tensors[i].shape) for i in kept}) > 1:
                continue
            operator.opcodeIndex = operator_code(model, "SPLIT")
            operator.inputs, operator.outputs = [axis, value], kept
            operator.builtinOptionsType = schema.BuiltinOptions.SplitOptions
            operator.builtinOptions = schema.SplitOptionsT()
            operator.builtinOptions.numSplits = len(kept)
            changed += 1
    if changed:
        drop_unused_codes(model)
    return changed
