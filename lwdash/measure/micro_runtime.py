"""Rules of TensorFlow Lite Micro: for a file that it refuses, no RAM can be planned.

The rules were found by loading files in its own interpreter (tflite-micro 0.dev20261023): it has no operators on mixed
floats and integers, unpacks no float16 and no 4-bit constants, and takes one scale where it unpacks 8-bit ones.
"""

from __future__ import annotations

from lwdash.tflite.reader import Operator, TfliteFacts
from lwdash.tflite.tensor import Tensor, is_float
from lwdash.tflite.trained_parameters import KERNEL_INPUTS

OPERATORS = frozenset((
    "ABS", "ADD", "ADD_N", "ARG_MAX", "ARG_MIN", "ASSIGN_VARIABLE", "AVERAGE_POOL_2D", "BATCH_MATMUL",
    "BATCH_TO_SPACE_ND", "BROADCAST_ARGS", "BROADCAST_TO", "CALL_ONCE", "CAST", "CEIL", "CONCATENATION", "CONV_2D",
    "COS", "CUMSUM", "DEPTHWISE_CONV_2D", "DEPTH_TO_SPACE", "DEQUANTIZE", "DIV", "DYNAMIC_UPDATE_SLICE", "ELU",
    "EMBEDDING_LOOKUP", "EQUAL", "EXP", "EXPAND_DIMS", "FILL", "FLOOR", "FLOOR_DIV", "FLOOR_MOD", "FULLY_CONNECTED",
    "GATHER", "GATHER_ND", "GREATER", "GREATER_EQUAL", "HARD_SWISH", "IF", "L2_NORMALIZATION", "L2_POOL_2D",
    "LEAKY_RELU", "LESS", "LESS_EQUAL", "LOG", "LOGICAL_AND", "LOGICAL_NOT", "LOGICAL_OR", "LOGISTIC",
    "LOG_SOFTMAX", "MAXIMUM", "MAX_POOL_2D", "MEAN", "MINIMUM", "MIRROR_PAD", "MUL", "NEG", "NOT_EQUAL", "PACK",
    "PAD", "PADV2", "PRELU", "QUANTIZE", "READ_VARIABLE", "REDUCE_ALL", "REDUCE_MAX", "REDUCE_MIN", "RELU", "RELU6",
    "RESHAPE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2", "ROUND", "RSQRT", "SELECT_V2", "SHAPE",
    "SIN", "SLICE", "SOFTMAX", "SPACE_TO_BATCH_ND", "SPACE_TO_DEPTH", "SPLIT", "SPLIT_V", "SQRT", "SQUARE",
    "SQUARED_DIFFERENCE", "SQUEEZE", "STRIDED_SLICE", "SUB", "SUM", "SVDF", "TANH", "TRANSPOSE", "TRANSPOSE_CONV",
    "UNIDIRECTIONAL_SEQUENCE_LSTM", "UNPACK", "VAR_HANDLE", "WHILE", "ZEROS_LIKE", "CUSTOM",
))  # fmt: skip
"""Types that it has kernels for, as its library lists them. Custom operators are the application's own."""


def why_not_on_micro(facts: TfliteFacts) -> str | None:
    """Why TensorFlow Lite Micro does not run this file, as a sentence; None where nothing speaks against it."""
    for operator in facts.operators:
        reason = _reason(facts, operator)
        if reason:
            return f"TensorFlow Lite Micro does not run this file: {reason}."
    return None


def _reason(facts: TfliteFacts, operator: Operator) -> str | None:
    if operator.type not in OPERATORS:
        return f"it has no kernel for {operator.type}"
    first = facts.tensor(operator, operator.inputs[0]) if operator.inputs else None
    if operator.type == "DEQUANTIZE" and first is not None and first.is_constant:
        if first.dtype not in ("int8", "int16"):
            return f"it does not unpack {first.dtype} weights to floats"
        if _scales(first) > 1:
            return "it unpacks weights by one scale, and these have one a channel"
    for position in KERNEL_INPUTS.get(operator.type, ()):
        kernel = (
            facts.tensor(operator, operator.inputs[position]) if position < len(operator.inputs) else None
        )
        if kernel is None or not kernel.is_constant or operator.type in ("GATHER", "EMBEDDING_LOOKUP"):
            continue
        floats = [
            t for i in operator.inputs if (t := facts.tensor(operator, i)) is not None and is_float(t.dtype)
        ]
        if floats and not is_float(kernel.dtype):
            return f"{operator.type} has {kernel.dtype} weights and float activations, and hybrid operators are refused"
        if operator.type == "FULLY_CONNECTED" and kernel.dtype == "int4" and _scales(kernel) > 1:
            return "its FULLY_CONNECTED takes 4-bit weights with one scale a tensor only (per_channel=false)"
    return None


def _scales(tensor: Tensor) -> int:
    return 0 if tensor.quantization is None else len(tensor.quantization.scale)
