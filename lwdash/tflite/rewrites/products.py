"""Rewrites NEG and SQUARE as MUL, which has an integer form in every quantizer and interpreter, with the same bits."""

from typing import Any

import numpy as np

from lwdash.tflite.constants import add_constant
from lwdash.tflite.operator_codes import drop_unused_codes, kind_of, operator_code


def write_as_products(model: Any) -> int:
    """Convert the float NEG and SQUARE operators of a `ModelT` to MUL; return their number."""
    from ai_edge_litert import schema_py_generated as schema

    changed = 0
    for graph in model.subgraphs:
        minus_one = None
        for operator in graph.operators:
            kind = kind_of(model, operator)
            if kind not in ("NEG", "SQUARE"):
                continue
            source = int(operator.inputs[0])
            if graph.tensors[source].type != schema.TensorType.FLOAT32:
                continue
            if kind == "NEG" and minus_one is None:
                minus_one = add_constant(model, graph, b"minus_one", np.array(-1, np.float32))
            operator.inputs = [source, minus_one if kind == "NEG" else source]
            operator.opcodeIndex = operator_code(model, "MUL")
            operator.builtinOptionsType = schema.BuiltinOptions.MulOptions
            operator.builtinOptions = schema.MulOptionsT()
            changed += 1
    if changed:
        drop_unused_codes(model)
    return changed
