"""The guided search against random recipes, on recorded runs of real networks, see `search_replay`."""

from statistics import median

import pytest
from search_replay import best_cost, load_worlds, replay

WORLDS = load_worlds()
GOAL, MAX_DROP, SEEDS = "gzip_bytes", 0.02, range(10)
MIN_SHARE_WON = 0.8
"""Four of five networks."""


@pytest.mark.parametrize("budget", [24, 48])
def test_it_beats_random_recipes_on_most_networks(budget: int) -> None:
    """The smallest gzipped file within the limit, as the median over seeds."""
    found = {}
    for name, world in WORLDS.items():
        found[name] = [
            median(
                best_cost(replay(world, GOAL, MAX_DROP, budget, sampler=sampler, seed=seed), world, GOAL)
                for seed in SEEDS
            )
            for sampler in ("guided", "random")
        ]
    won = sum(guided < random for guided, random in found.values())
    assert won >= MIN_SHARE_WON * len(WORLDS), found


def test_the_recorded_runs_are_many_and_some_keep_the_limit() -> None:
    for name, world in WORLDS.items():
        costs = world.costs(GOAL, MAX_DROP)
        assert len(world.recipes) > 100, name
        assert 0.2 < len(costs) / len(world.recipes) < 0.9, name
        assert min(costs.values()) < 0.2 * world.baseline[GOAL], name
