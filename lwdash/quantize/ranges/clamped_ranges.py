"""Ranges of activations that are clamped: those of the clamp's output, since the integers saturate there anyway."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from lwdash.tflite.flatbuffer import text
from lwdash.tflite.operator_codes import kind_of
from lwdash.tflite.rewrites.saturated_clamps import CLAMPS

Limits = Mapping[str, tuple[float, float]]


def clamped_ranges(model: Any, limits: Limits) -> dict[str, tuple[float, float]]:
    """`limits`, name → (low, high), of a float `ModelT`, narrower where only a clamp reads a computed tensor.

    Then all integers are for values that the clamp leaves, and the clamp itself changes none of them.
    """
    graph = model.subgraphs[0]
    names = [text(tensor.name) for tensor in graph.tensors]
    readers = Counter(int(i) for operator in graph.operators for i in {*map(int, operator.inputs)})
    readers.update(map(int, (*graph.inputs, *graph.outputs)))
    clamped = dict(limits)
    for operator in reversed(graph.operators):
        output = names[operator.outputs[0]]
        if kind_of(model, operator) in CLAMPS and output in clamped:
            for index in {int(i) for i in operator.inputs}:
                if names[index] in clamped and readers[index] == 1:
                    clamped[names[index]] = clamped[output]
    return clamped
