"""Parameters of a SavedModel, counted in its object graph (saved_object_graph.proto)."""

from __future__ import annotations

import math
from typing import Any

from lwdash.errors import ModelRefused
from lwdash.keras_models.network import Network
from lwdash.keras_models.saved_model.protobuf_wire import Message
from lwdash.keras_models.scan.value_kinds import MAX_AXES

MAX_SIZE = 1 << 40
"""Maximum number of elements of one variable, more than any file holds."""


def variable_size(entry: Message) -> int | None:
    """Elements of the variable that a SavedObject is; None for other objects."""
    if not entry.bytes_of(7):
        return None
    lengths = [max(0, dimension.number(1)) for dimension in entry.message(7).message(2).messages(2)]
    size = math.prod(lengths) if len(lengths) <= MAX_AXES else MAX_SIZE + 1
    if size > MAX_SIZE:
        raise ModelRefused(
            f"the SavedModel declares a variable of {len(lengths)} axes and more than {MAX_SIZE:,} numbers: the file is "
            "damaged or forged"
        )
    return size


def layer_counts(
    network: Network, records: list[dict[str, Any]], objects: list[Message], sizes: list[int | None]
) -> dict[str, int]:
    """Parameters by layer path: a layer's object in the object graph owns the variables below it."""
    # A node index beyond the object graph refers to nothing.
    children = [
        [
            (child.text(2), index)
            for child in entry.messages(1)
            if 0 <= (index := child.number(1)) < len(objects)
        ]
        for entry in objects
    ]
    if not children:
        return {}
    ids = {record["id"] for record in records}
    counts: dict[str, int] = {}
    _count(network, 0, "", records, children, sizes, ids, counts)
    return counts


def _count(
    network: Network,
    owner: int,
    prefix: str,
    records: list[dict[str, Any]],
    children: list[list[tuple[str, int]]],
    sizes: list[int | None],
    ids: set[int],
    counts: dict[str, int],
) -> None:
    by_id = {record["id"]: str(record["metadata"].get("name")) for record in records}
    inside = {
        by_id[target]: target
        for name, target in children[owner]
        if name.startswith("layer") and target in by_id
    }
    for node in network.nodes:
        target = inside.get(node.name)
        path = prefix + node.name
        if node.network is not None and target is not None:
            _count(node.network, target, path + "/", records, children, sizes, ids, counts)
        else:
            counts[path] = 0 if target is None else _owned(target, children, sizes)


def _owned(start: int, children: list[list[tuple[str, int]]], sizes: list[int | None]) -> int:
    """Elements of all variables below an object, without internal variables of Keras and of random generators."""
    total, seen, pending = 0, {start}, [start]
    while pending:
        for name, target in children[pending.pop()]:
            if target in seen or name in ("keras_api", "_random_generator") or target >= len(sizes):
                continue
            seen.add(target)
            total += sizes[target] or 0
            pending.append(target)
    return total


def all_parameters(objects: list[Message], sizes: list[int | None]) -> int:
    """Elements of the model's variables, without those of the optimizer.

    Keras 3's `export` stores each variable twice and lists the model's own below "variables".
    """
    if not objects:
        return 0
    top = {child.text(2): child.number(1) for child in objects[0].messages(1)}
    if "variables" in top:
        chosen = _below(objects, top["variables"])
    else:
        chosen = set(range(len(objects)))
        if "optimizer" in top:
            chosen -= _below(objects, top["optimizer"])
    return sum(sizes[index] or 0 for index in chosen)


def _below(objects: list[Message], start: int) -> set[int]:
    """Indices of the objects reachable from `start`."""
    found: set[int] = set()
    pending = [start]
    while pending:
        index = pending.pop()
        if index not in found and 0 <= index < len(objects):
            found.add(index)
            pending += [child.number(1) for child in objects[index].messages(1)]
    return found
