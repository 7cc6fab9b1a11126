"""Groups of channels that can only be removed together, found by following every tensor's last axis through
the graph.

Each channel that a layer creates has a number. Every tensor is described by the numbers along its last axis.
An addition makes numbers equal, a concatenation puts them side by side, a flattening repeats them. Equal
channels are removed together. A channel that reaches an output or an unknown layer is not removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lwdash.keras_models.scan.allowed_classes import names

DENSE = frozenset({"Dense"})
CONVOLUTIONS = names(
    "Conv1D Conv2D Conv3D Conv1DTranspose Conv2DTranspose Conv3DTranspose SeparableConv1D SeparableConv2D"
)
DEPTHWISE = names("DepthwiseConv1D DepthwiseConv2D")
MAKERS = DENSE | CONVOLUTIONS | {"Embedding"}
"""Layers that create channels, and so can be made narrower."""
CHANNELWISE = names(
    """
    Activation ReLU LeakyReLU ELU ThresholdedReLU PReLU BatchNormalization Dropout SpatialDropout1D SpatialDropout2D
    SpatialDropout3D GaussianNoise GaussianDropout AlphaDropout ActivityRegularization Rescaling
    MaxPooling1D MaxPooling2D MaxPooling3D AveragePooling1D AveragePooling2D AveragePooling3D
    GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
    GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D
    ZeroPadding1D ZeroPadding2D ZeroPadding3D Cropping1D Cropping2D Cropping3D UpSampling1D UpSampling2D UpSampling3D
    Resizing CenterCrop RepeatVector
    """
)
"""Layers that compute each channel from that channel alone."""
MERGES = names("Add Subtract Multiply Average Maximum Minimum")
RESHAPES = names("Flatten Reshape")
ELEMENTWISE = names(
    """
    linear relu relu6 elu selu celu gelu sigmoid hard_sigmoid log_sigmoid tanh hard_tanh tanh_shrink swish silu hard_silu
    softplus softsign exponential leaky_relu mish squareplus soft_shrink hard_shrink sparse_plus sparse_sigmoid threshold
    """
)


@dataclass(frozen=True)
class LayerChannels:
    """The channel numbers of a layer's input and output along the last axis."""

    layer: Any
    inputs: np.ndarray
    outputs: np.ndarray


class ChannelGraph:
    """The channels of a tf_keras model in one level (`flatten_model`)."""

    def __init__(self, model: Any, fixed: Callable[[str], str | None]):
        """fixed: reason why the layer of this name must keep its channels, or None."""
        import tensorflow as tf

        self.layers: dict[str, LayerChannels] = {}
        self._parents: list[int] = []
        self._reasons: dict[int, str] = {}
        self._fixed = fixed
        self._known: dict[int, np.ndarray] = {}
        for tensor in model.inputs:
            width = int(tensor.shape[-1] or 1) if tensor.shape.rank > 1 else 1
            self._known[id(tensor)] = self._pinned(width, f"tied to the model's input '{_layer_of(tensor)}'")
        for depth in sorted(model._nodes_by_depth, reverse=True):
            for node in model._nodes_by_depth[depth]:
                if not node.is_input:
                    self._call(node)
        for tensor in tf.nest.flatten(model.outputs):
            for root in self.roots(self._known[id(tensor)]):
                self._reasons[int(root)] = "its channels are an output of the model"

    def roots(self, numbers: np.ndarray) -> np.ndarray:
        """One number for all channels that are removed together."""
        return np.array([self._root(int(number)) for number in numbers], np.int64)

    def reason(self, root: int) -> str | None:
        """Reason why these channels cannot be removed."""
        return self._reasons.get(root)

    def makers(self) -> Iterator[LayerChannels]:
        return (c for c in self.layers.values() if type(c.layer).__name__ in MAKERS)

    def groups(self) -> list[list[LayerChannels]]:
        """Layers whose channels are coupled, directly or through each other, in the order of the model."""
        leaders: dict[int, int] = {}
        groups: dict[int, list[LayerChannels]] = {}
        for number, channels in enumerate(self.makers()):
            members = [channels]
            for root in self._free(channels):
                earlier = leaders.get(root)
                if earlier is not None and earlier in groups:
                    members = groups.pop(earlier) + members
            groups[number] = members
            for member in members:
                leaders.update((root, number) for root in self._free(member))
        return list(groups.values())

    def _free(self, channels: LayerChannels) -> set[int]:
        return {int(root) for root in self.roots(channels.outputs) if self.reason(int(root)) is None}

    def _call(self, node: Any) -> None:
        import tensorflow as tf

        layer, kind = node.layer, type(node.layer).__name__
        inputs = [t for t in tf.nest.flatten(node.call_args) if id(t) in self._known]
        others = [t for t in tf.nest.flatten(node.call_kwargs) if id(t) in self._known]
        outputs = tf.nest.flatten(node.outputs)
        makes = None if others else self._output_numbers(layer, kind, inputs, outputs[0])
        if makes is None:
            for tensor in (*inputs, *others):
                self._pin(self._known[id(tensor)], f"'{layer.name}' ({kind}) needs all its input channels")
            for tensor in outputs:
                width = int(tensor.shape[-1] or 1) if tensor.shape.rank else 1
                self._known[id(tensor)] = self._pinned(
                    width, f"tied to the output of '{layer.name}' ({kind})"
                )
            return
        self._known[id(outputs[0])] = makes
        used = self._known[id(inputs[0])]
        earlier = self.layers.get(layer.name)
        if earlier and (layer.weights or kind == "Reshape") and kind != "Embedding":
            self._unite(earlier.inputs, used)
        self.layers.setdefault(layer.name, LayerChannels(layer, used, makes))

    def _output_numbers(self, layer: Any, kind: str, inputs: list[Any], output: Any) -> np.ndarray | None:
        """Channel numbers of the output; None for an unknown layer, or an unknown use of it."""
        if not inputs or getattr(layer, "data_format", None) == "channels_first":
            return None
        used = [self._known[id(tensor)] for tensor in inputs]
        if kind == "Concatenate":
            return self._concatenated(layer, inputs, used)
        if kind in MERGES:
            return self._merged(inputs, used)
        if len(inputs) > 1:
            return None
        if kind in RESHAPES:
            return _reshaped(inputs[0], used[0], output)
        if not _is_elementwise(getattr(layer, "activation", None)):
            return self._elementwise_numbers(layer, kind)
        if kind in DEPTHWISE:
            return np.repeat(used[0], layer.depth_multiplier)
        if kind in MAKERS:
            return self._new_numbers(layer, kind)
        if kind == "BatchNormalization":
            return used[0] if list(layer.axis) == [inputs[0].shape.rank - 1] else None
        if kind == "Rescaling":
            return used[0] if np.ndim(layer.scale) == np.ndim(layer.offset) == 0 else None
        return used[0] if kind in CHANNELWISE else None

    def _new_numbers(self, layer: Any, kind: str) -> np.ndarray | None:
        if kind in CONVOLUTIONS and getattr(layer, "groups", 1) != 1:
            return None
        if layer.name in self.layers:
            return self.layers[layer.name].outputs
        width = {"Dense": "units", "Embedding": "output_dim"}.get(kind, "filters")
        numbers = self._numbers(getattr(layer, width))
        reason = self._fixed(layer.name)
        if reason:
            self._pin(numbers, reason)
        return numbers

    def _elementwise_numbers(self, layer: Any, kind: str) -> np.ndarray | None:
        """A softmax compares all channels: the layer keeps its own, but its input channels may still be removed."""
        if kind not in MAKERS:
            return None
        numbers = self._new_numbers(layer, kind)
        if numbers is not None:
            self._pin(
                numbers, f"its activation {_activation_name(layer.activation)} compares all its channels"
            )
        return numbers

    def _concatenated(self, layer: Any, inputs: list[Any], used: list[np.ndarray]) -> np.ndarray | None:
        rank = inputs[0].shape.rank
        if layer.axis % rank == rank - 1:
            return np.concatenate(used)
        for other in used[1:]:
            self._unite(used[0], other)
        return used[0]

    def _merged(self, inputs: list[Any], used: list[np.ndarray]) -> np.ndarray | None:
        if len({tensor.shape.rank for tensor in inputs}) > 1:
            return None
        width = max(map(len, used))
        whole = [numbers for numbers in used if len(numbers) == width]
        for other in whole[1:]:
            self._unite(whole[0], other)
        return whole[0]

    def _numbers(self, count: int) -> np.ndarray:
        first = len(self._parents)
        self._parents.extend(range(first, first + count))
        return np.arange(first, first + count)

    def _pinned(self, count: int, reason: str) -> np.ndarray:
        numbers = self._numbers(count)
        self._pin(numbers, reason)
        return numbers

    def _pin(self, numbers: np.ndarray, reason: str) -> None:
        for number in np.unique(numbers):
            self._reasons.setdefault(self._root(int(number)), reason)

    def _root(self, number: int) -> int:
        while self._parents[number] != number:
            self._parents[number] = self._parents[self._parents[number]]
            number = self._parents[number]
        return number

    def _unite(self, numbers: np.ndarray, others: np.ndarray) -> None:
        for number, other in zip(numbers, others, strict=True):
            one, two = sorted((self._root(int(number)), self._root(int(other))))
            if one != two:
                self._parents[two] = one
                if two in self._reasons:
                    self._reasons.setdefault(one, self._reasons[two])


def _reshaped(tensor: Any, used: np.ndarray, output: Any) -> np.ndarray | None:
    """Numbers along the new last axis, if each of its positions holds one channel only."""
    before, after = tensor.shape[1:].as_list(), output.shape[1:].as_list()
    if None in (*before, *after) or not before or not after:
        return None
    places = np.broadcast_to(used, before).reshape(-1, after[-1])
    return places[0] if (places == places[0]).all() else None


def _is_elementwise(activation: Any) -> bool:
    return activation is None or _activation_name(activation) in ELEMENTWISE


def _activation_name(activation: Any) -> str:
    return str(getattr(activation, "__name__", type(activation).__name__))


def _layer_of(tensor: Any) -> str:
    return str(tensor._keras_history.layer.name)


def narrow(
    channels: LayerChannels, takes: np.ndarray, makes: np.ndarray
) -> tuple[dict, Sequence[np.ndarray]]:
    """Config and weights of a layer that keeps the marked input and output channels (bool)."""
    layer, kind = channels.layer, type(channels.layer).__name__
    weights = layer.get_weights()
    if kind in RESHAPES:
        return {} if kind == "Flatten" else {
            "target_shape": _target(layer.target_shape, int(makes.sum()))
        }, weights
    if kind in DEPTHWISE:
        kernel, *bias = weights
        return {}, [kernel[..., takes, :], *(values[makes] for values in bias)]
    if kind in MAKERS:
        width = {"Dense": "units", "Embedding": "output_dim"}.get(kind, "filters")
        return {width: int(makes.sum())}, _narrow_kernels(kind, weights, takes, makes)
    return {}, [values if values.shape[-1] == 1 else values[..., takes] for values in weights]


def silence(channels: LayerChannels, takes: np.ndarray) -> Sequence[np.ndarray] | None:
    """The weights of a layer that ignores input channels outside `takes`; None for a layer that mixes no channels."""
    kind = type(channels.layer).__name__
    if kind not in DENSE | CONVOLUTIONS:
        return None
    kernels = channels.layer.get_weights()
    mixing = 1 if kind.startswith("Separable") else 0
    kept = np.repeat(takes, kernels[1].shape[-2] // len(takes)) if mixing else takes
    place = (..., ~kept) if kind.endswith("Transpose") else (..., ~kept, slice(None))
    kernels[mixing] = kernels[mixing].copy()
    kernels[mixing][place] = 0
    return kernels


def _narrow_kernels(
    kind: str, weights: Sequence[np.ndarray], takes: np.ndarray, makes: np.ndarray
) -> list[np.ndarray]:
    kernel, *rest = weights
    if kind == "Embedding":
        return [kernel[:, makes]]
    if kind.startswith("Separable"):
        pointwise, *bias = rest
        kept = np.repeat(takes, kernel.shape[-1])
        return [
            kernel[..., takes, :],
            pointwise[..., kept, :][..., makes],
            *(values[makes] for values in bias),
        ]
    if kind.endswith("Transpose"):
        return [kernel[..., makes, :][..., takes], *(values[makes] for values in rest)]
    return [kernel[..., takes, :][..., makes], *(values[makes] for values in rest)]


def _target(shape: Sequence[int], width: int) -> tuple[int, ...]:
    return (*shape[:-1], -1 if shape[-1] == -1 else width)
