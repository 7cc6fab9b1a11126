"""Removes the clip of an LSTM's cell state that TFLiteConverter writes: Keras has none.

The converter gives each fused LSTM a clip of ±10 (`cell_clip`). A state that sums up many steps passes it, and the results
of that row are wrong from there on.
"""

from typing import Any

from lwdash.tflite.operator_codes import kind_of

FUSED = frozenset({"LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM"})


def remove_cell_clips(model: Any) -> int:
    """Let the states of the fused LSTMs of a `ModelT` take any value; return the number of operators that changed."""
    clipped = [
        operator.builtinOptions
        for graph in model.subgraphs
        for operator in graph.operators
        if kind_of(model, operator) in FUSED and operator.builtinOptions.cellClip
    ]
    for options in clipped:
        options.cellClip = 0.0
    return len(clipped)
