"""Ranges for integer kernels: no output may have a step far below the steps of its inputs.

An integer operator multiplies its sums by (input scale · weight scale / output scale). LiteRT's kernels
support this factor only up to 2⁸. A larger one is useless: one step of the sum would be many steps of the
output. The usual cause is a layer with constant output, such as a dead ReLU. The magnitude of the values does
not matter, so a network that computes in billionths keeps its ranges.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from lwdash.quantize.number_formats import WEIGHT_OPERATORS
from lwdash.quantize.read_back import shape_of
from lwdash.tflite.flatbuffer import text
from lwdash.tflite.operator_codes import kind_of
from lwdash.tflite.rewrites.padding_constants import padding_constants

MAX_MULTIPLIER = 128.0
"""Half of the maximum of XNNPACK's kernels."""
WEIGHT_STEPS = 127
SUMMING = frozenset(
    (
        "ADD", "SUB", "MEAN", "SUM", "RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "LEAKY_RELU", "PRELU",
        "HARD_SWISH", "AVERAGE_POOL_2D", "QUANTIZE", "MAXIMUM", "MINIMUM",
    )
)  # fmt: skip
"""Operators whose output is a sum of their inputs, or one of them."""

Limits = Mapping[str, tuple[float, float]]


def usable_ranges(model: Any, limits: Limits) -> dict[str, tuple[float, float]]:
    """`limits`, name → (low, high), of a float `ModelT`, with outputs of its main subgraph widened where
    necessary.

    A range of width 0 that no operator explains gets the median width: 0 is 0 in any range.
    """
    graph = model.subgraphs[0]
    names = [text(tensor.name) for tensor in graph.tensors]
    widths = [width for one in limits.values() if (width := _width(one)) > 0]
    usual = float(np.median(widths)) if widths else 1.0
    computed = {names[int(i)] for operator in graph.operators for i in operator.outputs}
    usable = {
        name: (low, high) if name in computed or _width((low, high)) > 0 else (low, low + usual)
        for name, (low, high) in limits.items()
    }
    padding = padding_constants(model, graph)
    for operator in graph.operators:
        least = _min_width(model, graph, operator, names, usable, padding)
        for index in operator.outputs:
            name = names[int(index)]
            if name not in usable:
                continue
            low, high = usable[name]
            needed = least or (0.0 if _width((low, high)) > 0 else usual)
            if _width((low, high)) < needed:
                usable[name] = (low, min(low, 0.0) + needed)
    return usable


def _min_width(
    model: Any, graph: Any, operator: Any, names: list[str], limits: Limits, padding: Collection[int]
) -> float:
    """The minimum width of the operator's output range; 0 where its type does not determine it.

    padding: constants that the integer file stores as small ones.
    """
    kind = kind_of(model, operator)
    inputs = [int(i) for i in operator.inputs if i >= 0]
    come = [width for i in inputs if names[i] in limits and (width := _width(limits[names[i]])) > 0]
    stored = [
        k for i in inputs
        if names[i] not in limits and i not in padding and (k := _largest(model, graph.tensors[i])) is not None
    ]  # fmt: skip
    if not come:
        return 0.0
    if kind in WEIGHT_OPERATORS and kind != "EMBEDDING_LOOKUP":
        kernels = [
            k for i in inputs
            if len(shape_of(graph.tensors[i])) > 1 and (k := _largest(model, graph.tensors[i])) is not None
        ]  # fmt: skip
        factors = [max(come), max(kernels)] if kernels else come
        return float(np.prod(factors)) / (WEIGHT_STEPS * MAX_MULTIPLIER)
    if kind == "MUL":
        return float(np.prod([*come, *stored])) / (WEIGHT_STEPS * MAX_MULTIPLIER)
    return max([*come, *stored]) / MAX_MULTIPLIER if kind in SUMMING else 0.0


def _width(limits: tuple[float, float]) -> float:
    """Width of a range extended to include zero, as integers require."""
    low, high = limits
    return max(high, 0.0) - min(low, 0.0)


def _largest(model: Any, tensor: Any) -> float | None:
    """The largest magnitude of a stored float tensor; None where it holds none."""
    from ai_edge_litert import schema_py_generated as schema

    stored = model.buffers[tensor.buffer].data
    if tensor.type != schema.TensorType.FLOAT32 or stored is None or len(stored) == 0:
        return None
    return float(np.abs(np.asarray(stored, np.uint8).view(np.float32)).max())
