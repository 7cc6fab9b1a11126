"""What can be read of the axes that a figure has."""

from itertools import pairwise
from typing import Any


def names_apart(figure: Any) -> int:
    """How many axes parallel coordinates have, none of whose names covers another's."""
    names = figure.locator(".parcoords .axis-title")
    spans = sorted((box["x"], box["x"] + box["width"]) for box in (one.bounding_box() for one in names.all()))
    assert all(left[1] < right[0] for left, right in pairwise(spans)), spans
    assert len(spans) > 2
    return len(spans)
