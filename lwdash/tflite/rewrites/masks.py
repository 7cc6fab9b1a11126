"""Rewrites products with a mask as selections: CAST from bool has no integer form, and SELECT_V2 has one."""

from typing import Any

import numpy as np

from lwdash.tflite.constants import add_constant
from lwdash.tflite.operator_codes import drop_unused_codes, kind_of, operator_code


def write_masks_as_selections(model: Any) -> int:
    """Convert MUL(CAST(condition), x) of a float `ModelT` to SELECT_V2(condition, x, 0); return their number.

    Thresholded ReLUs of Keras 2 compute such products.
    """
    from ai_edge_litert import schema_py_generated as schema

    changed = 0
    for graph in model.subgraphs:
        for cast in list(graph.operators):
            if kind_of(model, cast) != "CAST":
                continue
            condition, mask = int(cast.inputs[0]), int(cast.outputs[0])
            readers = [one for one in graph.operators if mask in map(int, one.inputs)]
            if (
                graph.tensors[condition].type != schema.TensorType.BOOL
                or graph.tensors[mask].type != schema.TensorType.FLOAT32
                or mask in map(int, graph.outputs)
                or len(readers) != 1
                or kind_of(model, readers[0]) != "MUL"
                or readers[0].builtinOptions.fusedActivationFunction != schema.ActivationFunctionType.NONE
            ):
                continue
            (product,) = readers
            other = [int(i) for i in product.inputs if int(i) != mask]
            if len(other) != 1:
                continue
            zero = add_constant(model, graph, b"masked", np.array(0, np.float32))
            product.inputs = [condition, other[0], zero]
            product.opcodeIndex = operator_code(model, "SELECT_V2", version=1)
            product.builtinOptionsType = schema.BuiltinOptions.SelectV2Options
            product.builtinOptions = schema.SelectV2OptionsT()
            graph.operators.remove(cast)
            changed += 1
    if changed:
        drop_unused_codes(model)
    return changed
