"""Estimates of a sparse file's size, and the number formats that it can have."""

import numpy as np
import pytest

from lwdash.techniques.sparse import can_store, expected_share


@pytest.mark.parametrize(
    ("format", "bits", "expected"),
    [
        ("float32", 32, True),
        ("float16", 16, True),
        ("int8", 8, True),
        ("dynamic", 8, False),
        ("weight_only", 4, False),
    ],
)
def test_formats_with_sparse_kernels_or_a_densify_can_be_stored(
    format: str, bits: int, expected: bool
) -> None:
    assert can_store(format, bits) is expected


def test_the_share_counts_the_index_of_each_weight_that_is_left() -> None:
    assert expected_share(0.2, 32.0) == pytest.approx(0.25)
    assert expected_share(0.2, 8.0) == pytest.approx(0.4)
    shares = expected_share(np.array([0.2, 0.6]), np.array([8.0, 8.0]))
    np.testing.assert_allclose(shares, [0.4, 1.2])
