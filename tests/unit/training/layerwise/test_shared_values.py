"""Shared values that are fitted to the inputs of a layer."""

import numpy as np
import pytest

from lwdash.training.layerwise.brain_surgeon import squared_error
from lwdash.training.layerwise.shared_values import fitted
from lwdash.training.weight_sharing import group

CHANCE = np.random.default_rng(4)
WEIGHTS = CHANCE.normal(size=(1, 12, 10))
INPUTS = CHANCE.normal(size=(300, 12)) @ CHANCE.normal(size=(12, 12))
MOMENTS = (INPUTS.T @ INPUTS / 300)[None]


def test_the_outputs_change_less_than_with_k_means() -> None:
    clusters = group(WEIGHTS, 6, "linear", CHANCE)
    means = np.array([WEIGHTS[clusters == n].mean() for n in range(6)])[clusters]
    values, found = fitted(WEIGHTS, MOMENTS, clusters, np.zeros(6, int))
    assert squared_error(values - WEIGHTS, MOMENTS) < 0.7 * squared_error(means - WEIGHTS, MOMENTS)
    assert len(np.unique(values)) <= 6
    for number in np.unique(found):
        assert len(np.unique(values[found == number])) == 1


def test_zeros_stay_zero_and_count_as_one_value() -> None:
    weights = np.where(CHANCE.random(WEIGHTS.shape) < 0.5, 0, WEIGHTS)
    clusters = group(weights, 4, "linear", CHANCE)
    values, _ = fitted(weights, MOMENTS, clusters, np.zeros(4, int))
    assert (values[weights == 0] == 0).all()
    assert len(np.unique(values)) == 4


def test_a_weight_stays_in_the_code_book_of_its_channel() -> None:
    channels = np.broadcast_to(np.arange(10), (12, 10))
    clusters = group(WEIGHTS[0], 3, "density", CHANCE, channels=channels)[None]
    values, found = fitted(WEIGHTS, MOMENTS, clusters, np.arange(30) // 3)
    assert (found // 3 == channels).all()
    assert max(len(np.unique(channel)) for channel in values[0].T) <= 3
    assert squared_error(values - WEIGHTS, MOMENTS) < 0.95 * squared_error(
        fitted(WEIGHTS, np.eye(12)[None], clusters, np.arange(30) // 3)[0] - WEIGHTS, MOMENTS
    )


@pytest.mark.parametrize("moments", [np.zeros((1, 12, 12)), MOMENTS * 1e-12])
def test_inputs_of_zero_leave_finite_values(moments: np.ndarray) -> None:
    clusters = group(WEIGHTS, 5, "kmeans++", CHANCE)
    assert np.isfinite(fitted(WEIGHTS, moments, clusters, np.zeros(5, int))[0]).all()
