"""Ranks to choose from: each costs more operations than the one before and changes the layer's outputs less."""

from itertools import pairwise

import numpy as np

from lwdash.training.low_rank_factors import MAX_CHOICES, best_choices, macs_of


def test_choices_grow_in_operations_and_fall_in_error() -> None:
    chance = np.random.default_rng(5)
    kernel = chance.normal(size=(9, 12, 16)).astype("float32")
    inputs = chance.normal(size=(400, 9 * 12)) * np.geomspace(1, 0.01, 9 * 12)
    moments = inputs.T @ inputs / len(inputs)
    weights = kernel.reshape(-1, 16).astype(np.float64)
    found = best_choices(weights, moments, kernel, 1)
    assert 2 < len(found) <= MAX_CHOICES
    costs = [macs_of(one, 1) for one in found]
    assert costs == sorted(costs)
    assert costs[-1] < kernel.size
    errors = [np.square(inputs @ (one.product().reshape(weights.shape) - weights)).sum() for one in found]
    assert all(after < before for before, after in pairwise(errors))
