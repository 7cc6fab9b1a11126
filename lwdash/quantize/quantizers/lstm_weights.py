"""Fused LSTM layers with 8-bit weights and dynamic activations, a form that litert-quantizer does not have."""

from collections.abc import Collection
from typing import Any

from lwdash.quantize.quantizers.embedding_tables import is_stored_float, store_as_int8
from lwdash.tflite.flatbuffer import text
from lwdash.tflite.operator_codes import kind_of

WEIGHT_INPUTS = {
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (*range(1, 9), 16),
    "BIDIRECTIONAL_SEQUENCE_LSTM": (*range(1, 9), 16, *range(18, 26), 33),
}
"""Positions of the kernels, recurrent kernels and projections among the inputs of a fused operator."""


def quantize_lstm_weights(model: Any, scopes: Collection[str]) -> int:
    """Store the float kernels of the fused LSTM operators of `scopes` (see `Computed.scope`) as int8; return
    their number.

    One scale per kernel, as the hybrid kernel requires. An operator stays unchanged if another operator reads
    its kernels, or if some of them are computed at run time.
    """
    wanted = set(scopes)
    changed = 0
    for graph in model.subgraphs[:1]:
        for operator in graph.operators:
            positions = WEIGHT_INPUTS.get(kind_of(model, operator), ())
            scope = "".join(f"{text(graph.tensors[i].name)};" for i in operator.outputs)
            if not positions or scope not in wanted:
                continue
            kernels = [int(operator.inputs[i]) for i in positions if operator.inputs[i] >= 0]
            readers = [o for o in graph.operators if set(kernels) & {int(i) for i in o.inputs}]
            if len(readers) > 1 or not all(is_stored_float(model, graph.tensors[i]) for i in kernels):
                continue
            for index in dict.fromkeys(kernels):
                store_as_int8(model, graph.tensors[index])
            changed += 1
    return changed
