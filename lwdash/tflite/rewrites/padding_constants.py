"""Padding constants of attention and pooling: −1e9 or the smallest float, for values that a softmax or
maximum must ignore.

A large number alone is not padding: a model may output billions, or multiply by them. A constant is padding
if an element-wise operator reads it and all paths from there lead to an operator that ignores it.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from lwdash.tflite.constants import add_buffer
from lwdash.tflite.flatbuffer import read_model, write_model
from lwdash.tflite.operator_codes import kind_of

LARGEST = 1e8
"""A padded tensor's value beyond this is padding."""
BELOW = 10.0
"""Distance of a padded activation below the smallest value: e⁻¹⁰ of a softmax is negligible, and the others
keep their steps.
"""
PADDING_VALUE = 1000.0
"""Value that integer files store instead: a sum still saturates, and LiteRT aborts if two scales differ too much."""

CHOOSING = frozenset(
    ("SELECT", "SELECT_V2", "PADV2", "CONCATENATION", "PACK", "FILL", "ONE_HOT", "DYNAMIC_UPDATE_SLICE")
)
"""Operators that replace a value by a constant."""
ADDING = frozenset(("ADD", "SUB", "MUL", "DIV"))
"""Operators that add a large constant to a value, or multiply a mask of zeros and ones by it."""
PASSING = (
    CHOOSING
    | ADDING
    | {
        "NEG", "PAD", "MIRROR_PAD", "RESHAPE", "TRANSPOSE", "EXPAND_DIMS", "SQUEEZE", "UNPACK", "SPLIT", "SPLIT_V", "SLICE",
        "STRIDED_SLICE", "BROADCAST_TO", "TILE", "MAXIMUM", "MINIMUM", "CAST", "GATHER", "GATHER_ND", "QUANTIZE",
        "DEQUANTIZE",
    }
)  # fmt: skip
"""Operators whose output still contains the padding."""
WEIGHING = frozenset(("SOFTMAX", "LOG_SOFTMAX", "EXP", "LOGISTIC"))
"""Operators that give padding no weight."""
PICKING = frozenset(("MAX_POOL_2D", "REDUCE_MAX", "REDUCE_MIN", "ARG_MAX", "ARG_MIN", "TOPK_V2"))
"""Operators that never choose padding. They end only paths of replaced values: for a maximum, a product with
1e9 is an ordinary number.
"""


def with_small_masks(data: bytes) -> bytes:
    """A float .tflite whose padding constants are at most PADDING_VALUE; `data` where there are none."""
    model = read_model(data)
    clipped = 0
    for graph in model.subgraphs:
        for index in sorted(padding_constants(model, graph)):
            tensor = graph.tensors[index]
            values = _stored(model, tensor)
            assert values is not None
            is_padding = np.abs(values) >= LARGEST
            small = np.where(is_padding, np.sign(values) * np.float32(PADDING_VALUE), values)
            tensor.buffer = add_buffer(model, small.astype(np.float32))
            clipped += 1
    return write_model(model) if clipped else data


def padding_constants(model: Any, graph: Any) -> set[int]:
    """Indices of the tensors of a subgraph that hold padding."""
    return {constant for constant, ahead in _padded_paths(model, graph) if ahead}


def padded_activations(model: Any, graph: Any) -> set[int]:
    """Indices of the computed tensors of a subgraph that may contain padding, and of inputs that may hold it."""
    return set().union(*(ahead for _, ahead in _padded_paths(model, graph)), _padded_inputs(model, graph))


def _padded_paths(model: Any, graph: Any) -> Iterable[tuple[int, set[int]]]:
    """(constant of large values, the tensors from its readers to the operator that ignores it), one pair per reader."""
    huge = {
        index
        for index, tensor in enumerate(graph.tensors)
        if (values := _stored(model, tensor)) is not None and (np.abs(values) >= LARGEST).any()
    }
    for operator in graph.operators:
        kind = kind_of(model, operator)
        if kind not in CHOOSING | ADDING:
            continue
        ends = WEIGHING | PICKING if kind in CHOOSING else WEIGHING
        for index in huge & {int(i) for i in operator.inputs}:
            yield index, _ahead(model, graph, [int(i) for i in operator.outputs], ends)


def _padded_inputs(model: Any, graph: Any) -> set[int]:
    """Inputs that are added to a softmax's input without any layer between: masks that the caller provides."""
    return set().union(*(_ahead(model, graph, [int(i)], WEIGHING) for i in graph.inputs))


def _ahead(model: Any, graph: Any, start: Iterable[int], ends: frozenset[str]) -> set[int]:
    """Tensors on the paths from `start`, through PASSING operators, to an operator of `ends`; empty if no
    path gets there.
    """
    tensors = set(start)
    steps = []
    is_ended = set()
    for operator in graph.operators:  # operators are in execution order
        read = tensors & {int(i) for i in operator.inputs}
        if not read:
            continue
        kind = kind_of(model, operator)
        if kind in ends:
            is_ended |= read
        elif kind in PASSING:
            computed = {int(i) for i in operator.outputs}
            steps.append((read, computed))
            tensors |= computed
    for read, computed in reversed(steps):
        if computed & is_ended:
            is_ended |= read
    return is_ended


def _stored(model: Any, tensor: Any) -> np.ndarray | None:
    """The values of a constant float tensor."""
    from ai_edge_litert import schema_py_generated as schema

    stored = model.buffers[tensor.buffer].data
    if tensor.type != schema.TensorType.FLOAT32 or stored is None or len(stored) == 0:
        return None
    return np.asarray(stored, np.uint8).view(np.float32)
