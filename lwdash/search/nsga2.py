"""The NSGA-II sampler: crosses and mutates the best runs so far (Deb et al., IEEE Trans. Evol. Comput. 6, 2002).

Runs are ranked by constrained dominance: those that meet all limits first, by Pareto front in cost and loss of quality, then
by distance to their neighbours on it; the others by how far they exceed the limits.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from lwdash.recipe import Recipe
from lwdash.search.candidates import Candidates
from lwdash.search.outcomes import Outcome
from lwdash.search.space import TUNED

POPULATION = 20
"""Number of best runs that are parents."""
MUTATED_SHARE = 0.5
"""Share of children that also get one random change."""
PAIR = 2


def nsga2(candidates: Candidates, found: Sequence[Outcome], chance: np.random.Generator) -> Iterator[Recipe]:
    """Children of the best runs, without end; random recipes where fewer than two runs are in the space."""
    known = [(row, outcome) for outcome in found if (row := candidates.encode(outcome.recipe)) is not None]
    order = ranked([outcome for _, outcome in known])[:POPULATION]
    parents = [known[number][0] for number in order]
    listed = candidates.draw(0, chance) if candidates.among else None
    while True:
        if len(parents) < PAIR:
            yield candidates.decode(candidates.draw(1, chance)[0])
            continue
        child = _crossed(candidates, _winner(parents, chance), _winner(parents, chance), chance)
        if chance.random() < MUTATED_SHARE:
            near = candidates.neighbours(child)
            child = near[chance.integers(len(near))]
        if listed is not None:
            child = listed[np.abs(listed - child).sum(axis=1).argmin()]
        yield candidates.decode(child)


def ranked(found: Sequence[Outcome]) -> list[int]:
    """Indices of the outcomes, best first."""
    excess = np.array([sum(max(0.0, v) for v in o.excess.values() if not np.isnan(v)) for o in found])
    able, broken = np.flatnonzero(excess <= 0), np.flatnonzero(excess > 0)
    values = np.array([(found[int(i)].cost, -found[int(i)].quality) for i in able]).reshape(len(able), 2)
    return [
        *(int(i) for front in _fronts(values) for i in able[front]),
        *(int(i) for i in broken[np.argsort(excess[broken], kind="stable")]),
    ]


def _fronts(values: np.ndarray) -> Iterator[np.ndarray]:
    """Indices of the Pareto fronts of (points, 2), smaller is better, each ordered by falling crowding distance."""
    left = np.arange(len(values))
    while len(left):
        points = values[left]
        is_no_worse = (points[:, None] <= points).all(axis=2)
        is_beaten = (is_no_worse & (points[:, None] < points).any(axis=2)).any(axis=0)
        front = left[~is_beaten]
        yield front[np.argsort(-_crowding(values[front]), kind="stable")]
        left = left[is_beaten]


def _crowding(points: np.ndarray) -> np.ndarray:
    """The distance between the two neighbours of each point, infinite at the ends."""
    distances = np.zeros(len(points))
    for column in points.T:
        order = np.argsort(column, kind="stable")
        distances[order[[0, -1]]] = np.inf
        width = float(np.ptp(column)) or 1.0
        distances[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / width
    return distances


def _winner(parents: Sequence[np.ndarray], chance: np.random.Generator) -> np.ndarray:
    """The better of two random parents."""
    return parents[int(chance.integers(len(parents), size=PAIR).min())]


def _crossed(
    candidates: Candidates, one: np.ndarray, other: np.ndarray, chance: np.random.Generator
) -> np.ndarray:
    """A child with the format, and each technique with its choices, of either parent."""
    child = one.copy()
    groups = [
        ["format"],
        *([name, *(f"{name}.{key}" for key in TUNED[name])] for name in candidates.space.techniques),
    ]
    for names in groups:
        if chance.random() < 0.5:
            columns = [candidates.columns[name] for name in names]
            child[columns] = other[columns]
    return candidates.settled(child[None])[0]
