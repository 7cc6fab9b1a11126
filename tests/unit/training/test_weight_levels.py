"""Few levels for weights: their number, their form, and the error against every other choice of a scale."""

import itertools

import numpy as np
import pytest

from lwdash.training.weight_levels import make_grid, make_rounding


def weights(channels: int = 5, count: int = 60, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(
        0, [[0.1 * (k + 1)] for k in range(channels)], (channels, count)
    )


@pytest.mark.parametrize("spacing", ["even", "powers", "sums"])
@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_a_channel_has_no_more_values_than_the_bits_name(bits, spacing):
    given = weights().astype("float32")
    values, _ = make_rounding(bits, spacing)(given, None)
    assert values.dtype == given.dtype
    assert max(len(np.unique(channel)) for channel in values) <= 2**bits
    assert ((values - given) ** 2).sum() < (given**2).sum()


def test_even_levels_are_the_same_multiples_in_every_channel():
    values, _ = make_rounding(3, "even")(weights(), None)
    steps = values / np.abs(values).max(axis=1, keepdims=True) * 3
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-9)


def test_powers_are_powers_of_two_of_the_largest():
    values, _ = make_rounding(4, "powers")(weights(), None)
    used = np.abs(values) / np.abs(values).max(axis=1, keepdims=True)
    exponents = np.log2(used[used > 0])
    np.testing.assert_allclose(exponents, np.round(exponents), atol=1e-9)
    assert exponents.min() >= -6


def test_one_bit_is_the_sign_times_the_mean_size():
    given = weights()
    values, _ = make_rounding(1, "even")(given, None)
    expected = np.sign(given) * np.abs(given).mean(axis=1, keepdims=True)
    np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_no_scale_of_ternary_weights_is_clearly_better():
    given = weights()
    values, _ = make_rounding(2, "even")(given, None)
    found = ((values - given) ** 2).sum(axis=1)
    for channel, error in zip(given, found, strict=True):
        size = np.abs(channel)
        tried = [
            ((size - scale * (size > scale / 2)) ** 2).sum()
            for scale in np.linspace(0.05, 1, 200) * size.max()
        ]
        assert error <= 1.02 * min(tried)


def test_sums_of_two_signs_are_nearly_the_best_that_can_be():
    given = weights(channels=2, count=30)
    values, _ = make_rounding(2, "sums")(given, None)
    found = ((values - given) ** 2).sum(axis=1)
    for channel, error in zip(given, found, strict=True):
        grid = np.linspace(0, np.abs(channel).max(), 40)
        best = min(
            (np.abs(channel[:, None] - np.array([a + b, a - b, b - a, -a - b])) ** 2).min(axis=1).sum()
            for a, b in itertools.combinations(grid, 2)
        )
        assert error <= 1.25 * best


def test_levels_that_were_rounded_once_stay():
    for bits, spacing in ((1, "even"), (2, "even"), (3, "even"), (3, "powers"), (2, "sums")):
        rounding = make_rounding(bits, spacing)
        values, scales = rounding(weights(), None)
        again, _ = rounding(values, scales)
        np.testing.assert_allclose(again, values, rtol=1e-5)


def test_a_channel_of_zeros_stays_zero():
    given = weights()
    given[2] = 0
    for spacing in ("even", "powers", "sums"):
        values, _ = make_rounding(2, spacing)(given, None)
        assert np.isfinite(values).all()
        np.testing.assert_allclose(values[2], 0, atol=1e-12)


def test_eight_bits_take_their_scale_from_the_largest_weight() -> None:
    weights = np.random.default_rng(4).normal(size=(3, 50))
    values, _ = make_grid(8)(weights, None)
    steps = values / np.abs(weights).max(axis=1, keepdims=True) * 127
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-9)
    assert np.abs(values - weights).max() <= np.abs(weights).max() / 254 + 1e-12


def test_few_bits_keep_their_first_scale() -> None:
    weights = np.random.default_rng(4).normal(size=(3, 50))
    rounding = make_grid(4)
    values, scales = rounding(weights, None)
    assert len(np.unique(values[0])) <= 15
    again, kept = rounding(2 * weights, scales)
    np.testing.assert_array_equal(kept, scales)
    np.testing.assert_allclose(np.abs(again).max(axis=1), scales[:, 0])


def test_a_scale_for_some_channels() -> None:
    weights = np.random.default_rng(4).normal(size=(4, 50)) * np.array([[1], [9], [1], [1]])
    values, scales = make_grid(8, scales=2)(weights, None)
    assert scales.shape == (2, 1)
    assert values.shape == weights.shape
    steps = values / np.repeat(scales, 2, axis=0) * 127
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-9)
