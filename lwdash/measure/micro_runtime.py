"""Rules of TensorFlow Lite Micro: a file that it refuses has no RAM plan.

The rules were found by loading files in its own interpreter (tflite-micro 0.dev20261023). It has no operators
on mixed floats and integers. It does not unpack float16 or 4-bit constants, and takes one scale where it
unpacks 8-bit constants.
"""

from __future__ import annotations

from dataclasses import dataclass

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
"""Operator types with a kernel in its library. Custom operators belong to the application."""


USE_INT8 = "use int8, which stores weights and activations as integers"

USE_DENSE = "leave out the storage step sparse: the dense file has the same outputs"


@dataclass(frozen=True)
class MicroRefusal:
    """A reason why TensorFlow Lite Micro does not run a file, as a clause, and the remedy as another one."""

    operator: str
    reason: str
    remedy: str


def why_not_on_micro(facts: TfliteFacts) -> str | None:
    """Reason why TensorFlow Lite Micro does not run this file, as a sentence; None where no reason is known."""
    found = refusal_on_micro(facts)
    return f"TensorFlow Lite Micro does not run this file: {found.reason}." if found else None


def refusal_on_micro(facts: TfliteFacts) -> MicroRefusal | None:
    """The first operator that TensorFlow Lite Micro refuses by these rules; None where no rule applies."""
    return next((found for operator in facts.operators if (found := _refusal(facts, operator))), None)


def _refusal(facts: TfliteFacts, operator: Operator) -> MicroRefusal | None:
    if operator.type == "DENSIFY":
        return MicroRefusal(
            "DENSIFY",
            "it has no kernel for DENSIFY, which unpacks sparse weights",
            USE_DENSE,
        )
    if operator.type not in OPERATORS:
        return MicroRefusal(
            operator.type,
            f"it has no kernel for {operator.type}",
            "replace the layer that needs this operator, or add a kernel of your own to the resolver",
        )
    first = facts.tensor(operator, operator.inputs[0]) if operator.inputs else None
    if operator.type == "DEQUANTIZE" and first is not None and first.is_constant:
        if first.dtype not in ("int8", "int16"):
            reason = f"it does not unpack {first.dtype} weights to floats"
            return MicroRefusal(operator.type, reason, f"{USE_INT8}, or float32")
        if _scales(first) > 1:
            reason = "it unpacks weights with one scale, but these have one scale per channel"
            return MicroRefusal(operator.type, reason, USE_INT8)
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
            reason = (
                f"{operator.type} has {kernel.dtype} weights and float activations, and it refuses such "
                "hybrid operators"
            )
            return MicroRefusal(operator.type, reason, USE_INT8)
        if operator.type == "FULLY_CONNECTED" and kernel.dtype == "int4" and _scales(kernel) > 1:
            reason = (
                "its FULLY_CONNECTED takes 4-bit weights only with one scale per tensor (per_channel=false)"
            )
            return MicroRefusal(operator.type, reason, "set per_channel=false, or use int8")
    return None


def _scales(tensor: Tensor) -> int:
    return 0 if tensor.quantization is None else len(tensor.quantization.scale)
