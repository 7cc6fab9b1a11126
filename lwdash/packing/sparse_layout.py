"""The smallest sparse encoding of one tensor: which axis lists its positions, in which blocks, on how many levels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lwdash.tflite.sparsity import Level, Sparsity

BLOCK_SIZES = (1, 2, 4, 8, 16)
"""Blocks divide the axis of outputs, that of inputs, or both: pruning makes blocks there."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """A tensor in sparse form: its encoding, and the values that it stores, flat, in the dtype of the dense tensor."""

    sparsity: Sparsity
    values: np.ndarray

    @property
    def stored_bytes(self) -> int:
        return self.values.nbytes + self.sparsity.index_bytes


def smallest_encoding(dense: np.ndarray) -> Encoded | None:
    """The sparse encoding that takes the fewest bytes; None where a dense tensor takes fewer, indices included.

    dense: any rank from 1, float or integer, as stored. −0.0 is left out like 0.0.
    """
    if dense.ndim == 0 or dense.size == 0:
        return None
    occupied = dense != 0
    best: tuple[int, _Layout] | None = None
    for layout in _layouts(dense.shape):
        size = _stored_bytes(occupied, layout, dense.itemsize)
        if best is None or size < best[0]:
            best = size, layout
    if best is None or best[0] >= dense.nbytes:
        return None
    encoded = _encode(dense, occupied, best[1])
    return encoded if encoded.stored_bytes < dense.nbytes else None


@dataclass(frozen=True)
class _Layout:
    """One way to store a tensor sparsely.

    listed: the axes that list positions, one or two, the last of them innermost. blocks: block size by axis.
    """

    listed: tuple[int, ...]
    blocks: tuple[int, ...]


def _layouts(shape: tuple[int, ...]) -> Iterator[_Layout]:
    rank = len(shape)
    for blocks in _blockings(shape):
        for axis in range(rank):
            if shape[axis] // blocks[axis] > 1:
                yield _Layout((axis,), blocks)
                for outer in range(rank):
                    if outer != axis and shape[outer] // blocks[outer] > 1:
                        yield _Layout((outer, axis), blocks)


def _blockings(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    first, last = 0, len(shape) - 1
    for a in BLOCK_SIZES:
        for b in BLOCK_SIZES if last != first else (1,):
            if shape[first] % a or shape[last] % b or (a > 1 and b > 1 and a * b > BLOCK_SIZES[-1]):
                continue
            blocks = [1] * len(shape)
            blocks[first] = a
            if last != first:
                blocks[last] = b
            yield tuple(blocks)


def _grid(values: np.ndarray, layout: _Layout) -> np.ndarray:
    """`values` as (dense axes together, outer listed axis or 1, listed axis, values of a block)."""
    rank = values.ndim
    split = [
        part
        for axis in range(rank)
        for part in (values.shape[axis] // layout.blocks[axis], layout.blocks[axis])
    ]
    rest = [axis for axis in range(rank) if axis not in layout.listed]
    order = [2 * axis for axis in (*rest, *layout.listed)]
    inner = [2 * axis + 1 for axis in range(rank)]
    moved = values.reshape(split).transpose(order + inner)
    sizes = [values.shape[axis] // layout.blocks[axis] for axis in layout.listed]
    outer = sizes[0] if len(sizes) == 2 else 1
    return moved.reshape(math.prod(moved.shape[: len(rest)]), outer, sizes[-1], math.prod(layout.blocks))


def _stored_bytes(occupied: np.ndarray, layout: _Layout, itemsize: int) -> int:
    """Bytes of values and lists in this layout, without making them."""
    grid = _grid(occupied, layout)
    used = grid.any(axis=3) if grid.shape[3] > 1 else grid[..., 0]
    count, rows = int(np.count_nonzero(used)), used.shape[0] * used.shape[1]
    size = count * (grid.shape[3] * itemsize + _index_width(used.shape[2] - 1))
    if len(layout.listed) == 2:
        kept = int(np.count_nonzero(np.any(used, axis=2)))
        size += kept * _index_width(used.shape[1] - 1) + (used.shape[0] + 1) * _index_width(kept)
        rows = kept
    return size + (rows + 1) * _index_width(count)


def _encode(dense: np.ndarray, occupied: np.ndarray, layout: _Layout) -> Encoded:
    grid = _grid(dense, layout)
    used = np.any(_grid(occupied, layout), axis=3)
    used[0, 0, 0] |= not np.any(used)  # LiteRT takes a tensor without bytes for one that is computed
    rank = dense.ndim
    rest = [axis for axis in range(rank) if axis not in layout.listed]
    levels = [Level(dense.shape[axis] // layout.blocks[axis]) for axis in rest]
    if len(layout.listed) == 2:
        rows_used = np.any(used, axis=2)
        levels.append(_listed(rows_used))
        levels.append(_listed(used[rows_used]))
    else:
        levels.append(_listed(used[:, 0]))
    block_axes = [axis for axis in range(rank) if layout.blocks[axis] > 1]
    levels += [Level(layout.blocks[axis]) for axis in block_axes]
    order = (*rest, *layout.listed, *range(rank, rank + len(block_axes)))
    return Encoded(Sparsity(order, tuple(block_axes), tuple(levels)), grid[used].reshape(-1))


def _listed(used: np.ndarray) -> Level:
    """A level that lists the True positions of each row of `used`, (rows, positions)."""
    counts = used.sum(axis=1)
    segments = np.concatenate([[0], np.cumsum(counts)])
    return Level(0, _narrow(segments), _narrow(np.nonzero(used)[1]))


def _narrow(values: np.ndarray) -> np.ndarray:
    width = _index_width(int(values.max(initial=0)))
    return values.astype({1: np.uint8, 2: np.uint16, 4: np.int32}[width])


def _index_width(largest: int) -> int:
    return 1 if largest < 1 << 8 else 2 if largest < 1 << 16 else 4
