"""NEG and SQUARE written as MUL, which has an integer form in every quantizer and interpreter, and gives the same bits."""

from typing import Any

import numpy as np

from lwdash.techniques.operator_codes import builtin_of, drop_unused_codes, operator_code


def write_as_products(model: Any) -> int:
    """Makes the float NEG and SQUARE operators of a `ModelT` MUL; returns how many."""
    from ai_edge_litert import schema_py_generated as schema

    negation, square, product = (getattr(schema.BuiltinOperator, kind) for kind in ("NEG", "SQUARE", "MUL"))
    changed = 0
    for graph in model.subgraphs:
        minus_one = None
        for operator in graph.operators:
            builtin = builtin_of(model, operator)
            if builtin not in (negation, square):
                continue
            source = int(operator.inputs[0])
            if graph.tensors[source].type != schema.TensorType.FLOAT32:
                continue
            if builtin == negation and minus_one is None:
                minus_one = _constant(model, graph, -1.0, schema)
            operator.inputs = [source, minus_one if builtin == negation else source]
            operator.opcodeIndex = operator_code(model, product)
            operator.builtinOptionsType = schema.BuiltinOptions.MulOptions
            operator.builtinOptions = schema.MulOptionsT()
            changed += 1
    if changed:
        drop_unused_codes(model)
    return changed


def _constant(model: Any, graph: Any, value: float, schema: Any) -> int:
    buffer, tensor = schema.BufferT(), schema.TensorT()
    buffer.data = np.frombuffer(np.float32(value).tobytes(), np.uint8)
    model.buffers.append(buffer)
    tensor.shape, tensor.name, tensor.type = [], b"minus_one", schema.TensorType.FLOAT32
    tensor.buffer, tensor.hasRank = len(model.buffers) - 1, True
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1
