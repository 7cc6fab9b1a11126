"""Rounding of one kernel: never worse than min-max by its own measure, over the whole range, zeros kept."""

import numpy as np
import pytest

from lwdash.quantize.rounding.weight_rounding import Rounded, compensated, least_squares

LIMIT = 7
SHAPES = [(1, 6, 40), (1, 5, 100), (8, 1, 9)]


def kernel(shape: tuple[int, int, int], *, zeros: float = 0.0) -> np.ndarray:
    generator = np.random.default_rng(sum(shape))
    weights = generator.standard_t(3, shape)
    return np.where(generator.random(shape) < zeros, 0.0, weights)


def moments(shape: tuple[int, int, int]) -> np.ndarray:
    """Of correlated inputs, as in a network."""
    groups, _, inputs = shape
    generator = np.random.default_rng(1)
    samples = generator.normal(size=(groups, 300, inputs)) @ generator.normal(size=(groups, inputs, inputs))
    return samples.transpose(0, 2, 1) @ samples / 300


def minmax(weights: np.ndarray, is_shared: bool) -> np.ndarray:
    scales = np.abs(weights).max(axis=None if is_shared else 2, keepdims=True) / LIMIT
    return np.rint(weights / scales) * scales


def squared(difference: np.ndarray, second: np.ndarray) -> float:
    return float(np.sum(difference * (difference @ second)))


@pytest.mark.parametrize("is_shared", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_least_squares_is_better_than_min_max(shape: tuple[int, int, int], is_shared: bool) -> None:
    weights = kernel(shape)
    found = least_squares(weights, LIMIT, is_shared=is_shared)
    errors = [np.sum((weights - values) ** 2) for values in (found.values, minmax(weights, is_shared))]
    assert errors[0] < errors[1]


@pytest.mark.parametrize("is_shared", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_compensation_reduces_the_error_of_the_outputs(shape: tuple[int, int, int], is_shared: bool) -> None:
    weights, second = kernel(shape), moments(shape)
    found = compensated(weights, second, LIMIT, is_shared=is_shared)
    plain = least_squares(weights, LIMIT, is_shared=is_shared)
    errors = [squared(weights - one.values, second) for one in (found, plain)]
    assert errors[0] < (0.7 if shape[2] > 9 else 0.95) * errors[1]


@pytest.mark.parametrize("zeros", [0.0, 0.6])
@pytest.mark.parametrize("is_shared", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_whole_range_is_used_and_zeros_stay(
    shape: tuple[int, int, int], is_shared: bool, zeros: float
) -> None:
    weights = kernel(shape, zeros=zeros)
    for found in (
        least_squares(weights, LIMIT, is_shared=is_shared),
        compensated(weights, moments(shape), LIMIT, is_shared=is_shared),
    ):
        assert np.array_equal(found.integers, np.rint(found.integers))
        largest = np.abs(found.integers).max(axis=None if is_shared else 2)
        is_empty = ~weights.any(axis=None if is_shared else 2)
        assert np.all(np.where(is_empty, 0, LIMIT) == largest)
        assert not found.integers[weights == 0].any()
        assert (
            np.array_equal(found.scales, np.broadcast_to(found.scales[:, :1], found.scales.shape))
            or not is_shared
        )


def test_an_empty_channel_and_dead_inputs_are_no_obstacle() -> None:
    weights, second = kernel((1, 4, 20)), moments((1, 4, 20))
    weights[0, 2] = 0
    second[:, 5], second[:, :, 5] = 0, 0
    found: Rounded = compensated(weights, second, LIMIT, is_shared=False)
    assert np.isfinite(found.values).all()
    assert not found.integers[0, 2].any()
