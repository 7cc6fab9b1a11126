"""The recipes that a search begins with: few, far apart, and strong combinations of steps among them."""

from collections.abc import Iterator, Mapping
from typing import Any

from lwdash.errors import RecipeError
from lwdash.recipe import Recipe, Step, make_recipe, parse_recipe
from lwdash.search.space import Space
from lwdash.techniques import TECHNIQUES

RUNS_PER_START = 4
"""A search spends one in so many of its runs on starts."""
LIGHT: Mapping[str, Mapping[str, Any]] = {
    "channels": {"ratio": 0.2},
    "low_rank": {"energy": 0.9},
    "prune": {"sparsity": 0.5},
    "cluster": {"clusters": 24},
    "qat": {},
}
STRONG: Mapping[str, Mapping[str, Any]] = {
    "channels": {"ratio": 0.4},
    "low_rank": {"energy": 0.8},
    "prune": {"sparsity": 0.75},
    "cluster": {"clusters": 12},
    "qat": {},
}
COMBINATIONS: tuple[tuple[tuple[str, ...], Mapping[str, Mapping[str, Any]], bool], ...] = (
    (("prune", "cluster"), STRONG, False),
    (("channels", "prune", "cluster"), LIGHT, False),
    ((), LIGHT, True),
    (("channels", "qat"), STRONG, False),
    ((), LIGHT, False),
    (("channels", "low_rank"), LIGHT, False),
    (("low_rank", "prune", "cluster"), STRONG, False),
    (("prune",), LIGHT, True),
)
"""Techniques, their strengths, and whether the format with the fewest bits follows, or else the first one. Techniques
that a space does not have are left out."""


def starts(space: Space, budget: int) -> list[Recipe]:
    """At most one in four of `budget` runs, the most telling first."""
    return list(dict.fromkeys(_combined(space)))[: max(1, budget // RUNS_PER_START)]


def _combined(space: Space) -> Iterator[Recipe]:
    fewest = min(space.formats, key=_bits)
    for names, strengths, is_small in COMBINATIONS:
        steps = [Step(n, TECHNIQUES[n].Params(**strengths[n])) for n in names if n in space.techniques]
        try:
            yield make_recipe(*steps, *parse_recipe(fewest if is_small else space.formats[0]).steps)
        except RecipeError:  # a training for another number format
            continue


def _bits(text: str) -> float:
    """Bits of a weight, as far as the format's parameters say; 8 for all others."""
    return float(getattr(parse_recipe(text).steps[-1].params, "bits", 8))
