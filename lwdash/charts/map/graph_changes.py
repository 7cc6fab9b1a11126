"""Operators of a file that another file lacks, or has with other number types: their texts and colours on the map."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Mark:
    """A kind of change: its text on a box, and the colours of the box and of its text."""

    text: str
    fill: str
    ink: str


SAME = Mark("", "#e8edf1", "#17212b")
OTHER_TYPES = Mark("other types", "#2a6f97", "#ffffff")
GONE = Mark("only in this file", "#b3402a", "#ffffff")
ADDED = Mark("only in this file", "#1b7a4b", "#ffffff")
SEVERAL = Mark("partly changed", "#4f3f91", "#ffffff")


def operator_marks(
    graph: Mapping[str, Any], rows: Rows, other: Mapping[str, Any], other_rows: Rows, *, only: Mark
) -> dict[int, Mark]:
    """Mark of each operator of `graph`, by its index. rows: measured operators of the same file. only: for those that the
    other file lacks.

    Operators of one Keras layer are matched by their type, in order; those of no layer with each other.
    """
    theirs: dict[Any, list[tuple[str, ...]]] = {}
    for node, types in _with_types(other, other_rows):
        theirs.setdefault((node["layer"], node["type"]), []).append(types)
    marks = {}
    for node, types in _with_types(graph, rows):
        left = theirs.get((node["layer"], node["type"]), [])
        marks[node["index"]] = only if not left else SAME if left.pop(0) == types else OTHER_TYPES
    return marks


def joined_mark(marks: Collection[Mark]) -> Mark:
    """The mark of a box with several operators."""
    found = set(marks)
    return found.pop() if len(found) == 1 else SEVERAL


def _with_types(graph: Mapping[str, Any], rows: Rows) -> list[tuple[Mapping[str, Any], tuple[str, ...]]]:
    """The operators in order, each with the number types of its outputs and of its weights."""
    outputs: dict[Any, dict[str, None]] = {}
    for edge in graph["edges"]:
        outputs.setdefault(edge["from"], {})[edge["dtype"]] = None
    weights = {row["index"]: row.get("weight_dtype") or "" for row in rows if not row.get("subgraph")}
    nodes = sorted(graph["nodes"], key=lambda node: node["index"])
    return [(n, (*outputs.get(n["index"], ()), weights.get(n["index"], ""))) for n in nodes]
