"""Rectangles of a treemap, as nearly square as possible, in percent of its area."""

from collections.abc import Sequence

Tile = tuple[float, float, float, float]
"""left, top, width, height in percent."""


def tiles(values: Sequence[float], *, aspect: float = 1.6) -> list[Tile]:
    """One tile per value, in the order of the values; areas are proportional to them. Values must be positive.

    aspect: width of the whole divided by its height. Squarified treemap (Bruls, Huizing and van Wijk 2000): rows are
    filled with the largest values as long as that makes their tiles more square.
    """
    order = sorted(range(len(values)), key=lambda i: (-values[i], i))
    total = sum(values)
    if not total:
        return [(0.0, 0.0, 0.0, 0.0)] * len(values)
    areas = [values[i] / total * aspect for i in order]
    left, top, width, height = 0.0, 0.0, aspect, 1.0
    placed: dict[int, Tile] = {}
    start = 0
    while start < len(areas):
        side = min(width, height)
        end = start + 1
        while end < len(areas) and _worst(areas[start : end + 1], side) <= _worst(areas[start:end], side):
            end += 1
        depth = sum(areas[start:end]) / side if side else 0.0
        along = 0.0
        for place in range(start, end):
            length = areas[place] / depth if depth else 0.0
            x, y, w, h = (
                (left, top + along, depth, length) if width >= height else (left + along, top, length, depth)
            )
            placed[order[place]] = (100 * x / aspect, 100 * y, 100 * w / aspect, 100 * h)
            along += length
        if width >= height:
            left, width = left + depth, width - depth
        else:
            top, height = top + depth, height - depth
        start = end
    return [placed[i] for i in range(len(values))]


def _worst(areas: Sequence[float], side: float) -> float:
    """The largest ratio of sides of tiles with these areas in one row along `side`."""
    depth = sum(areas) / side
    return max(max(depth * depth / area, area / (depth * depth)) for area in areas)
