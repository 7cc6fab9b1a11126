"""Rebuilds a channels_first model channels_last: the same inputs, outputs, layer names and weights.

TensorFlow Lite computes channels_last only, and TensorFlow can train only channels_last on a CPU. The graph
is replayed. Each tensor is stored in its original layout and, once a layer has requested it, with channels
last. Layers that work value by value take the available layout. So a network is transposed at its inputs and
outputs, not between its layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lwdash.keras_models.canonical.channel_layers import (
    BY_VALUE,
    in_layout,
    is_channels_first,
    layout_of,
    takes_any_layout,
    weights_in_layout,
)
from lwdash.keras_models.ports import is_network, library_of


def has_channels_first(model: Any) -> bool:
    """True if any layer with a layout (inside wrappers and nested models too) is channels_first."""
    return any(
        getattr(layer, "data_format", None) == "channels_first" and type(layer).__name__ not in BY_VALUE
        for layer in model._flatten_layers()
    )


def with_channels_last(model: Any) -> Any:
    """A channels_last copy of a Sequential or Functional model of either library, with its weights.

    Raises ValueError for a layer that has no such form here.
    """
    replay = _Replay(library_of(model))
    copy = replay.whole(model)
    for layer, twin, layout in replay.pairs:
        if twin.weights:
            twin.set_weights(weights_in_layout(layer, layout))
    return copy


class _Replay:
    """State of one conversion; twins are stored by the identity of their original, so that shared layers stay shared."""

    def __init__(self, library: Any) -> None:
        self.library = library
        self.twins: dict[int, tuple[Any, int]] = {}
        self.pairs: list[tuple[Any, Any, int]] = []

    def whole(self, model: Any) -> Any:
        inner = getattr(model, "_functional", None) or model
        tensors = _Tensors(self.library, {layer.name for layer in inner.layers})
        inputs = [self._input(tensor) for tensor in inner.inputs]
        for tensor, value in zip(inner.inputs, inputs, strict=True):
            tensors.put(tensor, 0, value)
        for node in _nodes(inner):
            self._call(node, tensors)
        outputs = [tensors.get(tensor, 0) for tensor in inner.outputs]
        return self.library.Model(
            _packed(inner, ("_inputs_struct", "_nested_inputs"), inputs),
            _packed(inner, ("_outputs_struct", "_nested_outputs"), outputs),
            name=model.name,
        )

    def _input(self, tensor: Any) -> Any:
        history = tensor._keras_history
        name = (getattr(history, "operation", None) or history.layer).name
        dtype = getattr(tensor.dtype, "name", tensor.dtype)
        if self.library.__name__ == "keras":
            return self.library.Input(batch_shape=tuple(tensor.shape), dtype=dtype, name=name)
        return self.library.Input(
            shape=tuple(tensor.shape[1:]), batch_size=tensor.shape[0], dtype=dtype, name=name
        )

    def _call(self, node: _Node, tensors: _Tensors) -> None:
        layer, sources = node.layer, node.tensors
        if hasattr(layer, "_nodes_by_depth") or getattr(layer, "_functional", None) is not None:
            twin, _ = self._twin(layer, 0, lambda: self.whole(layer))
            layouts = dict.fromkeys(map(id, [*sources, *node.outputs]), 0)
        elif is_channels_first(layer):
            twin, _ = self._layer(layer, layout_of(layer, len(sources[0].shape)), sources)
            layouts = {id(one): layout_of(layer, len(one.shape)) for one in [*sources, *node.outputs]}
        else:
            wanted = tensors.shared(sources) if takes_any_layout(layer, node.constants) else 0
            twin, layout = self._layer(layer, wanted, sources)
            layouts = dict.fromkeys(map(id, [*sources, *node.outputs]), layout)
        result = node.call(twin, lambda tensor: tensors.get(tensor, layouts[id(tensor)]))
        for tensor, value in zip(node.outputs, _flat(result), strict=False):
            tensors.put(tensor, layouts[id(tensor)], value)

    def _layer(self, layer: Any, layout: int, sources: list[Any]) -> tuple[Any, int]:
        rank = len(sources[0].shape) if sources else 0
        return self._twin(layer, layout, lambda: in_layout(layer, layout, rank))

    def _twin(self, layer: Any, layout: int, make: Callable[[], Any]) -> tuple[Any, int]:
        """The twin and its layout. A shared layer keeps the layout of its first call."""
        if id(layer) not in self.twins:
            twin = make()
            self.twins[id(layer)] = twin, layout
            if hasattr(layer, "get_weights") and not is_network(layer):
                twin.trainable = layer.trainable
                self.pairs.append((layer, twin, layout))
        return self.twins[id(layer)]


class _Tensors:
    """New tensors for those of the original graph, by layout: the axis that the channels were moved from, or 0."""

    def __init__(self, library: Any, taken: set[str]) -> None:
        self.library, self.taken = library, taken
        self.known: dict[int, dict[int, Any]] = {}

    def put(self, old: Any, layout: int, new: Any) -> None:
        self.known.setdefault(id(old), {})[layout] = new

    def get(self, old: Any, layout: int) -> Any:
        forms, rank = self.known[id(old)], len(old.shape)
        if 0 not in forms and layout not in forms:
            source = next(iter(forms))
            back = [*range(1, source), rank - 1, *range(source, rank - 1)]
            forms[0] = self._transposed(forms[source], back, "channels_back")
        if layout not in forms:
            forth = [*range(1, layout), *range(layout + 1, rank), layout]
            forms[layout] = self._transposed(forms[0], forth, "channels_last")
        return forms[layout]

    def shared(self, olds: list[Any]) -> int:
        """The layout other than 0 in which all these tensors are available; 0 if there is none, or ranks differ."""
        if len({len(old.shape) for old in olds}) != 1:
            return 0
        return max(set.intersection(*(set(self.known[id(old)]) for old in olds)))

    def _transposed(self, tensor: Any, axes: list[int], stem: str) -> Any:
        name, number = stem, 1
        while name in self.taken:
            name, number = f"{stem}_{number}", number + 1
        self.taken.add(name)
        return self.library.layers.Permute(axes, name=name)(tensor)


class _Node:
    """A call of a layer or an operation in the graph of either library."""

    def __init__(self, node: Any) -> None:
        is_keras_3 = hasattr(node, "operation")
        self.layer = node.operation if is_keras_3 else node.layer
        self.args = node.arguments.args if is_keras_3 else node.call_args
        self.kwargs: Mapping[str, Any] = node.arguments.kwargs if is_keras_3 else node.call_kwargs
        self.outputs = _flat(node.outputs)
        values = _flat((self.args, dict(self.kwargs)))
        self.tensors = [value for value in values if _is_symbolic(value)]
        self.constants = [value for value in values if not _is_symbolic(value)]

    def call(self, layer: Any, value_of: Callable[[Any], Any]) -> Any:
        import tensorflow as tf

        def fill(value: Any) -> Any:
            return value_of(value) if _is_symbolic(value) else value

        args, kwargs = tf.nest.map_structure(fill, (tuple(self.args), dict(self.kwargs)))
        return layer(*args, **kwargs)


def _nodes(model: Any) -> Iterator[_Node]:
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if not node.is_input:
                yield _Node(node)


def _is_symbolic(value: Any) -> bool:
    return hasattr(value, "_keras_history")


def _flat(structure: Any) -> list[Any]:
    import tensorflow as tf

    return list(tf.nest.flatten(structure))


def _packed(model: Any, attributes: tuple[str, str], values: list[Any]) -> Any:
    """`values` in the structure of the model's inputs or outputs: one, a list or a dictionary."""
    import tensorflow as tf

    structure = next(getattr(model, name) for name in attributes if hasattr(model, name))
    return tf.nest.pack_sequence_as(structure, values)
