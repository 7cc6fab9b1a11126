"""Positions for the names of points, without overlaps."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LETTER, LINE = 6.6, 15.0
"""Average width of a letter, and height of a line, at 12 pixels."""
AWAY = 9.0
"""Distance from a point's centre to its name."""
MARKER, RING = 6.0, 14.0
"""Half of the width of a marker, and of a ring around one."""
ABOVE = 6.0
"""Distance of a name's lower edge from the centre of a point below it."""
PLACES = {
    "top right": (1, -1), "bottom right": (1, 1), "top left": (-1, -1), "bottom left": (-1, 1),
    "top center": (0, -1), "bottom center": (0, 1),
}  # fmt: skip
"""plotly's textposition → direction of the name relative to its point."""


@dataclass(frozen=True)
class Label:
    """A name for a point, in pixels from the top left; the lowest `rank` is placed first."""

    key: Hashable
    text: str
    x: float
    y: float
    rank: tuple[Any, ...]


@dataclass(frozen=True)
class _Box:
    left: float
    top: float
    right: float
    bottom: float

    def hits(self, other: "_Box") -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


def place(
    labels: Sequence[Label],
    size: tuple[float, float],
    points: Sequence[tuple[float, float]] = (),
    rings: Sequence[tuple[float, float]] = (),
) -> Mapping[Hashable, tuple[str, str]]:
    """Key → (text, place) for names that have room within `size`. Points at the same position share one name:
    `int8 +2`.

    points, rings: positions of markers, and of rings around them, that names must not cover; a name may touch the ring of
    its own point.
    """
    width, height = size
    taken = [_Box(x - MARKER, y - MARKER, x + MARKER, y + MARKER) for x, y in points]
    ringed = {(x, y): _Box(x - RING, y - RING, x + RING, y + RING) for x, y in rings}
    placed: dict[Hashable, tuple[str, str]] = {}
    shared: dict[Hashable, int] = {}
    at = {label.key: label for label in labels}
    for label in sorted(labels, key=lambda one: one.rank):
        near = next((k for k in shared if _is_near(at[k], label)), None)
        if near is not None:
            shared[near] += 1
            continue
        others = [box for place, box in ringed.items() if place != (label.x, label.y)]
        for name in PLACES:
            box = _box(label, name)
            is_inside = (
                box.left >= -40 and box.right <= width + 12 and box.top >= -12 and box.bottom <= height
            )
            if is_inside and not any(box.hits(other) for other in (*taken, *others)):
                taken.append(box)
                placed[label.key] = (label.text, name)
                shared[label.key] = 0
                break
    return {
        key: (f"{text} +{shared[key]}" if shared[key] else text, name) for key, (text, name) in placed.items()
    }


def _is_near(one: Label, other: Label) -> bool:
    return abs(one.x - other.x) < 8 and abs(one.y - other.y) < 8


def _box(label: Label, name: str) -> _Box:
    across, along = PLACES[name]
    width = LETTER * (len(label.text) + 3)
    left = label.x + AWAY if across > 0 else label.x - AWAY - width if across < 0 else label.x - width / 2
    top = label.y - LINE - ABOVE if along < 0 else label.y + ABOVE
    if across == 0:
        top += -AWAY + ABOVE if along < 0 else AWAY - ABOVE
    return _Box(left, top, left + width, top + LINE)
