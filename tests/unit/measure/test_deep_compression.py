"""Deep Compression's accounting against codes made by hand, and against a decoder."""

import numpy as np
import pytest
from support.measure_models import Model

from lwdash.measure.deep_compression import code_kernel, decode, deep_compression, encode
from lwdash.tflite.reader import read_tflite


def dense(values: np.ndarray) -> bytes:
    model = Model()
    x = model.tensor("x", (1, values.shape[1]))
    w = model.tensor("net/dense/MatMul", values.shape, data=values.astype(np.float32))
    y = model.tensor("net/dense/Out", (1, values.shape[0]))
    model.operator("FULLY_CONNECTED", [x, w], [y], table="FullyConnectedOptions", keepNumDims=False)
    return model.build([x], [y])


def test_a_distance_counts_the_zeros_skipped_and_fillers_bridge_long_ones() -> None:
    values = np.array([0, 0, 0, 5, 7, 0, 0, 0, 0, 0, 0, 9], np.float32)
    gaps, entries = encode(values, 0, 2)
    assert gaps.tolist() == [3, 0, 3, 2]
    assert entries.tolist() == [5, 7, 0, 9]
    assert decode(gaps, entries, 2, 0, values.size).tolist() == values.tolist()


@pytest.mark.parametrize("bits", [0, 1, 3, 8])
@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.95, 1.0])
def test_decoding_gives_back_the_same_weights(bits: int, sparsity: float) -> None:
    chance = np.random.default_rng(7)
    values = chance.integers(1, 9, 3000).astype(np.float32)
    values[chance.random(values.size) < sparsity] = 0
    gaps, entries = encode(values, 0, bits)
    assert np.array_equal(decode(gaps, entries, bits, 0, values.size), values)
    assert bits == 0 or gaps.max(initial=0) < 2**bits


def test_bits_and_bytes_of_a_kernel_worked_out_by_hand() -> None:
    values = np.zeros((4, 64), np.float32)
    values.flat[::4] = np.where(np.arange(64) % 4 == 0, 2.0, 1.0)  # every 4th kept: 16 twos, 48 ones
    facts = read_tflite(dense(values))
    coded = code_kernel(next(t for t in facts.subgraphs[0].tensors if t.name.endswith("MatMul")))
    assert (coded.weights, coded.kept) == (256, 0.25)
    assert (coded.weight_bits, coded.index_bits) == (
        1,
        2,
    )  # two values; the distance is 3 zeros, but for the first
    assert coded.pq_bytes == (64 * (1 + 2) + 2 * 32) // 8
    # one bit a value with a book of 2 × (32 + 1) bits; distances 0 (once) and 3: one bit with a book of 2 × (2 + 1)
    assert coded.pqh_bytes == -(-(64 + 66 + 64 + 6) // 8)


def test_totals_count_every_parameter_and_all_that_is_stored() -> None:
    chance = np.random.default_rng(1)
    values = chance.choice([0.0, 0.5, -0.25], (32, 100), p=[0.9, 0.05, 0.05])
    whole = deep_compression(read_tflite(dense(values)), ["dense"])
    (kernel,) = whole["kernels"]
    assert kernel["layer"] == "dense"
    assert whole["total"]["float_bytes"] == 4 * 3200
    assert whole["total"]["pqh_bytes"] == kernel["pqh_bytes"] + whole["others_bytes"]
    entropy = -(0.9 * np.log2(0.9) + 0.1 * np.log2(0.05)) * 3200 / 8
    assert entropy < kernel["pqh_bytes"] < 1.4 * entropy


def test_weights_that_are_all_different_are_counted_as_they_are_stored() -> None:
    values = np.random.default_rng(0).normal(size=(8, 50)).astype(np.float32)
    (kernel,) = deep_compression(read_tflite(dense(values)))["kernels"]
    assert (kernel["weight_bits"], kernel["index_bits"], kernel["pqh_bytes"]) == (32, 0, 1600)
