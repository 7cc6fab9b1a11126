"""Facts of a .tflite for users: its inputs and outputs, its operators, its number formats."""

from collections import Counter
from typing import Any

from lwdash.tflite.reader import Port, TfliteFacts


def port_facts(facts: TfliteFacts) -> dict[str, Any]:
    """JSON-able: `inputs` and `outputs` (name, shape without the batch axis, dtype, scale, zero_point), number of
    `operators` by type, bytes of stored values by dtype, and the `description`.
    """
    stored: Counter[str] = Counter()
    for graph in facts.subgraphs:
        for tensor in graph.tensors:
            if tensor.is_constant:
                stored[tensor.dtype] += tensor.stored_bytes
    return {
        "inputs": [_port(facts, port) for port in facts.inputs],
        "outputs": [_port(facts, port) for port in facts.outputs],
        "operators": dict(Counter(operator.type for operator in facts.operators)),
        "stored_bytes": dict(stored),
        "description": facts.description[:200],
    }


def _port(facts: TfliteFacts, port: Port) -> dict[str, Any]:
    tensor = facts.subgraphs[0].tensors[port.tensor]
    quantization = tensor.quantization
    return {
        "name": port.name[:200],
        "shape": [None if n < 0 else n for n in tensor.shape_signature[1:]],
        "batch": tensor.shape_signature[0] if tensor.shape_signature else None,
        "dtype": tensor.dtype,
        "scale": None if quantization is None else float(quantization.scale[0]),
        "zero_point": None if quantization is None else int(quantization.zero_point[0]),
    }
