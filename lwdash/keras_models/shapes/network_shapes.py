"""Output shapes of every layer of a network: stated in the file, or computed by layer rules."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lwdash.errors import ModelRefused
from lwdash.keras_models.model_facts import Shape
from lwdash.keras_models.network import LayerNode, Network, TensorRef
from lwdash.keras_models.scan.layer_settings import CallOptions, LayerSettings
from lwdash.keras_models.scan.value_kinds import MAX_AXES
from lwdash.keras_models.shapes.layer_shapes import output_shapes
from lwdash.keras_models.shapes.operation_shapes import operation_shape

Key = tuple[str, int, int]
MAX_CALLS = 300_000
"""Maximum number of followed layer calls: nested models that call each other twice double them at every level."""
MAX_VALUES = 1 << 30
"""Maximum number of values in a layer's output for one row: 4 GiB as float32."""


@dataclass
class _Budget:
    """The number of calls that a model may still make. Each call costs one, and so does each tensor that it takes."""

    left: int = MAX_CALLS

    def spend(self, amount: int) -> None:
        self.left -= amount
        if self.left < 0:
            raise ModelRefused(
                f"the model calls its layers more than {MAX_CALLS:,} times, nested models counted out"
            )


def infer_shapes(network: Network) -> tuple[dict[str, Shape], dict[TensorRef, Shape]]:
    """Shapes, batch axis first, by layer path (first output of the first call), and of the network's outputs.

    Layers with unknown shapes are absent. Raises ModelRefused after MAX_CALLS, for outputs of more than
    MAX_VALUES numbers per row, and for lengths below 1.
    """
    found: dict[str, Shape] = {}
    budget = _Budget()
    tensors = _run(network, None, "", found, budget)
    outputs = {ref: shape for ref in network.outputs if (shape := _lookup(tensors, ref, budget)) is not None}
    return found, outputs


def _run(
    network: Network,
    given: list[Shape | None] | None,
    prefix: str,
    found: dict[str, Shape],
    budget: _Budget,
) -> dict[Key, Shape]:
    """Shapes of the tensors of one network; `given` replaces the shapes of its inputs when it is nested."""
    tensors: dict[Key, Shape] = {}
    stated = _stated(network)
    budget.spend(len(stated))
    for ref in stated:
        if ref.shape is not None:
            tensors.setdefault((ref.layer, ref.node, ref.tensor), ref.shape)
    if given is not None:
        for ref, shape in zip(network.inputs, given, strict=False):
            if shape is not None:
                tensors[(ref.layer, ref.node, ref.tensor)] = shape
    pending = list(network.nodes)
    while pending:  # saved order is nearly always an order of computation; a second pass resolves the rest
        rest = [node for node in pending if not _settle(node, tensors, prefix, found, budget)]
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
    budget: _Budget,
) -> bool:
    """Add the outputs of all calls of `node`; True when the first one is known."""
    for position, call in enumerate(node.calls or ((),)):
        budget.spend(1 + len(call))
        if (node.name, position, 0) in tensors and node.network is None and node.class_name != "InputLayer":
            continue
        inputs = [_lookup(tensors, ref, budget) for ref in call]
        if node.network is not None:
            given = None if any(shape is None for shape in inputs) else inputs
            inner = _run(node.network, given, f"{prefix}{node.name}/", found, budget)
            outputs = [_lookup(inner, ref, budget) for ref in node.network.outputs]
        else:
            outputs = list(_outputs(node, inputs, position) or ())
        for index, shape in enumerate(outputs):
            if shape is not None:
                _check(shape, f"layer '{prefix}{node.name}' ({node.class_name})")
                tensors.setdefault((node.name, position, index), shape)
    shape = tensors.get((node.name, 0, 0))
    if shape is not None and node.network is None:
        found.setdefault(prefix + node.name, shape)
    return shape is not None


def _outputs(node: LayerNode, inputs: list[Shape | None], position: int) -> list[Shape] | None:
    if isinstance(node.config, LayerSettings):
        return output_shapes(node.class_name, node.config, inputs)
    known = [shape for shape in inputs if shape is not None]
    if not known or len(known) < len(inputs):
        return None
    name = (
        "getitem"
        if node.class_name == "SlicingOpLambda"
        else str(node.config.known("function") or node.class_name)
    )
    options: CallOptions = node.config
    if position < len(node.options):
        options = options.with_call(node.options[position])
    shape = operation_shape(name, options, known)
    return None if shape is None else [shape]


def _check(shape: Shape, where: str) -> None:
    """Raises ModelRefused for an output shape that no layer can have."""
    lengths = [length or 1 for length in shape[1:]]
    if len(shape) > MAX_AXES:
        raise ModelRefused(f"{where} gives an array of {len(shape):,} axes; the limit is {MAX_AXES}")
    if any(length is not None and length < 1 for length in shape):
        raise ModelRefused(
            f"{where} would output an array of shape {shape[1:]}: its input is too small for its "
            "settings. Save the model again"
        )
    values = math.prod(lengths)
    if values > MAX_VALUES:
        raise ModelRefused(f"{where} gives {values:,} numbers for one row; the limit is {MAX_VALUES:,}")


def _lookup(tensors: dict[Key, Shape], ref: TensorRef, budget: _Budget) -> Shape | None:
    """Both versions of Keras number the calls of a nested model from 1: use the nearest."""
    shape = tensors.get((ref.layer, ref.node, ref.tensor))
    for node in range(ref.node - 1, -1, -1):
        if shape is not None:
            break
        budget.spend(1)
        shape = tensors.get((ref.layer, node, ref.tensor))
    return ref.shape if shape is None else shape
