"""Positions for points that lie on each other: side by side, around the place that they share."""

from collections.abc import Sequence

STEP = 15.0
"""Distance of two neighbours, in pixels: a little more than the width of a marker."""
NEAR = 4.0
"""Points that are nearer to each other in both directions, in pixels, hide each other."""


def side_by_side(at: Sequence[tuple[float, float]], ends: Sequence[int]) -> list[float]:
    """The horizontal shift of each point in pixels; 0 for one that lies alone.

    at: pixels from the top left. ends: −1 for a point that should be the leftmost of its group, such as one with a name
    to its left, 1 for the rightmost, else 0.
    """
    shifts = [0.0] * len(at)
    left = list(range(len(at)))
    while left:
        first = left[0]
        group = [i for i in left if all(abs(a - b) < NEAR for a, b in zip(at[i], at[first], strict=True))]
        left = [i for i in left if i not in group]
        for place, i in enumerate(sorted(group, key=lambda i: ends[i])):
            shifts[i] = STEP * (place - (len(group) - 1) / 2)
    return shifts
