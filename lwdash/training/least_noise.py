"""One choice for each layer under a limit on their costs: the integer program behind everything that is chosen by layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MAX_SECONDS = 10.0
COST_WEIGHT = 1e-9
"""Of two choices with the same noise the cheaper one is taken."""


def least_noise(
    costs: Sequence[Sequence[float]], noises: Sequence[Sequence[float]], budget: float
) -> list[int]:
    """The index of each layer's choice: the least sum of noises whose costs are at most `budget` together.

    costs, noises: by layer, one element a choice, at least one. Where nothing is that cheap, the cheapest choices.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    cheapest = [
        min(range(len(own)), key=lambda i: (own[i], of_layer[i]))
        for own, of_layer in zip(costs, noises, strict=True)
    ]
    if budget <= sum(map(min, costs)):
        return cheapest
    ends = np.cumsum([len(own) for own in costs])
    cost, noise = np.concatenate(costs), np.concatenate(noises)
    objective = noise / max(float(noise.max()), 1e-300) + COST_WEIGHT * cost / max(float(cost.max()), 1.0)
    one_each = np.zeros((len(costs), len(cost)))
    for layer, (end, own) in enumerate(zip(ends, costs, strict=True)):
        one_each[layer, end - len(own) : end] = 1
    found = milp(
        objective,
        integrality=np.ones(len(cost)),
        bounds=Bounds(0, 1),
        constraints=[LinearConstraint(one_each, 1, 1), LinearConstraint(cost[None] / budget, -np.inf, 1.0)],
        options={"time_limit": MAX_SECONDS},
    )
    if found.x is None:
        return cheapest
    return [int(part.argmax()) for part in np.split(found.x, ends[:-1])]
