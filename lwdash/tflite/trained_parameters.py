"""The constants of a .tflite that are trained parameters, with their role and their operator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lwdash.tflite.reader import Operator, TfliteFacts
from lwdash.tflite.tensor import Tensor, bits_of, is_float

KERNEL, BIAS, OTHER, CONSTANT = "kernel", "bias", "other", "constant"

# Positions of the kernel inputs, by operator, as the operators' reference kernels read them.
KERNEL_INPUTS: dict[str, tuple[int, ...]] = {
    "CONV_2D": (1,),
    "CONV_3D": (1,),
    "CONV_3D_TRANSPOSE": (1,),
    "DEPTHWISE_CONV_2D": (1,),
    "TRANSPOSE_CONV": (1,),
    "FULLY_CONNECTED": (1,),
    "EMBEDDING_LOOKUP": (1,),
    "GATHER": (0,),
    "BATCH_MATMUL": (0, 1),
    "RNN": (1, 2),
    "SVDF": (1, 2),
    "UNIDIRECTIONAL_SEQUENCE_RNN": (1, 2),
    "LSTM": (*range(1, 9), 16),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (*range(1, 9), 16),
    "BIDIRECTIONAL_SEQUENCE_RNN": (1, 2, 5, 6, 10, 11),
    "BIDIRECTIONAL_SEQUENCE_LSTM": (*range(1, 9), 16, *range(18, 26), 33, *range(40, 48)),
}
_BIAS_INPUTS: dict[str, tuple[int, ...]] = {
    "CONV_2D": (2,),
    "CONV_3D": (2,),
    "CONV_3D_TRANSPOSE": (3,),
    "DEPTHWISE_CONV_2D": (2,),
    "TRANSPOSE_CONV": (3,),
    "FULLY_CONNECTED": (2,),
    "RNN": (3,),
    "SVDF": (3,),
    "UNIDIRECTIONAL_SEQUENCE_RNN": (3,),
    "LSTM": (12, 13, 14, 15, 17),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (12, 13, 14, 15, 17),
    "BIDIRECTIONAL_SEQUENCE_RNN": (3, 7),
    "BIDIRECTIONAL_SEQUENCE_LSTM": (12, 13, 14, 15, 17, 29, 30, 31, 32, 34),
}

OperatorKey = tuple[int, int]
TensorKey = tuple[int, int]


@dataclass(frozen=True, eq=False)
class TrainedParameter:
    """A constant of an operator. role: kernel, bias, other (scale, shift), constant (shape, axis …)."""

    tensor: Tensor
    role: str

    @property
    def is_trained(self) -> bool:
        return self.role != CONSTANT


@dataclass(frozen=True, eq=False)
class Owners:
    """Each constant with the first operator that uses it, and each tensor's operator.

    parameters: (subgraph, operator) → its constants; a constant shared by several operators counts at the
    first.
    tensors: (subgraph, tensor) → (subgraph, operator); a computed tensor belongs to the operator that
    computes it.
    shared: operators that use a constant counted elsewhere.
    """

    parameters: Mapping[OperatorKey, tuple[TrainedParameter, ...]]
    tensors: Mapping[TensorKey, OperatorKey]
    shared: frozenset[OperatorKey]


def find_owners(facts: TfliteFacts) -> Owners:
    """Assign every tensor to one operator. Weights that a DEQUANTIZE unpacks belong to the operator that reads them."""
    parameters: dict[OperatorKey, list[TrainedParameter]] = {}
    tensors: dict[TensorKey, OperatorKey] = {}
    buffers: dict[int, OperatorKey] = {}
    shared: set[OperatorKey] = set()
    for operator in facts.operators:
        key = (operator.subgraph, operator.index)
        tensors.update({(operator.subgraph, index): key for index in operator.outputs})
        if facts.unpacks_a_constant(operator):
            continue
        for position, index in enumerate(operator.inputs):
            tensor = facts.stored(facts.tensor(operator, index))
            if tensor is None:
                continue
            role = role_of(operator, position, tensor)
            if tensor.buffer in buffers:
                tensors.setdefault((tensor.subgraph, tensor.index), buffers[tensor.buffer])
                if buffers[tensor.buffer] != key and role != CONSTANT:
                    shared.add(key)
                continue
            buffers[tensor.buffer] = key
            tensors[(tensor.subgraph, tensor.index)] = key
            tensors.update({(tensor.subgraph, scales): key for scales in tensor.block_scales})
            parameters.setdefault(key, []).append(TrainedParameter(tensor, role))
    return Owners({key: tuple(found) for key, found in parameters.items()}, tensors, frozenset(shared))


def kernel_of(facts: TfliteFacts, operator: Operator) -> Tensor | None:
    """The first stored kernel of `operator`, shared or not; None where it has none."""
    for position in KERNEL_INPUTS.get(operator.type, ()):
        if position < len(operator.inputs):
            tensor = facts.stored(facts.tensor(operator, operator.inputs[position]))
            if tensor is not None and role_of(operator, position, tensor) == KERNEL:
                return tensor
    return None


def role_of(operator: Operator, position: int, tensor: Tensor) -> str:
    """Role of the constant that `operator` takes as input number `position`."""
    holds_weights = is_float(tensor.dtype) or tensor.quantization is not None or tensor.is_blockwise
    if position in KERNEL_INPUTS.get(operator.type, ()) and (holds_weights or 0 < bits_of(tensor.dtype) <= 8):
        return KERNEL
    if position in _BIAS_INPUTS.get(operator.type, ()):
        return BIAS
    return OTHER if holds_weights and tensor.elements > 1 else CONSTANT
