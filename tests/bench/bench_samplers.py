"""What each sampler of a search finds, replayed from recorded runs: the smallest gzipped file within a limit.

The tables are `fixtures/search_runs.csv` and, with strengths by layer and weights below 8 bits, `search_runs_wide.csv`; see
`record_search_runs`. Sizes are medians of ten seeds, relative to random recipes at the same number of runs.
"""

from collections.abc import Mapping
from math import isnan
from pathlib import Path
from statistics import geometric_mean, mean, median

import pytest
from record_search_runs import TABLE, WIDE_TABLE, drawn_stacks
from support.search_replay import World, best_cost, load_worlds, replay, seconds_of

from lwdash.search.proposals import SAMPLERS

BUDGETS, SEEDS, MAX_DROP, GOAL = (12, 24), range(10), 0.01, "gzip_bytes"


def found(world: World, sampler: str, budget: int) -> float:
    """Bytes of the best run within the limit, the median over seeds; one seed for a sampler without chance."""
    seeds = SEEDS[:1] if sampler == "grid" else SEEDS
    return median(
        best_cost(replay(world, GOAL, MAX_DROP, budget, sampler=sampler, seed=seed), world, GOAL)
        for seed in seeds
    )


def report(name: str, sizes: Mapping[str, float], least: float) -> None:
    cells = " | ".join(f"{sizes[s]:,.0f} ({sizes['random'] / sizes[s]:.2f})" for s in SAMPLERS)
    print(f"| {name} | {cells} | {least:,.0f} |", flush=True)


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize(
    "table", [t for t in (TABLE, WIDE_TABLE) if t.exists()], ids=lambda table: table.stem
)
def test_samplers_on_recorded_runs(table: Path, budget: int) -> None:
    """The guided sampler finds smaller files than chance on average; the rest is only reported."""
    print(f"\n{table.stem}, {budget} runs, within {MAX_DROP:.0%}: bytes (times smaller than random)")
    print(f"| network | {' | '.join(SAMPLERS)} | smallest of all recorded |")
    gains = []
    for name, world in load_worlds(table).items():
        sizes = {sampler: found(world, sampler, budget) for sampler in SAMPLERS}
        report(name, sizes, min(world.costs(GOAL, MAX_DROP).values()))
        gains.append(sizes["random"] / sizes["guided"])
    print(f"guided against random: {geometric_mean(gains):.2f}x smaller")
    assert geometric_mean(gains) > 1


@pytest.mark.parametrize("budget", BUDGETS)
def test_a_guided_search_against_recipes_drawn_from_the_whole_space(budget: int) -> None:
    """The other recipes of the wide table were chosen by hand, many near the limit, which helps the random sampler there."""
    stacks = [" + ".join(map(str, steps)) for steps in drawn_stacks()]
    gains = []
    for name, world in load_worlds(WIDE_TABLE).items():
        drawn = world.only([r for r in world.recipes if r.rpartition(" + ")[0] in stacks])
        sizes = {"guided": found(world, "guided", budget), "random": found(drawn, "random", budget)}
        gains.append(sizes["random"] / sizes["guided"])
        print(
            f"| {name} | {budget} | {len(drawn.recipes)} | {sizes['guided']:,.0f} | {sizes['random']:,.0f} "
            f"| {gains[-1]:.2f} |",
            flush=True,
        )
    print(f"guided against random draws, {budget} runs: {geometric_mean(gains):.2f}x smaller")
    assert geometric_mean(gains) > 1


@pytest.mark.parametrize("max_drop", [0.005, MAX_DROP, 0.02])
def test_stopping_hopeless_runs_finds_the_same_in_fewer_seconds(max_drop: float) -> None:
    """No run that keeps the limit is stopped; what the stopping saves of the compression is reported."""
    print(
        f"\n{max(BUDGETS)} runs within {max_drop:.1%}, mean of {len(SEEDS)} seeds; without and with stopping"
    )
    print("| network | sampler | bytes | seconds | runs beyond the limit | of these stopped |")
    for name, world in load_worlds(WIDE_TABLE).items():
        kept = world.costs(GOAL, max_drop)
        assert not [recipe for recipe in kept if world.stopped_after(recipe, max_drop)]
        for sampler in ("guided", "random"):
            sizes, seconds, beyond, stopped = [], [], 0, 0
            for stops in (False, True):
                done = [
                    replay(world, GOAL, max_drop, max(BUDGETS), sampler=sampler, seed=seed, stops_early=stops)
                    for seed in SEEDS
                ]
                sizes.append(mean(best_cost(runs, world, GOAL) for runs in done))
                seconds.append(mean(seconds_of(runs, world, max_drop, stops_early=stops) for runs in done))
                beyond = sum(outcome.recipe not in kept for runs in done for outcome in runs)
                stopped = sum(isnan(outcome.cost) for runs in done for outcome in runs)
            print(
                f"| {name} | {sampler} | {sizes[0]:,.0f}, {sizes[1]:,.0f} | {seconds[0]:.0f}, {seconds[1]:.0f} "
                f"| {beyond / len(SEEDS):.1f} | {stopped / len(SEEDS):.1f} |",
                flush=True,
            )
