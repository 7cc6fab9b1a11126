"""The guided search against random recipes, on recorded runs of real networks, see `support/search_replay.py`."""

from statistics import median

import pytest
from support.search_replay import World, best_cost, load_worlds, replay

WORLDS = load_worlds()
MAX_DROP, SEEDS = 0.02, range(10)
MIN_SHARE_WON = 0.8
"""Four of five networks."""


def median_cost(world: World, goal: str, budget: int, sampler: str) -> float:
    """Cost of the best run within the limit, the median over seeds."""
    return median(
        best_cost(replay(world, goal, MAX_DROP, budget, sampler=sampler, seed=seed), world, goal)
        for seed in SEEDS
    )


@pytest.mark.long
@pytest.mark.parametrize(
    ("goal", "budget"), [("gzip_bytes", 12), ("gzip_bytes", 24), ("gzip_bytes", 48), ("size_bytes", 12)]
)
def test_it_beats_random_recipes_on_most_networks(goal: str, budget: int) -> None:
    found = {
        name: [median_cost(world, goal, budget, sampler) for sampler in ("guided", "random")]
        for name, world in WORLDS.items()
    }
    won = sum(guided < random for guided, random in found.values())
    assert won >= MIN_SHARE_WON * len(WORLDS), found
    assert all(guided < 1.2 * random for guided, random in found.values()), found


def test_the_recorded_runs_are_many_and_some_keep_the_limit() -> None:
    assert len(WORLDS) >= 5
    for name, world in WORLDS.items():
        costs = world.costs("gzip_bytes", MAX_DROP)
        assert len(world.recipes) > 100, name
        assert 0.2 < len(costs) / len(world.recipes) < 0.9, name
        assert min(costs.values()) < 0.2 * world.baseline["gzip_bytes"], name
