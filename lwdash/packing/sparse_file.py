"""A .tflite with sparse weights: tensors in LiteRT's sparse encoding, each unpacked by a DENSIFY before its operators.

LiteRT unpacks the weights once, when it prepares the file, so that an inference computes what it did before.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from lwdash.contract import Accepts
from lwdash.packing.accepted import accepted
from lwdash.packing.sparse_layout import Encoded, smallest_encoding
from lwdash.packing.stored_tensors import LeftDense, StoredTensor
from lwdash.tflite.constants import add_buffer
from lwdash.tflite.flatbuffer import read_model, text, write_model
from lwdash.tflite.operator_codes import kind_of, operator_code
from lwdash.tflite.rewrites.dense_layers import write_as_convolution
from lwdash.tflite.sparsity import Level, Sparsity

DTYPES: Mapping[str, Any] = {"FLOAT32": np.float32, "FLOAT16": np.float16, "INT8": np.int8}
"""Types of weights for which LiteRT has a DENSIFY."""
OVERHEAD_BYTES = 240
"""Tables that a sparse tensor needs besides its values and lists: its encoding, its dense twin, a DENSIFY."""

TensorKey = tuple[int, int]
"""(subgraph, tensor)."""


@dataclass(frozen=True)
class SparseFile:
    """The file, never larger than the dense one; equal to it where no tensor gains."""

    data: bytes
    stored: tuple[StoredTensor, ...]
    dense: tuple[LeftDense, ...]


@dataclass(frozen=True)
class _Candidate:
    key: TensorKey
    name: str
    kinds: tuple[str, ...]
    encoded: Encoded
    dense_bytes: int
    elements: int

    @property
    def saved_bytes(self) -> int:
        return self.dense_bytes - self.encoded.stored_bytes - OVERHEAD_BYTES

    @property
    def description(self) -> StoredTensor:
        sparsity = self.encoded.sparsity
        rank = len(sparsity.traversal_order) - len(sparsity.block_map)
        sizes = dict(zip(sparsity.traversal_order, (level.size for level in sparsity.levels), strict=True))
        blocks = tuple(sizes[rank + i] for i in range(len(sparsity.block_map)))
        return StoredTensor(
            self.name, self.kinds[0], self.dense_bytes, self.encoded.stored_bytes,
            self.elements - int(np.count_nonzero(self.encoded.values)), self.elements, blocks,
        )  # fmt: skip


def store_sparse(data: bytes, accepts: Accepts) -> SparseFile:
    """Stores each tensor sparse that takes fewer bytes so and that LiteRT accepts.

    data: a dense .tflite. accepts: asked for the whole, and where it refuses, for each type of operator and
    each tensor by itself. Operators that quantize their inputs at run time (hybrid) stay dense: XNNPACK does not load them.
    """
    candidates, left = _candidates(data)
    chosen, refused = accepted(candidates, partial(_rewritten, data), accepts)
    sparse = _rewritten(data, chosen) if chosen else data
    if len(sparse) >= len(data):
        return SparseFile(data, (), (*left, *refused))
    return SparseFile(sparse, tuple(c.description for c in chosen), (*left, *refused))


def _candidates(data: bytes) -> tuple[list[_Candidate], list[LeftDense]]:
    from ai_edge_litert import schema_py_generated as schema

    names = {value: name for name, value in vars(schema.TensorType).items() if not name.startswith("_")}
    model = read_model(data)
    found: list[_Candidate] = []
    left: list[LeftDense] = []
    sharers: dict[int, int] = defaultdict(int)
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            sharers[tensor.buffer] += 1
    for number, graph in enumerate(model.subgraphs):
        readers = _readers(model, graph)
        for index, tensor in enumerate(graph.tensors):
            values = model.buffers[tensor.buffer].data
            if values is None or len(values) == 0 or tensor.isVariable or tensor.sparsity is not None:
                continue
            dtype, name = names[tensor.type], text(tensor.name)
            if index not in readers or index in set(map(int, graph.outputs)):
                continue
            shape = tuple(int(n) for n in tensor.shape) if tensor.shape is not None else ()
            if dtype not in DTYPES:
                continue
            dense = np.frombuffer(np.asarray(values, np.uint8).tobytes(), DTYPES[dtype]).reshape(shape)
            if sharers[tensor.buffer] > 1 or dense.nbytes <= OVERHEAD_BYTES:
                continue
            encoded = smallest_encoding(dense)
            if encoded is None:
                continue
            candidate = _Candidate(
                (number, index),
                name,
                tuple(sorted({k for k, _ in readers[index]})),
                encoded,
                dense.nbytes,
                dense.size,
            )
            if candidate.saved_bytes <= 0:
                continue
            if any(is_hybrid for _, is_hybrid in readers[index]):
                reason = (
                    "LiteRT loads no sparse weights for an operator that quantizes its inputs at run time"
                )
                left.append(LeftDense(name, candidate.kinds[0], reason))
                continue
            found.append(candidate)
    return found, left


def _readers(model: Any, graph: Any) -> dict[int, list[tuple[str, bool]]]:
    """Tensor → (type, whether it is hybrid) of each operator that reads it."""
    from ai_edge_litert import schema_py_generated as schema

    readers: dict[int, list[tuple[str, bool]]] = defaultdict(list)
    for operator in graph.operators:
        inputs = [int(i) for i in operator.inputs]
        types = [graph.tensors[i].type for i in inputs[:1] if i >= 0]
        for index in inputs:
            if index >= 0:
                is_hybrid = (
                    graph.tensors[index].type == schema.TensorType.INT8
                    and types == [schema.TensorType.FLOAT32]
                    and inputs[0] != index
                )
                readers[index].append((kind_of(model, operator), is_hybrid))
    return readers


def _rewritten(data: bytes, candidates: Collection[_Candidate]) -> bytes:
    """The .tflite with these tensors sparse."""
    from ai_edge_litert import schema_py_generated as schema

    model = read_model(data)
    by_graph: dict[int, dict[int, Encoded]] = defaultdict(dict)
    for candidate in candidates:
        by_graph[candidate.key[0]][candidate.key[1]] = candidate.encoded
    for number, chosen in by_graph.items():
        graph = model.subgraphs[number]
        write_as_convolution(model, graph, set(chosen))
        opcode = operator_code(model, "DENSIFY", version=1)
        dense = {index: _add_dense_twin(model, graph, index, encoded) for index, encoded in chosen.items()}
        operators, unpacked = [], set()
        for operator in graph.operators:
            operator.inputs = [int(i) for i in operator.inputs]
            for index in operator.inputs:
                if index in dense and index not in unpacked:
                    unpacked.add(index)
                    step = schema.OperatorT()
                    step.opcodeIndex, step.inputs, step.outputs = opcode, [index], [dense[index]]
                    step.builtinOptionsType = schema.BuiltinOptions.DensifyOptions
                    step.builtinOptions = schema.DensifyOptionsT()
                    operators.append(step)
            operator.inputs = [dense.get(i, i) for i in operator.inputs]
            operators.append(operator)
        graph.operators = operators
    return write_model(model)


def _add_dense_twin(model: Any, graph: Any, index: int, encoded: Encoded) -> int:
    """Stores tensor `index` sparse and adds the tensor that its DENSIFY writes; returns the new tensor's index."""
    tensor = graph.tensors[index]
    twin = copy.copy(tensor)
    twin.buffer = 0
    graph.tensors.append(twin)
    tensor.buffer = add_buffer(model, encoded.values)
    shape = tensor.shape
    rank = len(encoded.sparsity.traversal_order) - len(encoded.sparsity.block_map)
    is_lifted = rank == 2 and len(shape) == 4
    tensor.sparsity = _sparsity_table(_as_pointwise(encoded.sparsity) if is_lifted else encoded.sparsity)
    return len(graph.tensors) - 1


def _as_pointwise(sparsity: Sparsity) -> Sparsity:
    """The encoding of a (units, inputs) kernel for the same kernel as (units, 1, 1, inputs)."""
    axes = {0: 0, 1: 3, 2: 4, 3: 5}
    order = tuple(axes[axis] for axis in sparsity.traversal_order)
    blocks = tuple(axes[axis] for axis in sparsity.block_map)
    return Sparsity((1, 2, *order), blocks, (Level(1), Level(1), *sparsity.levels))


def _sparsity_table(sparsity: Sparsity) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    table = schema.SparsityParametersT()
    table.traversalOrder = list(sparsity.traversal_order)
    table.blockMap = list(sparsity.block_map) or None
    table.dimMetadata = []
    for level in sparsity.levels:
        entry = schema.DimensionMetadataT()
        if level.segments is None or level.indices is None:
            entry.format, entry.denseSize = schema.DimensionType.DENSE, level.size
        else:
            entry.format = schema.DimensionType.SPARSE_CSR
            entry.arraySegmentsType, entry.arraySegments = _index_vector(level.segments)
            entry.arrayIndicesType, entry.arrayIndices = _index_vector(level.indices)
        table.dimMetadata.append(entry)
    return table


def _index_vector(values: np.ndarray) -> tuple[int, Any]:
    """(member of SparseIndexVector, its object) with the values in their dtype."""
    from ai_edge_litert import schema_py_generated as schema

    name = {1: "Uint8Vector", 2: "Uint16Vector", 4: "Int32Vector"}[values.itemsize]
    vector = getattr(schema, f"{name}T")()
    vector.values = values
    return getattr(schema.SparseIndexVector, name), vector
