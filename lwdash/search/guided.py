"""The guided sampler: expected improvement under limits, from prior expectations and measured runs.

The next recipe has the largest product of expected improvement and probability of meeting every limit
(Gardner et al., "Bayesian Optimization with Inequality Constraints", ICML 2014). A recipe that is waiting or
running counts as measured, with values drawn from the prediction. So the next recipe differs from it.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np

from lwdash.recipe import Recipe
from lwdash.search.candidates import Candidates
from lwdash.search.outcomes import FAILED, Outcome
from lwdash.search.surrogate import COST, DROP, LOSS, Surrogate, Values

MAX_LEARNT = 300
"""Number of newest outcomes used for learning: the work grows with the cube of this number."""
MAX_IMAGINED = 16
"""At most this many unmeasured recipes count as waiting. The others were cancelled or are old."""
DRAWN = 600
"""Number of random candidates compared."""
LEADERS = 6
"""Number of best candidates, and of best runs so far, whose neighbours are compared too."""
CLIMBS = 2


def guided(
    candidates: Candidates,
    found: Sequence[Outcome],
    known: Collection[str],
    *,
    goal: str,
    limits: Mapping[str, float],
    chance: np.random.Generator,
    is_informed: bool = True,
) -> Iterator[Recipe]:
    """Recipes to try next, the most promising first, none of them in `known`.

    found, known: as for `proposals.propose`. goal: the column of the costs. limits: those of the excesses.
    is_informed: uses what is known of the techniques before any run.
    """
    weights = _objective(limits, chance)
    surrogate = Surrogate(candidates, goal, limits, [*weights], found[-MAX_LEARNT:], is_informed=is_informed)
    measured = {outcome.recipe for outcome in found}
    taken = set[bytes]()
    waiting = list[np.ndarray]()
    for text in sorted(known):
        row = candidates.encode(text)
        if row is not None:
            taken.add(row.tobytes())
            if text not in measured:
                waiting.append(row)
    for row in waiting[:MAX_IMAGINED]:
        surrogate.imagine(row, chance)
    rows = _pool(surrogate, weights, chance)
    rows = rows[[row.tobytes() not in taken for row in rows]]
    while len(rows):
        row = rows[_promises(surrogate, weights, rows).argmax()]
        rows = rows[(rows != row).any(axis=1)]
        surrogate.imagine(row, chance)
        yield candidates.decode(row)


def _objective(limits: Mapping[str, float], chance: np.random.Generator) -> Values:
    """Metric → weight in the objective (to be minimized): the cost if quality is limited, the loss if
    something else is.

    Without limits it is a random mixture of both; over many calls the search then finds the whole Pareto
    front.
    """
    if DROP in limits:
        return {COST: 1.0}
    if limits:
        return {LOSS: 1.0}
    share = chance.random()
    return {COST: share, LOSS: 1 - share}


def _pool(surrogate: Surrogate, weights: Values, chance: np.random.Generator) -> np.ndarray:
    """Rows to choose from: random ones, and the neighbours of the best runs so far and of the most promising rows."""
    candidates = surrogate.candidates
    able = [(_weighed(v, weights), n) for n, v in enumerate(surrogate.values) if surrogate.keeps_limits(v)]
    rows = candidates.draw(DRAWN, chance)
    promises = _promises(surrogate, weights, rows)
    leaders = [surrogate.rows[number] for _, number in sorted(able)[:LEADERS]]
    for _ in range(CLIMBS):
        leaders += list(rows[np.argsort(-promises)[:LEADERS]])
        near = np.concatenate([candidates.neighbours(row) for row in leaders])
        rows = np.concatenate([rows, near])
        promises = np.concatenate([promises, _promises(surrogate, weights, near)])
        leaders = []
    return rows


def _weighed(values: Values, weights: Values) -> float:
    return sum(weight * values[name] for name, weight in weights.items())


def _promises(surrogate: Surrogate, weights: Values, rows: np.ndarray) -> np.ndarray:
    """The logarithm of the expected improvement of each row.

    If no run meets the limits yet, the improvement over the worst run is used.
    """
    from scipy.special import log_ndtr  # slow to import; only a search needs it

    bounds = [*surrogate.limits, *([FAILED] if any(v[FAILED] > 0 for v in surrogate.values) else [])]
    predicted = surrogate.predict(rows, [*weights, *bounds])
    promise = np.zeros(len(rows))
    for name in bounds:
        mean, deviation = predicted[name]
        promise += log_ndtr(-mean / deviation)
    mean = np.sum([weight * predicted[name][0] for name, weight in weights.items()], axis=0)
    variance = np.sum([(weight * predicted[name][1]) ** 2 for name, weight in weights.items()], axis=0)
    deviation = np.sqrt(variance)
    able = [_weighed(values, weights) for values in surrogate.values if surrogate.keeps_limits(values)]
    best = min(able, default=float(np.max(mean)))
    return promise + _log_improvement((best - mean) / deviation) + np.log(deviation)


def _log_improvement(ahead: np.ndarray) -> np.ndarray:
    """The logarithm of the expected improvement for unit standard deviation; ahead: the mean's lead, in
    deviations.

    For a large negative lead, the difference of two small numbers loses precision; the first term of its
    expansion is used.
    """
    from scipy.special import ndtr

    density = -0.5 * ahead**2 - 0.5 * np.log(2 * np.pi)
    near = np.maximum(ahead, -5.0)
    direct = np.log(np.exp(-0.5 * near**2 - 0.5 * np.log(2 * np.pi)) + near * ndtr(near))
    return np.where(ahead > -5.0, direct, density - 2 * np.log(np.maximum(-ahead, 5.0)))
