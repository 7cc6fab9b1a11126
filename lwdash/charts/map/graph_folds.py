"""Folding of a file's graph: operators into layers, and repeated blocks into one box with its count.

A box holds operators that follow one another in the file. The file lists operators in an order of execution, so that a
path which leaves such a box cannot return to it, and the folded graph has no circle.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

OPERATORS: Final = "operators"
LAYERS: Final = "layers"
BLOCKS: Final = "blocks"
Level = Literal["operators", "layers", "blocks"]
MAX_OPERATORS_UNFOLDED = 60
"""Larger graphs are folded at first."""


@dataclass(frozen=True)
class Box:
    """A box of the map: an operator, a folded block, or a port of the model.

    operators: their indices, in order; empty for an input or output of the model. repeats: above 1 for a folded
    block, whose operators are those of all its repetitions.

    id: of its first operator at its level, so that it is the same after other boxes were opened.
    """

    id: str
    operators: tuple[int, ...]
    repeats: int = 1


def default_level(graph: Mapping[str, Any]) -> Level:
    return OPERATORS if len(graph["nodes"]) <= MAX_OPERATORS_UNFOLDED else BLOCKS


def folded(graph: Mapping[str, Any], level: Level, opened: Collection[str] = ()) -> list[Box]:
    """All boxes of the operators, in order. opened: ids of blocks that stay unfolded.

    graph: from `analyses.graph_data.graph_of`.
    """
    nodes = sorted(graph["nodes"], key=lambda node: node["index"])
    if level == OPERATORS:
        return [Box(str(node["index"]), (node["index"],)) for node in nodes]
    layers: list[list[Any]] = []
    for node in nodes:
        if layers and node["layer"] and layers[-1][-1]["layer"] == node["layer"]:
            layers[-1].append(node)
        else:
            layers.append([node])
    boxes = [Box(f"layer:{group[0]['index']}", tuple(node["index"] for node in group)) for group in layers]
    return boxes if level == LAYERS else _with_blocks(boxes, graph, opened)


def _with_blocks(boxes: list[Box], graph: Mapping[str, Any], opened: Collection[str]) -> list[Box]:
    kinds = _kinds(boxes, graph)
    found: list[Box] = []
    for start, length, repeats in repeated_blocks(kinds):
        if repeats == 1:
            found.append(boxes[start])
            continue
        whole = boxes[start : start + length * repeats]
        block = Box(
            f"block:{whole[0].operators[0]}", tuple(i for box in whole for i in box.operators), repeats
        )
        found.extend(whole if block.id in opened else [block])
    return found


def _kinds(boxes: Sequence[Box], graph: Mapping[str, Any]) -> list[Any]:
    """Properties that make two boxes alike: the types of their operators, and how far before them their inputs are."""
    types = {node["index"]: node["type"] for node in graph["nodes"]}
    place = {index: i for i, box in enumerate(boxes) for index in box.operators}
    back: list[set[int]] = [set() for _ in boxes]
    for edge in graph["edges"]:
        if edge["from"] in place and edge["to"] in place:
            distance = place[edge["to"]] - place[edge["from"]]
            if distance:
                back[place[edge["to"]]].add(distance)
    return [
        (tuple(types[i] for i in box.operators), tuple(sorted(b))) for box, b in zip(boxes, back, strict=True)
    ]


def repeated_blocks(kinds: Sequence[Any]) -> list[tuple[int, int, int]]:
    """(start, length, repeats) of blocks that cover the sequence; those that do not repeat have length 1.

    From the left, the repetition that covers most elements is taken, of several the shortest block. Worth folding:
    blocks of two elements three times, or of three elements twice.
    """
    count = len(kinds)
    number = {kind: i for i, kind in enumerate(dict.fromkeys(kinds))}
    coded = [number[kind] for kind in kinds]
    # For each length: how many elements from here on equal the element one length later.
    best: list[tuple[int, int, int]] = [(0, 0, 1)] * count  # (covered, -length, repeats) at each start
    for length in range(2, count // 2 + 1):
        same = 0
        for start in range(count - length - 1, -1, -1):
            same = same + 1 if coded[start] == coded[start + length] else 0
            repeats = 1 + same // length
            if repeats >= (3 if length == 2 else 2):
                best[start] = max(best[start], (length * repeats, -length, repeats))
    found, start = [], 0
    while start < count:
        covered, length, repeats = best[start]
        found.append((start, -length, repeats) if covered else (start, 1, 1))
        start += max(1, covered)
    return found
