"""Quantizes unread outputs: litert-quantizer leaves them in float beside integer ones, which no kernel supports."""

from typing import Any

from lwdash.tflite.operator_codes import kind_of

ONE_SCALE = ("SPLIT", "SPLIT_V", "UNPACK")
"""Operators whose outputs all have the scale of the input."""


def complete_outputs(model: Any) -> int:
    """Give unread float outputs of integer splits, in a `ModelT`, the format of the other outputs; return their number."""
    from ai_edge_litert import schema_py_generated as schema

    completed = 0
    for graph in model.subgraphs:
        read = {int(i) for operator in graph.operators for i in operator.inputs} | {
            int(i) for i in graph.outputs
        }
        for operator in graph.operators:
            if kind_of(model, operator) not in ONE_SCALE:
                continue
            outputs = [graph.tensors[i] for i in operator.outputs]
            whole = next((t for t in outputs if t.type != schema.TensorType.FLOAT32), None)
            for index, tensor in zip(operator.outputs, outputs, strict=True):
                if whole is not None and int(index) not in read and tensor.type == schema.TensorType.FLOAT32:
                    tensor.type, tensor.quantization = whole.type, whole.quantization
                    completed += 1
    return completed
