"""Sizes and statistics of weights against zlib, SciPy and a textbook Huffman tree."""

from __future__ import annotations

import heapq
import zlib

import numpy as np
import pytest
from scipy import stats
from support.measure_models import Model

from lwdash.measure.size import (
    entropy_bits,
    gzip_bytes,
    huffman_bytes,
    huffman_lengths,
    tensor_statistics,
    value_counts,
)
from lwdash.tflite.reader import read_tflite


def test_gzip_bytes_is_zlib_level_9_with_a_gzip_frame():
    data = b"lwdash " * 500
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    assert gzip_bytes(data) == len(compressor.compress(data) + compressor.flush())


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.float32])
def test_value_counts_are_numpys(dtype):
    values = np.random.default_rng(0).integers(0, 50, (40, 7)).astype(dtype)
    np.testing.assert_array_equal(
        np.sort(value_counts(values)), np.sort(np.unique(values, return_counts=True)[1])
    )


def test_minus_zero_is_zero():
    assert value_counts(np.array([0.0, -0.0, 1.0], np.float32)).tolist() == [2, 1]


def test_entropy_is_scipys():
    counts = np.array([5, 1, 9, 3])
    assert entropy_bits(counts) == pytest.approx(stats.entropy(counts, base=2))
    assert entropy_bits(np.array([7])) == 0.0


def test_huffman_by_hand():
    # a×5, b×2, c×1: codes of 1, 2 and 2 bits. 5·1 + 2·2 + 1·2 = 11 bits, book 3·32 + 5 = 101 bits; 112 bits.
    assert huffman_bytes(np.array([0, 0, 0, 0, 0, 1, 1, 2], np.int8)) == 14
    # One value only: 1 bit each (8 bits), book 33 bits; 41 bits.
    assert huffman_bytes(np.full(8, 3.5, np.float32)) == 6
    assert huffman_bytes(np.zeros(0, np.int8)) == 0


@pytest.mark.parametrize("seed", range(20))
def test_code_lengths_cost_as_little_as_a_textbook_tree(seed):
    generator = np.random.default_rng(seed)
    counts = generator.integers(1, 1000, generator.integers(2, 300))
    heap, cost = [int(c) for c in counts], 0
    heapq.heapify(heap)
    while len(heap) > 1:
        joined = heapq.heappop(heap) + heapq.heappop(heap)
        cost += joined
        heapq.heappush(heap, joined)
    lengths = huffman_lengths(counts)
    assert (counts * lengths).sum() == cost
    assert (2.0 ** -lengths.astype(float)).sum() == 1.0  # a full prefix code


def test_statistics_of_a_quantized_tensor_count_the_zero_point_as_zero():
    stored = np.array([[3, 3, 3, 4], [3, 0, 3, 5]], np.int8)
    model = Model()
    x, y = model.tensor("x", (1, 4)), model.tensor("y", (1, 2))
    w = model.tensor("w", (2, 4), "int8", stored, scale=0.1, zero_point=3)
    model.operator("FULLY_CONNECTED", [x, w, -1], [y])
    statistics = tensor_statistics(read_tflite(model.build([x], [y])).subgraphs[0].tensors[w])
    assert (statistics.values, statistics.zeros, statistics.distinct) == (8, 5, 4)
    assert statistics.sparsity == 5 / 8
    assert (
        statistics.huffman_bytes == statistics.stored_bytes == 8
    )  # a code book would cost more than it saves
