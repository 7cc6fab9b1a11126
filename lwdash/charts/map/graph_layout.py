"""Positions of boxes and lines of a directed graph without circles, from top to bottom; the same for the same input.

Layered drawing (Sugiyama, Tagawa and Toda 1981): ranks by the longest path, order within a rank by barycentres, and
horizontal positions by isotonic regression. The longest path is a straight column, so that a deep network with shortcuts
does not lean. Lines across several ranks get a place of their own in each of them.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

COLUMN_GAP, RANK_GAP = 24.0, 34.0
LINE_WIDTH = 10.0
"""Room that a line takes in a rank that it crosses."""
BOX_WEIGHT, COLUMN_WEIGHT = 8.0, 1e9
SWEEPS = 8
MAX_PLACES = 20_000
"""With more places for lines, lines go straight."""

Key = Hashable


@dataclass(frozen=True)
class GraphLayout:
    """Places of the boxes and lines of a graph, from its top left corner.

    boxes: key → (left, top). lines: for each edge, points from the source's lower side to the target's upper side.
    """

    width: float
    height: float
    boxes: Mapping[Key, tuple[float, float]]
    lines: Sequence[Sequence[tuple[float, float]]]


@dataclass
class _Cell:
    """A box, or a line's place (key None) in a rank."""

    key: Key | None
    rank: int
    width: float
    above: list[_Cell] = field(default_factory=list)
    below: list[_Cell] = field(default_factory=list)
    x: float = 0.0
    order: float = 0.0
    weight: float = 1.0
    """Resistance to a shift: lines little, boxes more, the straight column entirely."""


def laid_out(sizes: Mapping[Key, tuple[float, float]], edges: Sequence[tuple[Key, Key]]) -> GraphLayout:
    """A layout of a graph in layers, with few crossings.

    sizes: width and height of each box. Raises ValueError if the edges form a circle.
    """
    ranks = _ranks(sizes, edges)
    cells = {key: _Cell(key, ranks[key], width, weight=BOX_WEIGHT) for key, (width, _) in sizes.items()}
    rows: list[list[_Cell]] = [[] for _ in range(max(ranks.values(), default=-1) + 1)]
    for cell in cells.values():
        rows[cell.rank].append(cell)
    chains = _join(cells, rows, edges)
    _straighten(rows)
    _order(rows)
    _place(rows)
    left = min((c.x - c.width / 2 for row in rows for c in row), default=0.0)
    for row in rows:
        for cell in row:
            cell.x -= left
    tops, heights, top = [], [], 0.0
    for row in rows:
        height = max((sizes[c.key][1] for c in row if c.key is not None), default=0.0)
        tops.append(top)
        heights.append(height)
        top += height + RANK_GAP
    boxes = {
        key: (cell.x - cell.width / 2, tops[cell.rank] + (heights[cell.rank] - sizes[key][1]) / 2)
        for key, cell in cells.items()
    }
    lines = []
    for (source, target), chain in zip(edges, chains, strict=True):
        points = [(cells[source].x, boxes[source][1] + sizes[source][1])]
        for cell in chain:
            points += [(cell.x, tops[cell.rank]), (cell.x, tops[cell.rank] + heights[cell.rank])]
        lines.append([*points, (cells[target].x, boxes[target][1])])
    width = max((c.x + c.width / 2 for row in rows for c in row), default=0.0)
    return GraphLayout(width, max(0.0, top - RANK_GAP), boxes, lines)


def _ranks(sizes: Mapping[Key, object], edges: Sequence[tuple[Key, Key]]) -> dict[Key, int]:
    """The longest path to each box; a box without an input stands just above its first consumer."""
    inputs: dict[Key, list[Key]] = {key: [] for key in sizes}
    outputs: dict[Key, list[Key]] = {key: [] for key in sizes}
    for source, target in edges:
        inputs[target].append(source)
        outputs[source].append(target)
    waiting = {key: len(found) for key, found in inputs.items()}
    ready = [key for key, count in waiting.items() if count == 0]
    ranks: dict[Key, int] = {}
    for key in ready:
        ranks[key] = max((ranks[source] + 1 for source in inputs[key]), default=0)
        for target in outputs[key]:
            waiting[target] -= 1
            if waiting[target] == 0:
                ready.append(target)
    if len(ranks) < len(inputs):
        raise ValueError("the graph has a circle")
    for key in ranks:
        if not inputs[key] and outputs[key]:
            ranks[key] = max(0, min(ranks[target] for target in outputs[key]) - 1)
    return ranks


def _join(
    cells: Mapping[Key, _Cell], rows: list[list[_Cell]], edges: Sequence[tuple[Key, Key]]
) -> list[list[_Cell]]:
    """Connect the cells. Returns each edge's places between its ranks; edges from one box share them."""
    reach: dict[Key, int] = {}
    for source, target in edges:
        reach[source] = max(reach.get(source, 0), cells[target].rank - cells[source].rank - 1)
    has_room = sum(reach.values()) <= MAX_PLACES
    shared: dict[Key, list[_Cell]] = {}
    chains = []
    for source, target in edges:
        first, last = cells[source], cells[target]
        trunk = shared.setdefault(source, [])
        needed = last.rank - first.rank - 1 if has_room else 0
        while len(trunk) < needed:
            cell = _Cell(None, first.rank + 1 + len(trunk), LINE_WIDTH)
            _connect(trunk[-1] if trunk else first, cell)
            rows[cell.rank].append(cell)
            trunk.append(cell)
        _connect(trunk[needed - 1] if needed else first, last)
        chains.append(trunk[:needed])
    return chains


def _connect(upper: _Cell, lower: _Cell) -> None:
    if lower not in upper.below:
        upper.below.append(lower)
        lower.above.append(upper)


def _straighten(rows: list[list[_Cell]]) -> None:
    """Let one box of each rank resist every shift: those of a longest path."""
    cell = next((cell for cell in (rows[-1] if rows else ()) if cell.key is not None), None)
    while cell is not None:
        cell.weight = COLUMN_WEIGHT
        cell = next((above for above in cell.above if above.key is not None), None)


def _order(rows: list[list[_Cell]]) -> None:
    """Sort each rank by the mean place of the neighbours in the rank before it, downwards and upwards in turns."""
    for row in rows:
        for place, cell in enumerate(row):
            cell.order = place
    for sweep in range(SWEEPS):
        is_down = sweep % 2 == 0
        for row in rows if is_down else reversed(rows):
            wanted = {}
            for cell in row:
                near = cell.above if is_down else cell.below
                wanted[id(cell)] = sum(n.order for n in near) / len(near) if near else cell.order
            row.sort(key=lambda cell: wanted[id(cell)])
            # Places are relative to the rank's middle, so that ranks of different lengths compare.
            for place, cell in enumerate(row):
                cell.order = place - (len(row) - 1) / 2


def _place(rows: list[list[_Cell]]) -> None:
    """Move each cell near its neighbours, without overlaps and in the given order."""
    for row in rows:
        _spread(row, [0.0] * len(row))
    for sweep in range(SWEEPS):
        is_down = sweep % 2 == 0
        for row in rows if is_down else reversed(rows):
            _spread(row, [_wanted(cell, cell.above if is_down else cell.below) for cell in row])


def _wanted(cell: _Cell, near: Sequence[_Cell]) -> float:
    """0 in the straight column; else the mean of the neighbouring boxes, or of the lines where there are none."""
    if cell.weight == COLUMN_WEIGHT:
        return 0.0
    boxes = [n.x for n in near if n.key is not None] or [n.x for n in near]
    return sum(boxes) / len(boxes) if boxes else cell.x


def _spread(row: list[_Cell], wanted: Sequence[float]) -> None:
    """The positions nearest to `wanted` (weighted least squares) that keep the distances.

    Isotonic regression by pooling of adjacent violators, after subtracting the least distance to the first cell.
    """
    offsets, offset = [], 0.0
    for before, cell in zip([None, *row], row, strict=False):
        if before is not None:
            offset += (before.width + cell.width) / 2 + COLUMN_GAP
        offsets.append(offset)
    pools: list[tuple[float, float, int]] = []  # (mean, weight, cells)
    for cell, want, off in zip(row, wanted, offsets, strict=True):
        mean, weight, count = want - off, cell.weight, 1
        while pools and pools[-1][0] >= mean:
            other, heavy, many = pools.pop()
            mean = (mean * weight + other * heavy) / (weight + heavy)
            weight, count = weight + heavy, count + many
        pools.append((mean, weight, count))
    means = [mean for mean, _, count in pools for _ in range(count)]
    for cell, mean, off in zip(row, means, offsets, strict=True):
        cell.x = mean + off
