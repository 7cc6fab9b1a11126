"""Sizes of a file and of its weights: gzip, Huffman code, entropy, sparsity, distinct values."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lwdash.tflite.tensor import Tensor


def gzip_bytes(data: bytes) -> int:
    """Size of `data` gzipped at level 9, without a time stamp, in bytes."""
    return len(gzip.compress(data, 9, mtime=0))


def value_counts(values: np.ndarray) -> np.ndarray:
    """Count of each distinct value, int64; any shape, integer or float. −0.0 counts as 0.0."""
    flat = np.ascontiguousarray(values).reshape(-1)
    if flat.dtype in (np.int8, np.uint8, np.bool_):
        counts = np.bincount(flat.view(np.uint8), minlength=256)
        return counts[counts > 0]
    if len(flat) == 0:
        return np.zeros(0, np.int64)
    ordered = np.sort(flat)
    edges = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1], [True])))
    return np.diff(edges)


def distinct_values(tensor: Tensor) -> int:
    """Number of different values in a stored tensor, in its stored type (integers for a quantized tensor)."""
    return len(value_counts(tensor.values()))


def entropy_bits(counts: np.ndarray) -> float:
    """−Σ pᵢ·log2 pᵢ over the distinct values, in bits per value: the lower bound for Huffman coding."""
    total = counts.sum()
    if total == 0:
        return 0.0
    share = counts / total
    return float(max(0.0, -(share * np.log2(share)).sum()))


def huffman_lengths(counts: Sequence[int] | np.ndarray) -> np.ndarray:
    """Length in bits of each value's Huffman code, in the order of `counts`. A single value gets one bit.

    Two queues over sorted counts (van Leeuwen, 1976): linear after the sort.
    """
    counts = np.asarray(counts, np.int64)
    if len(counts) < 2:
        return np.ones(len(counts), np.int64)
    order = np.argsort(counts, kind="stable")
    leaves = counts[order].tolist()
    number = len(leaves)
    weight = leaves + [0] * (number - 1)
    parent = [0] * (2 * number - 1)
    leaf, inner = 0, number
    for made in range(number, 2 * number - 1):
        for _ in range(2):
            if leaf < number and (inner >= made or weight[leaf] <= weight[inner]):
                smallest, leaf = leaf, leaf + 1
            else:
                smallest, inner = inner, inner + 1
            weight[made] += weight[smallest]
            parent[smallest] = made
    depth = [0] * (2 * number - 1)
    for node in range(2 * number - 3, -1, -1):
        depth[node] = depth[parent[node]] + 1
    lengths = np.empty(number, np.int64)
    lengths[order] = depth[:number]
    return lengths


def huffman_bytes(values: np.ndarray) -> int:
    """Size of `values` Huffman-coded, code book included, in bytes.

    values: any shape, integer or float; equal values share a code.
    The code book costs 4 bytes per distinct value plus its code length (Deep Compression, arXiv 1510.00149,
    section 4).
    """
    return huffman_bytes_of_counts(value_counts(values))


def huffman_bytes_of_counts(counts: np.ndarray) -> int:
    """Like `huffman_bytes`, computed from the count of each distinct value."""
    lengths = huffman_lengths(counts)
    bits = int((counts * lengths).sum()) + int((32 + lengths).sum())
    return -(-bits // 8)


@dataclass(frozen=True)
class TensorStatistics:
    """Compressibility of one stored tensor, or of several together."""

    values: int
    zeros: int
    distinct: int
    entropy_bits: float
    huffman_bytes: int
    stored_bytes: int

    @property
    def sparsity(self) -> float | None:
        return self.zeros / self.values if self.values else None


def tensor_statistics(tensor: Tensor) -> TensorStatistics:
    """Statistics of one stored tensor. Where a code saves nothing, its Huffman size is the stored size."""
    values = tensor.values()
    counts = value_counts(values)
    entropy = entropy_bits(counts)
    # With millions of distinct floats, the entropy bound plus the code book exceeds the tensor: skip building
    # the tree.
    is_hopeless = entropy * values.size + 33 * len(counts) > 8 * tensor.stored_bytes
    coded = tensor.stored_bytes if is_hopeless else huffman_bytes_of_counts(counts)
    return TensorStatistics(
        values=values.size,
        zeros=int(np.count_nonzero(tensor.zeros())),
        distinct=len(counts),
        entropy_bits=entropy,
        huffman_bytes=min(coded, tensor.stored_bytes),
        stored_bytes=tensor.stored_bytes,
    )
