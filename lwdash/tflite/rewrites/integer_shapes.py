"""The shape of an integer tensor, read without converting the tensor to floats first."""

from typing import Any

from lwdash.tflite.operator_codes import drop_unused_codes, kind_of


def read_shapes_of_integers(model: Any) -> None:
    """Let each SHAPE of a `ModelT` read what its DEQUANTIZE converts; drop a DEQUANTIZE that nothing else reads.

    The quantizer does not know SHAPE, which files with a free batch have before a reshape: it converts all values to
    floats only to count them.
    """
    has_dropped = False
    for graph in model.subgraphs:
        converted = {
            int(operator.outputs[0]): operator
            for operator in graph.operators
            if kind_of(model, operator) == "DEQUANTIZE"
        }
        skipped: set[int] = set()
        for operator in graph.operators:
            if kind_of(model, operator) == "SHAPE" and int(operator.inputs[0]) in converted:
                skipped.add(int(operator.inputs[0]))
                operator.inputs = [int(converted[int(operator.inputs[0])].inputs[0])]
        read = {int(i) for operator in graph.operators for i in operator.inputs} | set(
            map(int, graph.outputs)
        )
        unread = [converted[tensor] for tensor in skipped - read]
        graph.operators = [operator for operator in graph.operators if all(operator is not u for u in unread)]
        has_dropped |= bool(unread)
    if has_dropped:
        drop_unused_codes(model)
