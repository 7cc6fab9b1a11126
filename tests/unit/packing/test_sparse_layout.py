"""The sparse encoding of a tensor gives back the tensor, and takes the bytes that were promised."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from lwdash.packing.sparse_layout import smallest_encoding
from lwdash.tflite.sparsity import Level, Sparsity, SparsityUnreadable


def pruned(shape: tuple[int, ...], dtype: type, zeros: float, block: int = 1) -> np.ndarray:
    """Random values of which `zeros` are 0, `block` neighbours along the first axis together."""
    chance = np.random.default_rng(0)
    values = chance.integers(1, 100, shape).astype(dtype)
    kept = np.repeat(chance.random((shape[0] // block, *shape[1:])) >= zeros, block, axis=0)
    return np.where(kept, values, 0).astype(dtype)


@given(
    st.sampled_from([np.float32, np.float16, np.int8]).flatmap(
        lambda dtype: arrays(
            dtype, array_shapes(max_dims=4, max_side=9), elements=st.sampled_from([0, 0, 0, 0, 1, 3])
        )
    )
)
def test_decoding_gives_back_the_tensor(dense: np.ndarray) -> None:
    found = smallest_encoding(dense)
    if found is not None:
        assert found.stored_bytes < dense.nbytes
        assert found.values.nbytes + found.sparsity.index_bytes == found.stored_bytes
        np.testing.assert_array_equal(found.sparsity.densified(found.values, dense.shape), dense)


@pytest.mark.parametrize(
    ("dtype", "zeros", "expected"), [(np.float32, 0.8, 0.27), (np.float16, 0.8, 0.33), (np.int8, 0.8, 0.44)]
)
def test_a_weight_takes_its_own_bytes_and_one_for_its_place(
    dtype: type, zeros: float, expected: float
) -> None:
    dense = pruned((64, 3, 3, 64), dtype, zeros)
    found = smallest_encoding(dense)
    assert found is not None
    assert found.stored_bytes / dense.nbytes < expected


def test_blocks_need_one_place_for_all_their_weights() -> None:
    dense = pruned((64, 3, 3, 64), np.int8, 0.8, block=4)
    found = smallest_encoding(dense)
    assert found is not None
    assert found.sparsity.block_map == (0,)
    assert found.stored_bytes / dense.nbytes < 0.28


def test_the_axis_with_short_lists_is_listed() -> None:
    """Places below 256 take one byte; on an axis of 1,000 they would take two."""
    found = smallest_encoding(pruned((200, 1000), np.int8, 0.8))
    assert found is not None
    assert found.sparsity.traversal_order == (1, 0)


def test_a_tensor_of_zeros_keeps_one_value() -> None:
    """LiteRT takes a tensor without bytes for one that is computed."""
    found = smallest_encoding(np.zeros((16, 16), np.float32))
    assert found is not None
    assert len(found.values) >= 1


@pytest.mark.parametrize("dense", [np.ones((8, 8), np.int8), np.float32(3.0), np.zeros((0, 3), np.int8)])
def test_what_gains_nothing_stays_dense(dense: np.ndarray) -> None:
    assert smallest_encoding(np.asarray(dense)) is None


@pytest.mark.parametrize(
    "damaged",
    [
        Sparsity((0,), (), (Level(8), Level(8))),
        Sparsity((1, 1), (), (Level(8), Level(8))),
        Sparsity((0, 1, 2), (5,), (Level(2), Level(8), Level(4))),
        Sparsity((0, 1), (), (Level(1 << 40), Level(8))),
        Sparsity((0, 1), (), (Level(8), Level(0, np.array([0, 1]), np.array([0])))),
        Sparsity((0, 1), (), (Level(1), Level(0, np.array([0, 2]), np.array([0])))),
        Sparsity((0, 1), (), (Level(2), Level(0, np.array([0, 2, 1]), np.array([0])))),
        Sparsity((0, 1), (), (Level(1), Level(0, np.array([0, 1]), np.array([8])))),
        Sparsity((0, 1), (), (Level(1), Level(0, np.array([0, 1]), np.array([-1])))),
    ],
)
def test_a_damaged_encoding_is_refused(damaged: Sparsity) -> None:
    with pytest.raises(SparsityUnreadable):
        damaged.densified(np.ones(64, np.int8), (8, 8))


def test_missing_values_are_refused() -> None:
    found = smallest_encoding(pruned((8, 8), np.float32, 0.9))
    assert found is not None
    with pytest.raises(SparsityUnreadable, match="are stored"):
        found.sparsity.densified(found.values[:-1], (8, 8))
