"""Removes what nothing reads from a subgraph: operators first, then tensors."""

from collections.abc import Collection
from typing import Any

from lwdash.tflite.operator_codes import kind_of


def drop_unread(model: Any, number: int, kinds: Collection[str] | None = None) -> None:
    """Remove operators of a subgraph of a `ModelT` whose results nothing reads, only those of `kinds` if given, and
    tensors that no operator, input or output refers to.
    """
    graph = model.subgraphs[number]
    while True:
        read = {int(i) for operator in graph.operators for i in operator.inputs} | set(
            map(int, graph.outputs)
        )
        kept = [
            operator
            for operator in graph.operators
            if read.intersection(map(int, operator.outputs))
            or (kinds is not None and kind_of(model, operator) not in kinds)
        ]
        if len(kept) == len(graph.operators):
            break
        graph.operators = kept
    _drop_tensors(model, graph, is_first=number == 0)


def _drop_tensors(model: Any, graph: Any, *, is_first: bool) -> None:
    ports = [*graph.inputs, *graph.outputs]
    named = [*ports, *(i for o in graph.operators for i in (*o.inputs, *o.outputs, *(o.intermediates or ())))]
    used = sorted({int(i) for i in named if i >= 0})
    places = {old: new for new, old in enumerate(used)} | {-1: -1}

    def moved(indices: Any) -> list[int]:
        return [places[int(i)] for i in indices]

    graph.tensors = [graph.tensors[i] for i in used]
    graph.inputs, graph.outputs = moved(graph.inputs), moved(graph.outputs)
    for operator in graph.operators:
        operator.inputs, operator.outputs = moved(operator.inputs), moved(operator.outputs)
        if operator.intermediates is not None:
            operator.intermediates = moved(operator.intermediates)
    for signature in (model.signatureDefs or ()) if is_first else ():
        for entry in (*signature.inputs, *signature.outputs):
            entry.tensorIndex = places[entry.tensorIndex]
