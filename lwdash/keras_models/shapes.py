"""Output shapes of every layer of a network: what the file states, and layer rules for the rest."""

from __future__ import annotations

from collections.abc import Iterator

from lwdash.errors import ModelRefused
from lwdash.keras_models.allowed import TF_LAMBDA_LAYERS
from lwdash.keras_models.facts import Shape
from lwdash.keras_models.layer_shapes import output_shapes
from lwdash.keras_models.network import LayerNode, Network, TensorRef
from lwdash.keras_models.operation_shapes import operation_shape

Key = tuple[str, int, int]
MOST_CALLS = 300_000
"""Calls of layers that are followed: nested models that call each other twice would double them at every level."""


def infer_shapes(network: Network) -> tuple[dict[str, Shape], dict[TensorRef, Shape]]:
    """Shapes, batch axis first, by layer path (first output of the first call), and of the network's outputs.

    Layers whose shape cannot be told are absent. Raises ModelRefused after MOST_CALLS.
    """
    found: dict[str, Shape] = {}
    tensors = _run(network, None, "", found, iter(range(MOST_CALLS)))
    outputs = {ref: shape for ref in network.outputs if (shape := _lookup(tensors, ref)) is not None}
    return found, outputs


def _run(
    network: Network,
    given: list[Shape | None] | None,
    prefix: str,
    found: dict[str, Shape],
    calls_left: Iterator[int],
) -> dict[Key, Shape]:
    """Shapes of the tensors of one network; `given` replaces the shapes of its inputs when it is nested."""
    tensors: dict[Key, Shape] = {}
    for ref in _stated(network):
        if ref.shape is not None:
            tensors.setdefault((ref.layer, ref.node, ref.tensor), ref.shape)
    if given is not None:
        for ref, shape in zip(network.inputs, given, strict=False):
            if shape is not None:
                tensors[(ref.layer, ref.node, ref.tensor)] = shape
    pending = list(network.nodes)
    while pending:  # saved order is nearly always an order of computation; a second round settles the rest
        rest = [node for node in pending if not _settle(node, tensors, prefix, found, calls_left)]
        if len(rest) == len(pending):
            break
        pending = rest
    return tensors


def _stated(network: Network) -> list[TensorRef]:
    return [ref for node in network.nodes for call in node.calls for ref in call]


def _settle(
    node: LayerNode,
    tensors: dict[Key, Shape],
    prefix: str,
    found: dict[str, Shape],
    calls_left: Iterator[int],
) -> bool:
    """Enter the outputs of all calls of `node`; True when the first one is known."""
    for position, call in enumerate(node.calls or ((),)):
        if next(calls_left, None) is None:
            raise ModelRefused(
                f"the model calls its layers more than {MOST_CALLS:,} times, nested models counted out"
            )
        if (node.name, position, 0) in tensors and node.network is None and node.class_name != "InputLayer":
            continue
        inputs = [_lookup(tensors, ref) for ref in call]
        if node.network is not None:
            given = None if any(shape is None for shape in inputs) else inputs
            inner = _run(node.network, given, f"{prefix}{node.name}/", found, calls_left)
            outputs = [_lookup(inner, ref) for ref in node.network.outputs]
        else:
            outputs = list(_outputs(node, inputs, position) or ())
        for index, shape in enumerate(outputs):
            if shape is not None:
                tensors.setdefault((node.name, position, index), shape)
    shape = tensors.get((node.name, 0, 0))
    if shape is not None and node.network is None:
        found.setdefault(prefix + node.name, shape)
    return shape is not None


def _outputs(node: LayerNode, inputs: list[Shape | None], position: int) -> list[Shape] | None:
    if not node.is_operation and node.class_name not in TF_LAMBDA_LAYERS:
        return output_shapes(node.class_name, node.config, inputs)
    known = [shape for shape in inputs if shape is not None]
    if not known or len(known) < len(inputs):
        return None
    name = (
        "getitem"
        if node.class_name == "SlicingOpLambda"
        else str(node.config.get("function", node.class_name))
    )
    options = node.options[position] if position < len(node.options) else {}
    shape = operation_shape(name, {**node.config, **options}, known)
    return None if shape is None else [shape]


def _lookup(tensors: dict[Key, Shape], ref: TensorRef) -> Shape | None:
    """Some versions of Keras 2 number the calls of a nested model from 1: take the nearest."""
    shape = tensors.get((ref.layer, ref.node, ref.tensor))
    for node in range(ref.node - 1, -1, -1):
        if shape is not None:
            break
        shape = tensors.get((ref.layer, node, ref.tensor))
    return ref.shape if shape is None else shape
