"""Multiply-accumulates of one inference, operator by operator."""

from __future__ import annotations

import math
from collections.abc import Callable

from lwdash.tflite.reader import Operator, TfliteFacts
from lwdash.tflite.tensor import Tensor
from lwdash.tflite.trained_parameters import KERNEL_INPUTS


def operator_macs(facts: TfliteFacts, operator: Operator) -> int | None:
    """MACs of one run of `operator` at the shapes in the file (batch 1 where the batch is free).

    Only products that are summed count: convolutions, dense layers, matrix products, recurrent layers. None
    for an operator that runs other graphs (WHILE, IF, CALL): the file does not state the number of
    repetitions.
    """
    if operator.type in ("WHILE", "IF", "CALL"):
        return None
    count = _COUNTS.get(operator.type)
    if count is None:
        return 0
    inputs = [facts.tensor(operator, index) for index in operator.inputs]
    output = facts.tensor(operator, operator.outputs[0])
    return 0 if output is None else count(operator, inputs, output)


def _shape(tensor: Tensor | None) -> tuple[int, ...]:
    return () if tensor is None else tuple(abs(n) for n in tensor.shape)


def _convolution(operator: Operator, inputs: list[Tensor | None], output: Tensor) -> int:
    """Each output value sums over a whole filter, (out, …, in) in the file."""
    return math.prod(_shape(output)) * math.prod(_shape(inputs[1])[1:])


def _convolution_3d(operator: Operator, inputs: list[Tensor | None], output: Tensor) -> int:
    return math.prod(_shape(output)) * math.prod(_shape(inputs[1])[:-1])


def _depthwise(operator: Operator, inputs: list[Tensor | None], output: Tensor) -> int:
    return math.prod(_shape(output)) * math.prod(_shape(inputs[1])[1:3])


def _transposed(operator: Operator, inputs: list[Tensor | None], output: Tensor) -> int:
    """Each input value is spread over a whole filter of (out, height, width)."""
    return math.prod(_shape(inputs[2])) * math.prod(_shape(inputs[1])[:3])


def _transposed_3d(operator: Operator, inputs: list[Tensor | None], output: Tensor) -> int:
    return math.prod(_shape(inputs[2])) * math.prod(_shape(inputs[1])[:-1])


def _dense(operator: Operator, inputs: list[Tensor | None], output: Tensor) -> int:
    return math.prod(_shape(output)) * _shape(inputs[1])[-1]


def _matrix_product(operator: Operator, inputs: list[Tensor | None], output: Tensor) -> int:
    left = _shape(inputs[0])
    return math.prod(_shape(output)) * left[-2 if operator.options.get("adj_x") else -1]


def _recurrent(operator: Operator, inputs: list[Tensor | None], output: Tensor) -> int:
    """Every kernel once per step and row, whichever of the two comes first in the sequence's shape."""
    kernels = (inputs[i] for i in KERNEL_INPUTS[operator.type] if i < len(inputs))
    steps = math.prod(_shape(inputs[0])[:-1])
    return steps * sum(math.prod(_shape(kernel)) for kernel in kernels if kernel is not None)


_COUNTS: dict[str, Callable[[Operator, list[Tensor | None], Tensor], int]] = {
    "CONV_2D": _convolution,
    "CONV_3D": _convolution_3d,
    "CONV_3D_TRANSPOSE": _transposed_3d,
    "DEPTHWISE_CONV_2D": _depthwise,
    "TRANSPOSE_CONV": _transposed,
    "FULLY_CONNECTED": _dense,
    "BATCH_MATMUL": _matrix_product,
    **dict.fromkeys(
        (
            "LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM", "RNN", "SVDF",
            "UNIDIRECTIONAL_SEQUENCE_RNN", "BIDIRECTIONAL_SEQUENCE_RNN",
        ),
        _recurrent,
    ),
}  # fmt: skip
