"""What each sampler of a search finds, replayed from recorded runs: the smallest gzipped file within a limit.

The tables are `fixtures/search_runs.csv` and, with strengths by layer and weights below 8 bits, `search_runs_wide.csv`; see
`record_search_runs`. Sizes are medians of ten seeds, relative to random recipes at the same number of runs.
"""

from collections.abc import Mapping
from pathlib import Path
from statistics import geometric_mean, median

import pytest
from record_search_runs import TABLE, WIDE_TABLE
from support.search_replay import World, best_cost, load_worlds, replay

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
