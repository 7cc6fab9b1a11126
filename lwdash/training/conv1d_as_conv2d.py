"""A 1-D network as the same network in 2-D: Conv1D becomes Conv2D(1, k), since TFMOT does not quantize
Conv1D.

A curve (length, channels) is treated as an image (1, length, channels). Separable convolutions are split into
their two parts, as TFMOT itself would do, but with names that can be found again. The outputs of both models
are compared, and the weights are copied back by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lwdash.errors import BridgeRefused
from lwdash.keras_models.ports import leaf_layers

TOLERANCE = 1e-4
SMALLEST_SCALE = 1e-2

ELEMENTWISE = {
    "Activation", "ActivityRegularization", "Add", "AlphaDropout", "Average", "BatchNormalization", "Concatenate",
    "Dense", "Dropout", "ELU", "GaussianDropout", "GaussianNoise", "LeakyReLU", "Maximum", "Minimum", "Multiply",
    "ReLU", "Softmax", "Subtract", "SyncBatchNormalization", "ThresholdedReLU",
}  # fmt: skip
"""Layers that do the same on an image as on a curve, if the axis in their config moves along."""
ORDER_ONLY = {"Flatten", "Reshape"}
"""Layers that depend only on the order of the values, which the additional axis does not change."""


@dataclass(frozen=True)
class Rewritten:
    """The 2-D model, and for each original layer the layers that hold its weights, by name."""

    model: Any
    parts: Mapping[str, tuple[str, ...]]


def as_2d(model: Any, rows: Sequence[np.ndarray]) -> Rewritten:
    """A copy of a flat tf_keras model without 1-D and separable convolutions; inputs and outputs are
    unchanged.

    rows: one array per model input, (rows, *shape), for the comparison of both models' outputs.
    Raises BridgeRefused when they differ.
    """
    writer = _Rewriting()
    rewritten = writer.whole(model)
    for name, names in writer.parts.items():
        source = model.get_layer(name).get_weights()
        targets = [rewritten.get_layer(part) for part in names]
        _give(targets, source)
    inputs = list(rows) if len(rows) > 1 else rows[0]
    difference = scale = 0.0
    for a, b in zip(
        _flat(model(inputs, training=False)), _flat(rewritten(inputs, training=False)), strict=True
    ):
        difference = float(np.maximum(difference, np.abs(a - b).max(initial=0)))
        scale = max(scale, float(np.abs(a).max(initial=0)))
    if not difference <= TOLERANCE * max(scale, SMALLEST_SCALE):  # also refuses NaN
        raise BridgeRefused(
            f"the 2-D form of '{model.name}' has different outputs: they differ by up to {difference:.2g} "
            f"where the original's reach {scale:.2g}. Quantize it after training, with int8"
        )
    return Rewritten(rewritten, writer.parts)


def weights_back(
    parts: Mapping[str, tuple[str, ...]], weights: Mapping[str, Sequence[np.ndarray]], model: Any
) -> None:
    """Copy the weights of its 2-D form into `model`, a copy of the original (also nested) model, in place.

    weights: by the names of the 2-D layers, in the order of their `get_weights()`.
    """
    for path, layer in leaf_layers(model):
        if layer.weights and path in parts:
            values = [value for part in parts[path] for value in weights[part]]
            layer.set_weights([v.reshape(w.shape) for v, w in zip(values, layer.get_weights(), strict=True)])


def _give(layers: Sequence[Any], values: Sequence[np.ndarray]) -> None:
    """Distribute a layer's weights over the layers that replace it."""
    left = list(values)
    for layer in layers:
        shapes = [w.shape for w in layer.get_weights()]
        layer.set_weights([value.reshape(shape) for value, shape in zip(left, shapes, strict=False)])
        left = left[len(shapes) :]
    if left:
        raise BridgeRefused(f"{len(left)} weights of '{layers[0].name}' have no place in the 2-D form")


def _flat(outputs: Any) -> list[np.ndarray]:
    import tensorflow as tf

    return [np.asarray(value, np.float64) for value in tf.nest.flatten(outputs)]


class _Rewriting:
    """State of one run; new layers by the name of the old one, so that a shared layer stays shared."""

    def __init__(self) -> None:
        self.made: dict[str, list[Any]] = {}
        self.parts: dict[str, tuple[str, ...]] = {}
        self.raised: set[int] = set()
        self.kept: list[Any] = []

    def whole(self, model: Any) -> Any:
        import tensorflow as tf
        import tf_keras

        inputs = [
            tf_keras.Input(batch_shape=tuple(t.shape), dtype=t.dtype, name=t._keras_history.layer.name)
            for t in model.inputs
        ]
        known = {id(tensor): value for tensor, value in zip(model.inputs, inputs, strict=True)}
        for depth in sorted(model._nodes_by_depth, reverse=True):
            for node in model._nodes_by_depth[depth]:
                if not node.is_input:
                    results = tf.nest.flatten(self.call(node, known))
                    outputs = tf.nest.flatten(node.outputs)
                    known.update(zip((id(one) for one in outputs), results, strict=True))
        outputs = [self.lowered(known[id(tensor)]) for tensor in model.outputs]
        return tf_keras.Model(
            tf.nest.pack_sequence_as(model._nested_inputs, inputs),
            tf.nest.pack_sequence_as(model._nested_outputs, outputs),
            name=model.name,
        )

    def call(self, node: Any, known: Mapping[int, Any]) -> Any:
        """The new tensors for an old node, in 2-D where the layer has such a form."""
        import tensorflow as tf

        layer, kind = node.layer, type(node.layer).__name__
        mapped = tf.nest.map_structure(lambda v: known.get(id(v), v), (node.call_args, node.call_kwargs))
        tensors = [
            known[id(v)] for v in tf.nest.flatten((node.call_args, node.call_kwargs)) if id(v) in known
        ]
        if kind == "SeparableConv2D" and len(tensors) == 1:
            return self.through(layer, tensors[0], lambda: _separable(layer, flat=False), raised=False)
        if len(tensors) == 1 and _has_2d_form(layer, kind):
            makers = {"SeparableConv1D": lambda: _separable(layer, flat=True)}
            ends = kind.startswith("Global") and not layer.keepdims
            make = makers.get(kind, lambda: _twin(layer, kind))
            return self.through(layer, self.lifted(tensors[0]), make, raised=not ends)
        if kind in ORDER_ONLY:
            return self.through(layer, tensors[0], lambda: [_copy(layer)], raised=False)
        args, kwargs = mapped
        if kind in ELEMENTWISE and any(id(t) in self.raised for t in tensors) and _all_curves(node):
            args, kwargs = tf.nest.map_structure(lambda v: self.lifted(v) if _is_tensor(v) else v, mapped)
            copy = self.layers(layer, lambda: [_copy(layer, moved=True)])[0]
            return self.marked(copy(*args, **kwargs))
        args, kwargs = tf.nest.map_structure(lambda v: self.lowered(v) if _is_tensor(v) else v, mapped)
        return self.layers(layer, lambda: [_copy(layer)])[0](*args, **kwargs)

    def through(self, layer: Any, tensor: Any, make: Any, *, raised: bool) -> Any:
        for part in self.layers(layer, make):
            tensor = part(tensor)
        return self.marked(tensor) if raised else tensor

    def layers(self, layer: Any, make: Any) -> list[Any]:
        if layer.name not in self.made:
            made = make()
            for new in made:
                new.trainable = layer.trainable
            self.made[layer.name] = made
            if layer.weights:
                self.parts[layer.name] = tuple(
                    new.name
                    for new in made
                    if type(new).__name__ != "ZeroPadding2D" or new.name == layer.name
                )
        return self.made[layer.name]

    def marked(self, tensor: Any) -> Any:
        self.raised.add(id(tensor))
        self.kept.append(tensor)  # keep a reference: an id is valid only while its object exists
        return tensor

    def lifted(self, tensor: Any) -> Any:
        """(batch, length, channels) → (batch, 1, length, channels), unless it already has that form."""
        import tf_keras

        if id(tensor) in self.raised:
            return tensor
        shape = (1, *(-1 if size is None else size for size in tensor.shape[1:]))
        return self.marked(tf_keras.layers.Reshape(shape, name=self.fresh(tensor, "as_2d"))(tensor))

    def lowered(self, tensor: Any) -> Any:
        import tf_keras

        if id(tensor) not in self.raised:
            return tensor
        shape = tuple(-1 if size is None else size for size in tensor.shape[2:])
        return tf_keras.layers.Reshape(shape, name=self.fresh(tensor, "as_1d"))(tensor)

    def fresh(self, tensor: Any, what: str) -> str:
        base = f"{tensor._keras_history.layer.name}/{what}"
        self.made[base] = [*self.made.get(base, []), tensor]
        return base if len(self.made[base]) == 1 else f"{base}_{len(self.made[base])}"


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "_keras_history")


def _all_curves(node: Any) -> bool:
    """True if all inputs and outputs of a node are (batch, length, channels)."""
    import tensorflow as tf

    tensors = [v for v in tf.nest.flatten((node.call_args, node.call_kwargs, node.outputs)) if _is_tensor(v)]
    return all(tensor.shape.rank == 3 for tensor in tensors)


CURVE_LAYERS = {
    "Conv1D", "SeparableConv1D", "DepthwiseConv1D", "MaxPooling1D", "AveragePooling1D", "GlobalMaxPooling1D",
    "GlobalAveragePooling1D", "UpSampling1D", "ZeroPadding1D", "Cropping1D", "SpatialDropout1D",
}  # fmt: skip


def _has_2d_form(layer: Any, kind: str) -> bool:
    return kind in CURVE_LAYERS and getattr(layer, "data_format", "channels_last") == "channels_last"


def _copy(layer: Any, *, moved: bool = False) -> Any:
    """A new copy of the same layer; `moved`: its axis is one further, since an axis was inserted before it."""
    config = layer.get_config()
    if moved and "axis" in config:
        axis = config["axis"]
        config["axis"] = [_moved(a) for a in axis] if isinstance(axis, (list, tuple)) else _moved(axis)
    return type(layer).from_config(config)


def _moved(axis: int) -> int:
    return axis + 1 if axis >= 1 else axis


def _twin(layer: Any, kind: str) -> list[Any]:
    """The 2-D layers equivalent to a 1-D layer."""
    import tf_keras

    layers, name = tf_keras.layers, layer.name
    if kind == "Conv1D":
        kernel = _window(layer) | {"filters": layer.filters, "groups": layer.groups}
        return [*_causal(layer), layers.Conv2D(name=name, **kernel, **_same(layer, CONVOLUTION))]
    if kind == "DepthwiseConv1D":
        kernel = _window(layer, square=True) | {"depth_multiplier": layer.depth_multiplier}
        return [*_causal(layer), layers.DepthwiseConv2D(name=name, **kernel, **_same(layer, DEPTHWISE))]
    if kind in ("MaxPooling1D", "AveragePooling1D"):
        size, strides = layer.pool_size, layer.strides
        window = {"pool_size": (1, *_tuple(size)), "strides": (1, *_tuple(strides)), "padding": layer.padding}
        return [getattr(layers, kind.replace("1D", "2D"))(name=name, **window)]
    if kind.startswith("Global"):
        return [getattr(layers, kind.replace("1D", "2D"))(name=name, keepdims=layer.keepdims)]
    if kind == "UpSampling1D":
        return [layers.UpSampling2D((1, layer.size), name=name)]
    if kind == "ZeroPadding1D":
        return [layers.ZeroPadding2D(((0, 0), tuple(layer.padding)), name=name)]
    if kind == "Cropping1D":
        return [layers.Cropping2D(((0, 0), tuple(layer.cropping)), name=name)]
    return [layers.SpatialDropout2D(layer.rate, name=name)]


CONVOLUTION = (
    "activation", "use_bias", "kernel_regularizer", "bias_regularizer", "kernel_constraint", "bias_constraint",
)  # fmt: skip
DEPTHWISE = (
    "activation", "use_bias", "depthwise_regularizer", "bias_regularizer", "depthwise_constraint", "bias_constraint",
)  # fmt: skip


def _separable(layer: Any, *, flat: bool) -> list[Any]:
    """A separable convolution as its depthwise and its pointwise part; `flat`: it is a 1-D one."""
    import tf_keras

    window = (
        _window(layer, square=True)
        if flat
        else {key: getattr(layer, key) for key in ("kernel_size", "strides", "dilation_rate", "padding")}
    )
    depthwise = tf_keras.layers.DepthwiseConv2D(
        name=f"{layer.name}/depthwise",
        use_bias=False,
        depth_multiplier=layer.depth_multiplier,
        depthwise_regularizer=layer.depthwise_regularizer,
        depthwise_constraint=layer.depthwise_constraint,
        **window,
    )
    pointwise = tf_keras.layers.Conv2D(
        layer.filters,
        1,
        name=f"{layer.name}/pointwise",
        kernel_regularizer=layer.pointwise_regularizer,
        kernel_constraint=layer.pointwise_constraint,
        **_same(layer, ("activation", "use_bias", "bias_regularizer", "bias_constraint")),
    )
    return [*(_causal(layer) if flat else []), depthwise, pointwise]


def _window(layer: Any, *, square: bool = False) -> dict[str, Any]:
    """Kernel size, strides, dilation and padding; `square`: depthwise kernels take only equal strides."""
    across = (lambda value: value) if square else (lambda value: 1)
    (size,), (stride,), (dilation,) = layer.kernel_size, layer.strides, layer.dilation_rate
    return {
        "kernel_size": (1, size),
        "strides": (across(stride), stride),
        "dilation_rate": (across(dilation), dilation),
        "padding": "valid" if layer.padding == "causal" else layer.padding,
    }


def _causal(layer: Any) -> list[Any]:
    """The padding on the left that `causal` means."""
    import tf_keras

    if layer.padding != "causal":
        return []
    left = layer.dilation_rate[0] * (layer.kernel_size[0] - 1)
    return [tf_keras.layers.ZeroPadding2D(((0, 0), (left, 0)), name=f"{layer.name}/causal")]


def _same(layer: Any, keys: Sequence[str]) -> dict[str, Any]:
    return {key: getattr(layer, key) for key in keys}


def _tuple(value: Any) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)
