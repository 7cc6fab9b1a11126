"""The choice of one option for each layer under a limit on their costs."""

from itertools import product

import numpy as np
import pytest

from lwdash.training.least_noise import least_noise


@pytest.mark.parametrize("seed", range(5))
def test_it_finds_the_least_noise_of_all_choices_within_the_budget(seed: int) -> None:
    chance = np.random.default_rng(seed)
    costs = [list(chance.uniform(1, 9, count)) for count in (3, 4, 2, 3)]
    noises = [list(chance.uniform(0, 1, len(own))) for own in costs]
    every = list(product(*(range(len(own)) for own in costs)))

    def total(values: list[list[float]], chosen: tuple[int, ...]) -> float:
        return sum(own[i] for own, i in zip(values, chosen, strict=True))

    for budget in (12.0, 16.0, 24.0, 40.0):
        allowed = [chosen for chosen in every if total(costs, chosen) <= budget]
        if allowed:
            found = tuple(least_noise(costs, noises, budget))
            assert total(costs, found) <= budget + 1e-6
            assert total(noises, found) == pytest.approx(
                min(total(noises, chosen) for chosen in allowed), abs=1e-6
            )


def test_where_the_budget_is_too_small_the_cheapest_choices_are_taken() -> None:
    assert least_noise([[5.0, 2.0], [3.0, 3.0]], [[0.0, 1.0], [0.4, 0.2]], 1.0) == [1, 1]
