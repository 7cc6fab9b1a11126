"""Operators that LiteRT computes in integers and litert-quantizer does not know, quantized under the types of others.

The library chooses scales by an operator's type and never runs the file, since the ranges are known. So an operator of an
unknown type gets the type of another one whose scales follow the same rule, and its own type back in the quantized file.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from lwdash.errors import ConversionFailed
from lwdash.tflite.flatbuffer import text
from lwdash.tflite.operator_codes import drop_unused_codes, kind_of, operator_code

_IN_BOTH = {
    **dict.fromkeys(("ABS", "LEAKY_RELU", "RELU6"), "RELU"),
    **dict.fromkeys(("SPLIT_V", "TILE"), "RESHAPE"),
    "MINIMUM": "MAXIMUM",
}
_ONLY_8_BITS = ("ELU", "EXP", "LOG", "LOG_SOFTMAX", "L2_NORMALIZATION", "RELU_N1_TO_1")
STAND_INS = {
    "int8": {
        **_IN_BOTH,
        **dict.fromkeys(_ONLY_8_BITS, "RELU"),
        **dict.fromkeys(("GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL"), "EQUAL"),
        **dict.fromkeys(("BATCH_TO_SPACE_ND", "DEPTH_TO_SPACE", "SPACE_TO_BATCH_ND"), "RESHAPE"),
        "PRELU": "MUL",
        "REDUCE_MAX": "REDUCE_MIN",
    },
    "int16": _IN_BOTH,
}
"""Type of activations → operator type → its stand-in. LiteRT has these kernels. TensorFlow Lite Micro has those of 16
bits, except TILE, which it lacks in float too. 16-bit EXP, LOG and REDUCE_MAX, which only LiteRT has, are left in float.
"""
FIXED_OUTPUTS = {"LOG_SOFTMAX": (-255 / 16, 0.0), "L2_NORMALIZATION": (-1.0, 127 / 128)}
"""The output range of operators whose int8 kernels have one scale: 1/16 and 1/128."""


def quantized_as(kind: str, activations: str) -> str:
    """The type under which litert-quantizer quantizes an operator, with activations "int8" or "int16"."""
    return STAND_INS.get(activations, {}).get(kind, kind)


def disguise(model: Any, activations: Collection[str]) -> bool:
    """Give operators of a float `ModelT` the types of their stand-ins; True if there were any.

    activations: the types in the planned file; an operator needs a kernel for each of them.
    """
    found = False
    for kind, operator in _operators(model):
        if all(kind in STAND_INS.get(one, {}) for one in activations):
            operator.opcodeIndex = operator_code(model, STAND_INS[next(iter(activations))][kind])
            found = True
    return found


def restore(model: Any, source: Any) -> None:
    """Give the operators of a quantized `ModelT` their types in `source`, the float file before `disguise`.

    Raises ConversionFailed where they are not the same operators.
    """
    before, after = list(_operators(source)), list(_operators(model))
    if len(before) != len(after):
        raise ConversionFailed("litert-quantizer wrote other operators than the float file has")
    for (kind, _), (now, operator) in zip(before, after, strict=True):
        if kind != now:
            operator.opcodeIndex = operator_code(model, kind)
    drop_unused_codes(model)


def with_fixed_outputs(model: Any, seen: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    """The ranges `seen` of a float `ModelT` for a plan with 8-bit activations, with those of FIXED_OUTPUTS."""
    fixed = dict(seen)
    for graph in model.subgraphs:
        for operator in graph.operators:
            limits = FIXED_OUTPUTS.get(kind_of(model, operator))
            name = text(graph.tensors[operator.outputs[0]].name) if limits else ""
            if limits and name in fixed:
                shape = np.shape(fixed[name]["min"])
                fixed[name] = {
                    side: np.full(shape, limit, np.float32)
                    for side, limit in zip(("min", "max"), limits, strict=True)
                }
    return fixed


def _operators(model: Any) -> Iterator[tuple[str, Any]]:
    """(type, operator) of all operators except conversions between formats, of which quantizing adds some."""
    for graph in model.subgraphs:
        for operator in graph.operators:
            if (kind := kind_of(model, operator)) not in ("QUANTIZE", "DEQUANTIZE"):
                yield kind, operator
