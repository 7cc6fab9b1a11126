"""Removes clamps of integers whose bounds are those of the integers themselves.

An integer operator saturates. If the range of its output ends at the bound of the clamp that follows, as in `clip` or
`hard_sigmoid`, the clamp changes no value.
"""

from typing import Any

import numpy as np

from lwdash.tflite.operator_codes import drop_unused_codes, kind_of

CLAMPS = frozenset(("MINIMUM", "MAXIMUM", "RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1"))
BOUNDS = {
    "RELU": (0.0, np.inf),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
    "RELU_0_TO_1": (0.0, 1.0),
}
FUSING = (
    "ADD", "AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MAX_POOL_2D", "MUL", "SUB",
)  # fmt: skip
"""Operators whose integer kernels compute a fused RELU. Others have the field too, such as CONCATENATION, and refuse it."""
STEP = 1
"""Distance of a bound from the limit of the integers that rounding the zero point explains."""


def drop_saturated_clamps(model: Any) -> int:
    """Remove such operators of a quantized `ModelT`, fuse the remaining RELU; return their number.

    The tensor of the clamp's output stays, with its name; the operator before writes to it.
    """
    from ai_edge_litert import schema_py_generated as schema

    functions = schema.ActivationFunctionType
    dropped = 0
    for graph in model.subgraphs:
        for operator in list(graph.operators):
            kind = kind_of(model, operator)
            if kind not in CLAMPS:
                continue
            output = int(operator.outputs[0])
            source = _clamped(model, graph, operator, kind)
            maker = None if source is None else _only_maker(graph, source)
            if source is None or maker is None or not _is_alike(graph.tensors[source], graph.tensors[output]):
                continue
            if not _is_identity(model, graph, operator, kind, source):
                fused = getattr(maker.builtinOptions, "fusedActivationFunction", None)
                is_fusing = kind_of(model, maker) in FUSING
                if (
                    kind != "RELU"
                    or not is_fusing
                    or fused not in (functions.NONE, functions.RELU, functions.RELU6)
                ):
                    continue
                if fused == functions.NONE:
                    maker.builtinOptions.fusedActivationFunction = functions.RELU
            maker.outputs = [output if int(i) == source else int(i) for i in maker.outputs]
            graph.operators.remove(operator)
            dropped += 1
    if dropped:
        drop_unused_codes(model)
    return dropped


def _clamped(model: Any, graph: Any, operator: Any, kind: str) -> int | None:
    """The tensor that a clamp bounds by constants; None where it compares two computed tensors."""
    inputs = [int(i) for i in operator.inputs]
    if kind in BOUNDS:
        return inputs[0]
    computed = [i for i in inputs if model.buffers[graph.tensors[i].buffer].data is None]
    return computed[0] if len(computed) == 1 else None


def _only_maker(graph: Any, index: int) -> Any:
    """The operator that computes a tensor which only one operator reads; None for all other tensors."""
    readers = sum(int(i) == index for operator in graph.operators for i in operator.inputs)
    if readers != 1 or index in map(int, (*graph.inputs, *graph.outputs)):
        return None
    return next((one for one in graph.operators if index in map(int, one.outputs)), None)


def _is_alike(one: Any, other: Any) -> bool:
    """True if both are integers of one type, scale and shape."""
    from ai_edge_litert import schema_py_generated as schema

    found = [
        (
            tensor.type,
            list(tensor.shape),
            list(tensor.quantization.scale),
            list(tensor.quantization.zeroPoint),
        )
        for tensor in (one, other)
        if tensor.type in (schema.TensorType.INT8, schema.TensorType.INT16)
        and tensor.shape is not None
        and tensor.quantization is not None
        and tensor.quantization.scale is not None
        and len(tensor.quantization.scale) == 1
    ]
    return len(found) == 2 and found[0] == found[1]


def _is_identity(model: Any, graph: Any, operator: Any, kind: str, source: int) -> bool:
    from ai_edge_litert import schema_py_generated as schema

    tensor = graph.tensors[source]
    numbers = np.int8 if tensor.type == schema.TensorType.INT8 else np.int16
    limits = np.iinfo(numbers)
    low: float
    high: float
    if kind in BOUNDS:
        scale, zero_point = float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0])
        low, high = (
            round(bound / scale) + zero_point if np.isfinite(bound) else bound for bound in BOUNDS[kind]
        )
    else:
        constant = graph.tensors[next(int(i) for i in operator.inputs if int(i) != source)]
        if not _has_scale_of(constant, tensor):
            return False
        stored = np.asarray(model.buffers[constant.buffer].data, np.uint8).view(numbers)
        low, high = (-np.inf, stored.min()) if kind == "MINIMUM" else (stored.max(), np.inf)
    return low <= limits.min + STEP and high >= limits.max - STEP


def _has_scale_of(constant: Any, tensor: Any) -> bool:
    ours, theirs = constant.quantization, tensor.quantization
    return (
        constant.type == tensor.type
        and ours is not None
        and ours.scale is not None
        and list(ours.scale) == list(theirs.scale)
        and list(ours.zeroPoint) == list(theirs.zeroPoint)
    )
