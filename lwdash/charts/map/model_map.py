"""The map of a file: the boxes and lines of its graph, tiles and a table of its layers, all with one quantity.

The page draws them; here they get their places, colours and texts. Parts are layers, or operators without one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from lwdash.charts.map.graph_changes import Mark, joined_mark
from lwdash.charts.map.graph_folds import Box, Level, folded
from lwdash.charts.map.graph_layout import laid_out
from lwdash.charts.map.operator_facts import flow_text
from lwdash.charts.map.treemap_tiles import tiles
from lwdash.metrics.layer_metrics import (
    QUANTITIES,
    Quantity,
    colour_of,
    joined_value,
    layer_of,
    measured_quantities,
)

MAX_LETTERS = 30
LETTER_WIDTH, HEADING_LETTER_WIDTH, LINE_HEIGHT, PADDING = 6.9, 9.0, 15.0, 9.0
"""Pixels of a box's text at scale 1; its first line is in bold capitals."""
MIN_BOX_WIDTH = 90.0
PORT_COLOURS = ("#e8edf1", "#17212b")
Rows = Sequence[Mapping[str, Any]]


def parts_of(graph: Mapping[str, Any], rows: Rows) -> list[str]:
    """The layers of a file in its order; an operator without a layer is a part by its own name."""
    named = {row["index"]: layer_of(row) for row in rows if not row.get("subgraph")}
    drawn = [named.get(node["index"], _own_name(node)) for node in graph["nodes"]]
    return list(dict.fromkeys([*drawn, *(layer_of(row) for row in rows)]))


def graph_boxes(
    graph: Mapping[str, Any],
    rows: Rows,
    quantity: Quantity,
    level: Level,
    opened: Collection[str] = (),
    marks: Mapping[int, Mark] | None = None,
) -> dict[str, Any]:
    """The graph with places: width, height, boxes and lines, JSON-able.

    graph: from `analyses.graph_data.graph_of`. rows: measured operators. marks: of the operators, by index; their colours
    and texts are drawn in place of the quantity's. Each box has its texts, its colours, its
    parts, how often it repeats, and `search`, all that can be searched for. Each line is the path of an SVG, with the
    numbers of its two boxes.
    """
    nodes = {node["index"]: node for node in graph["nodes"]}
    measured = {row["index"]: row for row in rows if not row.get("subgraph")}
    flows: dict[Any, dict[str, None]] = {}
    for edge in graph["edges"]:
        flows.setdefault(edge["from"], {})[flow_text(edge)] = None
    found = folded(graph, level, opened)
    values = {
        box.id: joined_value((measured[i] for i in box.operators if i in measured), quantity) for box in found
    }
    low, high = _range(list(values.values()))
    boxes: list[dict[str, Any]] = []
    for port in graph["ports"]:
        lines = [_short(port["name"]), flow_text(port)]
        boxes.append(_box(Box(port["id"], ()), lines, PORT_COLOURS, [], [*lines, port["name"]]))
    for box in found:
        own = [nodes[i] for i in box.operators]
        parts = list(
            dict.fromkeys(
                layer_of(measured[n["index"]]) if n["index"] in measured else _own_name(n) for n in own
            )
        )
        flow = ", ".join(flows.get(box.operators[-1], ()))
        value = values[box.id]
        types = list(dict.fromkeys(node["type"] for node in own))
        text, colours = "" if value is None else quantity.write(value), colour_of(value, low, high)
        if marks is not None:
            mark = joined_mark([marks[i] for i in box.operators])
            text, colours = mark.text, (mark.fill, mark.ink)
        lines = [*_heading(box, own, parts), *filter(None, [text, flow])]
        boxes.append(_box(box, lines, colours, parts, [*types, *parts, *lines]))
    number = {box["id"]: i for i, box in enumerate(boxes)}
    owner: dict[Any, str] = {port["id"]: port["id"] for port in graph["ports"]}
    owner |= {i: box.id for box in found for i in box.operators}
    edges = dict.fromkeys(
        (owner[edge["from"]], owner[edge["to"]])
        for edge in graph["edges"]
        if owner[edge["from"]] != owner[edge["to"]]
    )
    layout = laid_out({box["id"]: (box["width"], box["height"]) for box in boxes}, list(edges))
    for drawn in boxes:
        drawn["x"], drawn["y"] = (round(value, 1) for value in layout.boxes[drawn["id"]])
    paths = [
        {"from": number[source], "to": number[target], "path": _path(points)}
        for (source, target), points in zip(edges, layout.lines, strict=True)
    ]
    return {"width": layout.width, "height": layout.height, "boxes": boxes, "lines": paths}


def layer_tiles(rows: Rows, quantity: Quantity) -> list[dict[str, Any]]:
    """Tiles of all layers with bytes, coloured by the quantity; places in percent. Empty without bytes."""
    whole = _by_part(rows)
    sizes = {part: joined_value(own, QUANTITIES["bytes"]) or 0.0 for part, own in whole.items()}
    shown = [part for part, size in sizes.items() if size > 0]
    values = {part: joined_value(whole[part], quantity) for part in shown}
    low, high = _range(list(values.values()))
    found = []
    for part, (left, top, width, height) in zip(shown, tiles([sizes[part] for part in shown]), strict=True):
        fill, ink = colour_of(values[part], low, high)
        text = f"{sizes[part]:,.0f} B"
        if quantity.column != "bytes":
            text += f" · {quantity.write(values[part])}"
        place = [round(value, 3) for value in (left, top, width, height)]
        found.append({"part": part, "place": place, "fill": fill, "ink": ink, "text": text})
    return found


def layer_table(rows: Rows, quantity: Quantity) -> dict[str, Any]:
    """All layers with all measured quantities, the chosen one first: columns and rows of cells, JSON-able.

    A cell has its text, its value for sorting, and, of the chosen quantity, its share of the largest value.
    """
    names = [quantity.column, *(name for name in measured_quantities(rows) if name != quantity.column)]
    columns = [QUANTITIES[name] for name in names]
    table: list[dict[str, Any]] = []
    for part, own in _by_part(rows).items():
        values = [joined_value(own, column) for column in columns]
        types = ", ".join(dict.fromkeys(row["type"] for row in own))
        cells = [
            {"value": value, "text": _bare(column, value)}
            for column, value in zip(columns, values, strict=True)
        ]
        table.append({"part": part, "types": types, "cells": cells})
    largest = max((abs(row["cells"][0]["value"] or 0.0) for row in table), default=0.0)
    for row in table:
        row["share"] = abs(row["cells"][0]["value"] or 0.0) / largest if largest else 0.0
    return {"columns": [{"title": c.title, "meaning": c.meaning} for c in columns], "rows": table}


def value_range(rows: Rows, quantity: Quantity) -> tuple[str, str] | None:
    """The smallest and the largest value of the operators as text; None where none has one."""
    known = [value for value in map(quantity.of, rows) if value is not None]
    return (quantity.write(min(known)), quantity.write(max(known))) if known else None


def _by_part(rows: Rows) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(layer_of(row), []).append(row)
    return found


def _own_name(node: Mapping[str, Any]) -> str:
    return node["layer"] or f"{node['type']} {node['index']}"


def _range(values: Sequence[float | None]) -> tuple[float, float]:
    known = [value for value in values if value is not None]
    return (min(known), max(known)) if known else (0.0, 0.0)


def _bare(quantity: Quantity, value: float | None) -> str:
    """The value without its unit, which is in the column's title."""
    return "–" if value is None else f"{value:,.{quantity.digits}f}"


def _heading(box: Box, own: Sequence[Mapping[str, Any]], parts: Sequence[str]) -> list[str]:
    if box.repeats > 1:
        each = len(own) // box.repeats
        return [f"{box.repeats} × {each} operators", _short(f"{parts[0]} … {parts[-1]}")]
    if len(own) > 1:
        return [f"{len(own)} operators", _short(parts[0])]
    return [own[0]["type"], *([_short(own[0]["layer"])] if own[0]["layer"] else [])]


def _box(
    box: Box, lines: Sequence[str], colours: tuple[str, str], parts: Sequence[str], search: Sequence[str]
) -> dict[str, Any]:
    return {
        "id": box.id,
        "lines": list(lines),
        "fill": colours[0],
        "ink": colours[1],
        "parts": list(parts),
        "repeats": box.repeats,
        "is_operator": bool(box.operators),
        "search": "\n".join(dict.fromkeys(search)).lower(),
        "width": max(
            MIN_BOX_WIDTH, max(map(_line_width, range(len(lines)), lines), default=0.0) + 2 * PADDING
        ),
        "height": LINE_HEIGHT * len(lines) + 2 * PADDING,
    }


def _line_width(place: int, line: str) -> float:
    return len(line) * (LETTER_WIDTH if place else HEADING_LETTER_WIDTH)


def _short(name: str) -> str:
    """A name's end: that of a path is the layer's own."""
    return name if len(name) <= MAX_LETTERS else f"…{name[1 - MAX_LETTERS :]}"


def _path(points: Sequence[tuple[float, float]]) -> str:
    """Curves that leave and enter vertically, with an arrow's head."""
    (x, y), text = points[0], f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for right, down in points[1:]:
        middle = (y + down) / 2
        text += (
            f"V{down:.1f}"
            if abs(right - x) < 0.5
            else f"C{x:.1f} {middle:.1f} {right:.1f} {middle:.1f} {right:.1f} {down:.1f}"
        )
        x, y = right, down
    return f"{text}m-4 -6l4 6l4 -6"
