"""The Pareto front: points that no other point beats in both quantities."""

import math
from collections.abc import Sequence


def pareto(
    x: Sequence[float], y: Sequence[float], *, is_more_x_better: bool, is_more_y_better: bool
) -> list[bool]:
    """Boolean per point: True if no other point is at least as good in both and better in one of the two."""
    pairs = [
        (-a if is_more_x_better else a, b if is_more_y_better else -b) for a, b in zip(x, y, strict=True)
    ]
    order = sorted(range(len(pairs)), key=lambda i: (pairs[i][0], -pairs[i][1]))
    front, highest = set(), -math.inf
    for i in order:
        if pairs[i][1] > highest:
            highest = pairs[i][1]
            front.add(pairs[i])
    return [pair in front for pair in pairs]
