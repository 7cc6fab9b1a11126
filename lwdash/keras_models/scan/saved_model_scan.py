"""The scan of a SavedModel's graph, function library and object graph: no operator may access files or the
network.

Works on the protobuf bytes (protobuf_wire.py). The field numbers are those of
tensorflow/core/protobuf/meta_graph.proto, graph.proto, function.proto and saved_object_graph.proto.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from lwdash.errors import ModelRefused
from lwdash.keras_models.saved_model.protobuf_wire import Message
from lwdash.keras_models.scan.allowed_operators import OPERATORS, REASONS, SAVER, SAVER_STRINGS

REGISTERED = frozenset({"tf.TrackableConstant"})
"""Classes of TensorFlow's own registry that Keras models contain: constants."""

FUNCTION_TAGS = frozenset({0x52, 0xD2, 0x4A, 0xCA})
"""First bytes of field 10 (func) and, in a list, 9, both also in their longer encoding. Attributes without
them name no function; most nodes have only such attributes.
"""

MAX_ATTRIBUTE_DEPTH = 50
WRITERS = frozenset({"SaveV2", "MergeV2Checkpoints"})


@dataclass(frozen=True)
class Node:
    """One operator of a graph or function; `functions` are those that it calls or passes on."""

    name: str
    operator: str
    inputs: tuple[str, ...]
    functions: tuple[str, ...]


@dataclass
class Graph:
    """The main graph's nodes by name, and the nodes of each function."""

    nodes: dict[str, Node] = field(default_factory=dict)
    functions: dict[str, dict[str, Node]] = field(default_factory=dict)


def scan_meta_graph(meta: Message) -> None:
    """Raises ModelRefused naming the operator and its function if `meta` (a MetaGraphDef) may do harm."""
    graph = _read_graph(meta.message(2))
    for where, nodes in _places(graph):
        for node in nodes.values():
            if node.operator not in OPERATORS | SAVER | SAVER_STRINGS:
                what = REASONS.get(node.operator, "is not on the list of safe ones")
                raise ModelRefused(
                    f"the SavedModel's {where} holds the operator {node.operator} ('{node.name}'), "
                    f"which {what}"
                )
    if meta.messages(6):
        raise ModelRefused("the SavedModel reads asset files (a vocabulary); a model may not read files")
    _check_objects(meta.message(7))
    _check_saver(graph, meta)


def _read_graph(definition: Message) -> Graph:
    graph = Graph(nodes=_nodes(definition.messages(1)))
    for function in definition.message(2).messages(1):
        graph.functions[function.message(1).text(1)] = _nodes(function.messages(3))
    return graph


def _nodes(definitions: Iterable[Message]) -> dict[str, Node]:
    nodes = {}
    for definition in definitions:
        functions = tuple(
            name
            for entry in definition.bytes_of(5)
            if not FUNCTION_TAGS.isdisjoint(entry)
            for name in _called(definition.inside(entry).message(2))
            if name
        )
        node = Node(definition.text(1), definition.text(2), tuple(definition.texts(3)), functions)
        nodes[node.name] = node
    return nodes


def _called(attribute: Message) -> Iterator[str]:
    """Names of functions in an AttrValue: `func`, or a list of them, including their own attributes."""
    pending = [(attribute, 0)]
    while pending:
        current, depth = pending.pop()
        if depth > MAX_ATTRIBUTE_DEPTH:
            raise ModelRefused(
                f"the SavedModel nests the attributes of an operator more than {MAX_ATTRIBUTE_DEPTH} deep, which "
                "TensorFlow does not: the file is damaged or forged"
            )
        for function in [*current.messages(10), *current.message(1).messages(9)]:
            yield function.text(1)
            pending += [(entry.message(2), depth + 1) for entry in function.messages(2)]


def _places(graph: Graph) -> Iterator[tuple[str, dict[str, Node]]]:
    yield "graph", graph.nodes
    for name, nodes in graph.functions.items():
        yield f"function '{name}'", nodes


def _check_objects(objects: Message) -> None:
    for entry in objects.messages(1):
        if entry.text(13) and entry.text(13) not in REGISTERED:
            raise ModelRefused(
                f"the SavedModel has an object of the registered class '{entry.text(13)}', not from Keras"
            )
        if entry.text(16):
            raise ModelRefused(
                f"the SavedModel has an object with the saver '{entry.text(16)}', not from Keras"
            )
        if entry.bytes_of(5):
            raise ModelRefused("the SavedModel has an asset file (a vocabulary); a model may not read files")


def _check_saver(graph: Graph, meta: Message) -> None:
    """Raises ModelRefused if checkpoint operators are reachable from computation or initialisation, not only
    from the saver.
    """
    roots = list(_entry_tensors(meta))
    called = _entry_functions(meta.message(7))
    for node in _reachable(graph, roots, called):
        if node.operator in SAVER:
            raise ModelRefused(
                f"the SavedModel computes with the operator {node.operator} ('{node.name}'), which reads "
                "or writes files"
            )
    restore = meta.message(3).text(3)
    for node in _reachable(graph, [restore] if restore else [], ()):
        if node.operator in WRITERS:
            raise ModelRefused(
                f"the SavedModel writes files ({node.operator} '{node.name}') while it is being restored"
            )


def _entry_tensors(meta: Message) -> Iterator[str]:
    for signature in meta.map_of(5).values():
        for tensor in signature.map_of(2).values():
            yield tensor.text(1)
    for collection in meta.map_of(4).values():  # initialisation operators among them
        yield from collection.message(1).texts(1)


def _entry_functions(objects: Message) -> Iterator[str]:
    for entry in objects.messages(1):
        yield from entry.message(6).texts(1)
        if entry.bytes_of(8):
            yield entry.message(8).text(1)


def _reachable(graph: Graph, tensors: Iterable[str], functions: Iterable[str]) -> Iterator[Node]:
    """Every node that runs when `tensors` of the main graph are computed or `functions` are called."""
    pending = [_node_name(tensor) for tensor in tensors]
    seen_nodes: set[str] = set()
    called = set(functions)
    while pending:
        name = pending.pop()
        if name in seen_nodes or name not in graph.nodes:
            continue
        seen_nodes.add(name)
        node = graph.nodes[name]
        yield node
        called.update(node.functions)
        pending.extend(_node_name(source) for source in node.inputs)
    seen_functions: set[str] = set()
    while called:
        name = called.pop()
        if name in seen_functions or name not in graph.functions:
            continue
        seen_functions.add(name)
        for node in graph.functions[name].values():
            yield node
            called.update(node.functions)


def _node_name(tensor: str) -> str:
    return tensor.removeprefix("^").split(":")[0]
