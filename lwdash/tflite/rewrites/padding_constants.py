"""Padding constants of attention and pooling: −1e9 or the smallest float, put where a softmax or a maximum must not look.

Large numbers alone are no padding: a model may well answer in billions, or multiply by them. A constant is padding
where an element-wise operator reads it and everything then runs into an operator that forgets it.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from lwdash.tflite.constants import add_buffer
from lwdash.tflite.flatbuffer import read_model, write_model
from lwdash.tflite.operator_codes import kind_of

LARGEST = 1e8
"""Beyond it a value of a padded tensor is padding."""
BELOW = 10.0
"""How far under the smallest value a padded activation is put: e⁻¹⁰ of a softmax is nothing, and the others keep their
steps."""
ENOUGH = 1000.0
"""What integer files hold instead: a sum saturates all the same, and LiteRT aborts where two scales are too far apart."""

CHOOSING = frozenset(
    ("SELECT", "SELECT_V2", "PADV2", "CONCATENATION", "PACK", "FILL", "ONE_HOT", "DYNAMIC_UPDATE_SLICE")
)
"""Operators that put a constant in the place of a value."""
ADDING = frozenset(("ADD", "SUB", "MUL", "DIV"))
"""Operators that push a value away by a constant, or multiply a mask of zeros and ones by it."""
PASSING = (
    CHOOSING
    | ADDING
    | {
        "NEG", "PAD", "MIRROR_PAD", "RESHAPE", "TRANSPOSE", "EXPAND_DIMS", "SQUEEZE", "UNPACK", "SPLIT", "SPLIT_V", "SLICE",
        "STRIDED_SLICE", "BROADCAST_TO", "TILE", "MAXIMUM", "MINIMUM", "CAST", "GATHER", "GATHER_ND", "QUANTIZE",
        "DEQUANTIZE",
    }
)  # fmt: skip
"""Operators behind which padding is still there."""
WEIGHING = frozenset(("SOFTMAX", "LOG_SOFTMAX", "EXP", "LOGISTIC"))
"""Operators that give padding no weight."""
PICKING = frozenset(("MAX_POOL_2D", "REDUCE_MAX", "REDUCE_MIN", "ARG_MAX", "ARG_MIN", "TOPK_V2"))
"""Operators that do not pick padding. They end what was chosen only: a product with 1e9 is a number for a maximum."""


def with_small_masks(data: bytes) -> bytes:
    """A float .tflite whose padding constants are at most ENOUGH; `data` where there are none."""
    model = read_model(data)
    clipped = 0
    for graph in model.subgraphs:
        for index in sorted(padding_constants(model, graph)):
            tensor = graph.tensors[index]
            values = _stored(model, tensor)
            assert values is not None
            is_padding = np.abs(values) >= LARGEST
            small = np.where(is_padding, np.sign(values) * np.float32(ENOUGH), values)
            tensor.buffer = add_buffer(model, small.astype(np.float32))
            clipped += 1
    return write_model(model) if clipped else data


def padding_constants(model: Any, graph: Any) -> set[int]:
    """Indices of the tensors of a subgraph that hold padding."""
    return {constant for constant, ahead in _padded_paths(model, graph) if ahead}


def padded_activations(model: Any, graph: Any) -> set[int]:
    """Indices of the computed tensors of a subgraph that padding may pass through, and of inputs that may hold it."""
    return set().union(*(ahead for _, ahead in _padded_paths(model, graph)), _padded_inputs(model, graph))


def _padded_paths(model: Any, graph: Any) -> Iterable[tuple[int, set[int]]]:
    """(constant of huge values, the tensors from its readers to where it is forgotten), one pair a reader."""
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
    """Inputs that are added to what a softmax weighs, without any layer between: masks that the caller makes."""
    return set().union(*(_ahead(model, graph, [int(i)], WEIGHING) for i in graph.inputs))


def _ahead(model: Any, graph: Any, start: Iterable[int], ends: frozenset[str]) -> set[int]:
    """Tensors on the ways from `start`, through PASSING operators, to an operator of `ends`; empty where none gets there."""
    tensors = set(start)
    steps = []
    is_ended = set()
    for operator in graph.operators:  # they are in the order of their running
        read = tensors & {int(i) for i in operator.inputs}
        if not read:
            continue
        kind = kind_of(model, operator)
        if kind in ends:
            is_ended |= read
        elif kind in PASSING:
            made = {int(i) for i in operator.outputs}
            steps.append((read, made))
            tensors |= made
    for read, made in reversed(steps):
        if made & is_ended:
            is_ended |= read
    return is_ended


def _stored(model: Any, tensor: Any) -> np.ndarray | None:
    """The values of a constant float tensor."""
    from ai_edge_litert import schema_py_generated as schema

    stored = model.buffers[tensor.buffer].data
    if tensor.type != schema.TensorType.FLOAT32 or stored is None or len(stored) == 0:
        return None
    return np.asarray(stored, np.uint8).view(np.float32)
