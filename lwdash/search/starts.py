"""The first recipes of a search: few, far apart, with strong combinations of steps among them."""

from collections.abc import Iterator, Mapping
from typing import Any

from lwdash.recipe import Recipe, Step, parse_recipe
from lwdash.search.space import BY_LAYER, Space, params_of

RUNS_PER_START = 4
"""One start per this many runs of the budget."""
LIGHT: Mapping[str, Mapping[str, Any]] = {
    "channels": {"ratio": 0.2},
    "low_rank": {"macs": 0.7},
    "prune": {"sparsity": 0.5, "scope": BY_LAYER},
    "cluster": {"clusters": 24},
    "lowbit": {"bits": 4},
    "qat": {},
}
STRONG: Mapping[str, Mapping[str, Any]] = {
    "channels": {"ratio": 0.4},
    "low_rank": {"macs": 0.5},
    "prune": {"sparsity": 0.75, "scope": BY_LAYER},
    "cluster": {"clusters": 12},
    "lowbit": {"bits": 3},
    "qat": {},
}
COMBINATIONS: tuple[tuple[tuple[str, ...], Mapping[str, Mapping[str, Any]], bool], ...] = (
    (("prune", "cluster"), STRONG, False),
    (("channels", "prune", "cluster"), LIGHT, False),
    ((), LIGHT, True),
    (("channels", "qat"), STRONG, False),
    ((), LIGHT, False),
    (("low_rank", "prune", "lowbit"), STRONG, False),
    (("channels", "low_rank"), LIGHT, False),
    (("low_rank", "prune", "cluster"), STRONG, False),
    (("prune",), LIGHT, True),
)
"""Techniques, their strengths, and True for the format with the fewest bits, False for the first format.
Techniques that a space does not have are left out.
"""


def starts(space: Space, budget: int) -> list[Recipe]:
    """At most one in four of `budget` runs, the most informative first."""
    return list(dict.fromkeys(_combined(space)))[: max(1, budget // RUNS_PER_START)]


def _combined(space: Space) -> Iterator[Recipe]:
    fewest = min(space.formats, key=lambda text: parse_recipe(text).weight_bits)
    for names, strengths, is_small in COMBINATIONS:
        steps = [Step(n, params_of(n, strengths[n])) for n in names if n in space.techniques]
        recipe = space.joined(steps, fewest if is_small else space.formats[0])
        if recipe is not None:
            yield recipe
