"""The sparse encoding of a tensor: the places of the values that a .tflite stores, the others being zero.

The format is that of `SparsityParameters` in TensorFlow Lite's schema: the axes of a tensor, and the axes of blocks that
divide them, are visited in `traversal_order`; each is dense, or lists the positions that hold values (CSR).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from lwdash.errors import InternalFault


class SparsityUnreadable(InternalFault):
    """The sparse encoding of a tensor does not fit the tensor."""


@dataclass(frozen=True, eq=False)
class Level:
    """One axis of the traversal: dense with `size` positions, or a list of positions.

    segments: (entries of the levels before + 1,) where each entry's positions begin and end in `indices`; None where dense.
    """

    size: int
    segments: np.ndarray | None = None
    indices: np.ndarray | None = None

    @property
    def index_bytes(self) -> int:
        """Bytes of the two lists, each in the narrowest type."""
        return sum(values.nbytes for values in (self.segments, self.indices) if values is not None)


@dataclass(frozen=True, eq=False)
class Sparsity:
    """Places of stored values.

    traversal_order: axes by number; from the tensor's rank on, the axes of blocks. block_map: the tensor's axis that each
    block axis divides. levels: one for each entry of traversal_order.
    """

    traversal_order: tuple[int, ...]
    block_map: tuple[int, ...]
    levels: tuple[Level, ...]

    @property
    def index_bytes(self) -> int:
        return sum(level.index_bytes for level in self.levels)

    def places(self, shape: tuple[int, ...]) -> np.ndarray:
        """Positions of the stored values in the flattened dense tensor, int64, in the order of storage.

        Raises SparsityUnreadable where the lists do not fit a tensor of `shape`.
        """
        rank, elements = len(shape), math.prod(shape)
        if sorted(self.traversal_order) != list(range(rank + len(self.block_map))):
            raise SparsityUnreadable(f"traversal order {self.traversal_order} does not fit {rank} axes")
        if len(self.levels) != len(self.traversal_order) or any(not 0 <= a < rank for a in self.block_map):
            raise SparsityUnreadable(f"{len(self.levels)} levels and blocks of axes {self.block_map}")
        strides = [math.prod(shape[axis + 1 :]) for axis in range(rank)]
        blocks = [1] * rank
        for axis, level in zip(self.traversal_order, self.levels, strict=True):
            if axis >= rank:
                blocks[self.block_map[axis - rank]] *= level.size
        places = np.zeros(1, np.int64)
        for axis, level in zip(self.traversal_order, self.levels, strict=True):
            target = axis if axis < rank else self.block_map[axis - rank]
            step = strides[target] * (blocks[target] if axis < rank else 1)
            size = -(-shape[target] // blocks[target]) if axis < rank else level.size
            places = _expanded(places, level, size, step, elements)
        if len(places) and not 0 <= int(places.min()) <= int(places.max()) < elements:
            raise SparsityUnreadable(f"a stored value lies outside of a tensor of shape {shape}")
        return places

    def densified(self, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """The dense tensor of these stored values, zeros elsewhere. Raises SparsityUnreadable."""
        places = self.places(shape)
        if len(values) < len(places):
            raise SparsityUnreadable(f"{len(places)} values are needed, {len(values)} are stored")
        dense = np.zeros(math.prod(shape), values.dtype)
        dense[places] = values[: len(places)]
        return dense.reshape(shape)


def _expanded(places: np.ndarray, level: Level, size: int, step: int, most: int) -> np.ndarray:
    """The entries of the next level, from those of the one before."""
    if level.segments is None or level.indices is None:
        if level.size > size or len(places) * level.size > most:
            raise SparsityUnreadable(f"a dense axis of {level.size} where {size} fit")
        return (places[:, None] + np.arange(level.size, dtype=np.int64) * step).reshape(-1)
    segments, indices = level.segments.astype(np.int64), level.indices.astype(np.int64)
    counts = np.diff(segments)
    fits = len(counts) == len(places) and not (counts < 0).any() and len(indices) <= most
    if not fits or segments[0] != 0 or segments[-1] != len(indices):
        raise SparsityUnreadable(
            f"{len(segments)} segments for {len(places)} entries, {len(indices)} positions"
        )
    if len(indices) and (indices.min() < 0 or indices.max() >= size):
        raise SparsityUnreadable(f"position {indices.max()} on an axis of {size}")
    return np.repeat(places, counts) + indices * step


def read_sparsity(table: Any) -> Sparsity | None:
    """The encoding of a flatbuffer tensor table's `SparsityParameters`; None for a dense tensor."""
    if table is None:
        return None
    levels = []
    for i in range(table.DimMetadataLength()):
        entry = table.DimMetadata(i)
        if entry.Format() == 0:
            levels.append(Level(entry.DenseSize()))
        else:
            segments = _index_vector(entry.ArraySegmentsType(), entry.ArraySegments())
            levels.append(Level(0, segments, _index_vector(entry.ArrayIndicesType(), entry.ArrayIndices())))
    return Sparsity(_integers(table, "TraversalOrder"), _integers(table, "BlockMap"), tuple(levels))


def _index_vector(kind: int, table: Any) -> np.ndarray:
    """The values of a `SparseIndexVector` union."""
    from ai_edge_litert import schema_py_generated as schema

    classes = {1: schema.Int32Vector, 2: schema.Uint16Vector, 3: schema.Uint8Vector}
    if table is None or kind not in classes:
        return np.zeros(0, np.int64)
    vector = classes[kind]()
    vector.Init(table.Bytes, table.Pos)
    return vector.ValuesAsNumpy() if vector.ValuesLength() else np.zeros(0, np.int64)


def _integers(table: Any, name: str) -> tuple[int, ...]:
    if getattr(table, f"{name}Length")() == 0:
        return ()
    return tuple(getattr(table, f"{name}AsNumpy")().tolist())
