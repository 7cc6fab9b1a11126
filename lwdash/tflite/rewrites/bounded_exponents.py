"""Bounds the input of EXP by 0 where a SELECT ignores its result for positive inputs, as in SELU.

The converter writes SELU(x) as SELECT(x > 0, s·x, s·α·(EXP(x) − 1)) and computes both sides. EXP of a large x
overflows. Its value is not used, but its range would become the range of the integer file: all other values
would round to 0.
"""

from typing import Any

import numpy as np

from lwdash.tflite.operator_codes import kind_of, operator_code

MAX_OPERATORS_BETWEEN = 4
"""Maximum number of operators from the EXP to the SELECT."""


def bound_unselected_exponents(model: Any) -> int:
    """Let such float operators of a `ModelT` read x − RELU(x), which has the same bits as x up to 0; return
    their number.

    MINIMUM(x, 0) is not possible: its input and output have one integer scale, and TensorFlow's quantizer
    uses that of the negative side. Then x itself would end at 0 for all its readers.
    """
    from ai_edge_litert import schema_py_generated as schema

    changed = 0
    for graph in model.subgraphs:
        for operator in list(graph.operators):
            if kind_of(model, operator) != "EXP":
                continue
            source = int(operator.inputs[0])
            if graph.tensors[source].type != schema.TensorType.FLOAT32:
                continue
            if not _is_unselected_above_zero(model, graph, operator, source):
                continue
            above, bounded = (_tensor_like(graph, int(operator.outputs[0])) for _ in range(2))
            relu, difference = schema.OperatorT(), schema.OperatorT()
            relu.opcodeIndex, difference.opcodeIndex = (
                operator_code(model, kind) for kind in ("RELU", "SUB")
            )
            relu.inputs, relu.outputs = [source], [above]
            difference.inputs, difference.outputs = [source, above], [bounded]
            difference.builtinOptionsType = schema.BuiltinOptions.SubOptions
            difference.builtinOptions = schema.SubOptionsT()
            place = graph.operators.index(operator)
            graph.operators[place:place] = [relu, difference]
            operator.inputs = [bounded]
            changed += 1
    return changed


def _tensor_like(graph: Any, index: int) -> int:
    """The index of a new tensor with another one's shape, type and name."""
    from ai_edge_litert import schema_py_generated as schema

    model_tensor, new = graph.tensors[index], schema.TensorT()
    new.shape, new.type, new.name = model_tensor.shape, model_tensor.type, model_tensor.name
    new.shapeSignature, new.hasRank, new.buffer = model_tensor.shapeSignature, model_tensor.hasRank, 0
    graph.tensors.append(new)
    return len(graph.tensors) - 1


def _is_unselected_above_zero(model: Any, graph: Any, exponent: Any, source: int) -> bool:
    """True if everything computed from EXP(source) is the second choice of a SELECT with the condition source > 0."""
    tensor = int(exponent.outputs[0])
    for _ in range(MAX_OPERATORS_BETWEEN):
        readers = [op for op in graph.operators if tensor in [int(i) for i in op.inputs]]
        if len(readers) != 1 or tensor in [int(i) for i in graph.outputs]:
            return False
        reader = readers[0]
        if kind_of(model, reader) in ("SELECT", "SELECT_V2"):
            condition, chosen, other = (int(i) for i in reader.inputs)
            return other == tensor != chosen and _asks_above_zero(model, graph, condition, source)
        if kind_of(model, reader) not in ("ADD", "SUB", "MUL"):
            return False
        tensor = int(reader.outputs[0])
    return False


def _asks_above_zero(model: Any, graph: Any, condition: int, source: int) -> bool:
    maker = next((op for op in graph.operators if condition in [int(i) for i in op.outputs]), None)
    if maker is None or kind_of(model, maker) != "GREATER":
        return False
    left, right = (int(i) for i in maker.inputs)
    stored = model.buffers[graph.tensors[right].buffer].data
    if left != source or stored is None or not len(stored):
        return False
    return not np.frombuffer(np.asarray(stored, np.uint8).tobytes(), np.float32).any()
