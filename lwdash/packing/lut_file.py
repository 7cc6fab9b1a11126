"""A .tflite with weights in look-up tables: indices of 1 to 7 bits and the values that they stand for.

TensorFlow Lite Micro unpacks them before each operator that reads them (its operator TFLM_DECODE, described in
tensorflow/lite/micro/compression of tflite-micro); LiteRT has no such operator.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from lwdash.contract import Accepts
from lwdash.packing.accepted import accepted
from lwdash.packing.stored_tensors import LeftDense, StoredTensor
from lwdash.tflite.constants import add_buffer
from lwdash.tflite.flatbuffer import read_model, text, write_model
from lwdash.tflite.operator_codes import kind_of
from lwdash.tflite.trained_parameters import KERNEL_INPUTS

OPERATOR = "TFLM_DECODE"
MAX_INDEX_BITS, MAX_TABLE_VALUES = 7, 128
WHOLE_TENSOR = 15
"""In place of an axis: one table for the whole tensor."""
OVERHEAD_BYTES = 200
"""Tables of the flatbuffer that a tensor needs besides indices and values, and alignment."""


@dataclass(frozen=True)
class LutFile:
    """The file, smaller than the dense one or equal to it."""

    data: bytes
    stored: tuple[StoredTensor, ...]
    dense: tuple[LeftDense, ...]
    index_bits: dict[int, int]
    """Bits of an index → tensors with such indices."""


@dataclass(frozen=True, eq=False)
class _Packed:
    """A tensor's indices, packed, and what the operator must know of them."""

    tensor: int
    name: str
    kinds: tuple[str, ...]
    bits: int
    indices: bytes
    tables: bytes
    dense_bytes: int
    elements: int
    zeros: int

    @property
    def stored_bytes(self) -> int:
        return len(self.indices) + len(self.tables)


def store_tables(data: bytes, accepts: Accepts) -> LutFile:
    """Stores each int8 kernel in a look-up table that takes fewer bytes so, where TensorFlow Lite Micro accepts it.

    accepts: called for the whole file, and where it refuses, for each type of operator and each kernel by itself.
    """
    packed, left = _candidates(data)
    kept, refused = accepted(packed, partial(_rewritten, data), accepts)
    left += refused
    result = _rewritten(data, kept) if kept else data
    if len(result) >= len(data):
        return LutFile(data, (), tuple(left), {})
    bits: dict[int, int] = defaultdict(int)
    for one in kept:
        bits[one.bits] += 1
    stored = [
        StoredTensor(one.name, one.kinds[0], one.dense_bytes, one.stored_bytes, one.zeros, one.elements)
        for one in kept
    ]
    return LutFile(result, tuple(stored), tuple(left), dict(sorted(bits.items())))


def _candidates(data: bytes) -> tuple[list[_Packed], list[LeftDense]]:
    from ai_edge_litert import schema_py_generated as schema

    model = read_model(data)
    graph = model.subgraphs[0]
    users: dict[int, int] = defaultdict(int)
    for each in model.subgraphs:
        for tensor in each.tensors:
            users[tensor.buffer] += 1
    readers: dict[int, set[str]] = defaultdict(set)
    others: set[int] = set(map(int, graph.outputs))
    for operator in graph.operators:
        kind = kind_of(model, operator)
        for position, index in enumerate(map(int, operator.inputs)):
            if position in KERNEL_INPUTS.get(kind, ()):
                readers[index].add(kind)
            else:
                others.add(index)
    packed, left = [], []
    for index, kinds in readers.items():
        tensor = graph.tensors[index]
        values = model.buffers[tensor.buffer].data
        is_int8 = tensor.type == schema.TensorType.INT8 and values is not None and not tensor.isVariable
        if index in others or not is_int8 or users[tensor.buffer] > 1 or len(values) <= OVERHEAD_BYTES:
            continue
        shape = tuple(int(n) for n in tensor.shape)
        dense = np.frombuffer(np.asarray(values, np.uint8).tobytes(), np.int8).reshape(shape)
        scales = [] if tensor.quantization is None else tensor.quantization.scale
        axis = int(tensor.quantization.quantizedDimension) if scales is not None and len(scales) > 1 else None
        name = text(tensor.name)
        if axis is not None and axis not in (0, len(shape) - 1):
            reason = (
                f"its scales lie along axis {axis}, and a table a channel needs the first or the last axis"
            )
            left.append(LeftDense(name, min(kinds), reason))
            continue
        one = _pack(index, name, tuple(sorted(kinds)), dense, axis)
        if one is None:
            left.append(LeftDense(name, min(kinds), f"it has more than {MAX_TABLE_VALUES} different values"))
        elif one.stored_bytes + OVERHEAD_BYTES < dense.nbytes:
            packed.append(one)
    return packed, left


def _pack(
    tensor: int, name: str, kinds: tuple[str, ...], dense: np.ndarray, axis: int | None
) -> _Packed | None:
    """One table a channel where the tensor has a scale a channel, as the operator demands; else one for all.

    None where a table would have more values than an index can name.
    """
    slices = (
        [dense.reshape(-1)]
        if axis is None
        else list(np.moveaxis(dense, axis, 0).reshape(dense.shape[axis], -1))
    )
    found = [np.unique(values, return_inverse=True) for values in slices]
    length = max(len(values) for values, _ in found)
    if length > MAX_TABLE_VALUES:
        return None
    bits = max(1, (length - 1).bit_length())
    if axis is None:
        indices = found[0][1]
    else:
        rest = [n for i, n in enumerate(dense.shape) if i != axis]
        stacked = np.stack([inverse for _, inverse in found]).reshape(dense.shape[axis], *rest)
        indices = np.moveaxis(stacked, 0, axis).reshape(-1)
    header = bytes((0, 1, 0, 0, 1, ((WHOLE_TENSOR if axis is None else axis) << 4) | bits, length)) + bytes(9)
    tables = b"".join(np.pad(values, (0, length - len(values))).tobytes() for values, _ in found)
    return _Packed(
        tensor, name, kinds, bits, _packed_bits(indices, bits), header + tables, dense.nbytes, dense.size,
        int(np.count_nonzero(dense == 0)),
    )  # fmt: skip


def _packed_bits(indices: np.ndarray, bits: int) -> bytes:
    """Indices one after the other, the highest bit first."""
    planes = (indices.reshape(-1, 1) >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(planes.astype(np.uint8).reshape(-1)).tobytes()


def _rewritten(data: bytes, packed: Sequence[_Packed]) -> bytes:
    """The .tflite with these kernels in tables: one TFLM_DECODE before each operator, for all of its kernels."""
    from ai_edge_litert import schema_py_generated as schema

    model = read_model(data)
    graph = model.subgraphs[0]
    by_tensor = {one.tensor: one for one in packed}
    dense = {index: copy.copy(graph.tensors[index]) for index in by_tensor}
    tables = {}
    for index, one in by_tensor.items():
        tensor = graph.tensors[index]
        tensor.shape, tensor.shapeSignature = [len(one.indices)], None
        tensor.type, tensor.quantization = schema.TensorType.UINT8, None
        tensor.buffer = add_buffer(model, np.frombuffer(one.indices, np.uint8))
        table = schema.TensorT()
        table.name, table.shape, table.hasRank = tensor.name, [len(one.tables)], True
        table.type, table.buffer = (
            schema.TensorType.UINT8,
            add_buffer(model, np.frombuffer(one.tables, np.uint8)),
        )
        graph.tensors.append(table)
        tables[index] = len(graph.tensors) - 1
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode, code.version = OPERATOR.encode(), 1
    model.operatorCodes.append(code)
    operators = []
    for operator in graph.operators:
        inputs = [int(i) for i in operator.inputs]
        kernels = list(dict.fromkeys(i for i in inputs if i in by_tensor))
        if kernels:
            unpacked = {}
            for index in kernels:
                twin = copy.copy(dense[index])
                twin.buffer = 0
                graph.tensors.append(twin)
                unpacked[index] = len(graph.tensors) - 1
            step = schema.OperatorT()
            step.opcodeIndex = len(model.operatorCodes) - 1
            step.inputs = [i for index in kernels for i in (index, tables[index])]
            step.outputs = list(unpacked.values())
            operators.append(step)
            operator.inputs = [unpacked.get(i, i) for i in inputs]
        operators.append(operator)
    graph.operators = operators
    return write_model(model)
