"""The operators that run in XNNPACK, LiteRT's fast kernels, as seen in a loaded interpreter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lwdash.measure.runner import make_interpreter
from lwdash.tflite.reader import Operator, TfliteFacts, read_tflite

MAX_NAMED = 12
"""Maximum number of layers that are named for one operator type."""


@dataclass(frozen=True)
class Delegation:
    """The operators that XNNPACK computes, and those that it does not.

    inside, outside: operators of the main graph by index. Operators that only unpack stored weights are in
    neither.

    partitions: connected groups; XNNPACK runs each as one unit. Values pass between XNNPACK and the built-in
    kernels at their borders.
    """

    inside: frozenset[int]
    outside: tuple[Operator, ...]
    partitions: int

    def to_dict(self, layers: Sequence[str] = ()) -> dict[str, Any]:
        """JSON-able: counts, and the operator types outside with some of their layers. layers: layer of every
        operator, by its index.
        """
        types: dict[str, list[str]] = {}
        for operator in self.outside:
            types.setdefault(operator.type, []).append(layers[operator.index] if layers else "")
        return {
            "inside": len(self.inside),
            "outside": len(self.outside),
            "partitions": self.partitions,
            "outside_operators": [
                {
                    "type": kind,
                    "count": len(found),
                    "layers": [*dict.fromkeys(filter(None, found))][:MAX_NAMED],
                }
                for kind, found in sorted(types.items(), key=lambda item: -len(item[1]))
            ],
        }


def delegation(facts: TfliteFacts, interpreter: Any) -> Delegation:
    """Delegation to XNNPACK in an interpreter of this file whose tensors are allocated."""
    graph = facts.subgraphs[0]
    producers = {tensor: operator for operator in graph.operators for tensor in operator.outputs}
    taken: set[int] = set()
    partitions = 0
    for details in interpreter._get_ops_details():
        if details["op_name"] != "DELEGATE":
            continue
        partitions += 1
        given = {int(i) for i in details["inputs"]}
        wanted = [int(i) for i in details["outputs"]]
        while wanted:
            operator = producers.get(wanted.pop())
            if operator is None or operator.index in taken:
                continue
            taken.add(operator.index)
            wanted.extend(i for i in operator.inputs if i not in given)
    unpacking = {o.index for o in graph.operators if facts.unpacks_a_constant(o)}
    outside = tuple(o for o in graph.operators if o.index not in taken | unpacking)
    return Delegation(frozenset(taken - unpacking), outside, partitions)


def delegation_of(data: bytes, threads: int = 1) -> Delegation:
    """`delegation` of a file that is not yet loaded. Raises ConversionFailed where LiteRT refuses the file."""
    interpreter = make_interpreter(data, threads)
    interpreter.allocate_tensors()
    return delegation(read_tflite(data), interpreter)


def listed(operators: Iterable[Operator]) -> str:
    """`CONV_2D ×4, SOFTMAX`, the most frequent type first."""
    counts = Counter(operator.type for operator in operators)
    return ", ".join(f"{name} ×{count}" if count > 1 else name for name, count in counts.most_common())
