"""The inputs that a kernel is multiplied by, as matrices, and their moments; for layers of either Keras.

Each kernel is G independent products of inputs (n, k) and weights (k, o): one for a dense layer or a convolution, one per
group of a grouped convolution, one per channel of a depthwise kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lwdash.keras_models.ports import leaf_layers
from lwdash.training.kernels import Kernel, kernels_of
from lwdash.training.layerwise.brain_surgeon import above_rounding

MIN_SAMPLES = 16384
SAMPLES_AN_INPUT = 8
"""Number of samples of a layer's inputs for each of its k inputs, where it has more: positions of images."""
CHUNK_VALUES = 1 << 23
"""Number of input values that are held as a matrix at a time."""


@dataclass(frozen=True)
class KernelProduct:
    """The matrix product that a layer computes with one kernel, G of them for groups.

    places: (G, k, o), the index of each weight in the flat kernel.

    matrix: a layer's inputs, (rows, …), → (n, G, k).
    bias: the variable, (G · o,), that is added to the product, or None.
    is_output: the product is the layer's output, before its activation; False for inner steps of a layer.
    """

    places: np.ndarray
    matrix: Callable[[np.ndarray], np.ndarray]
    bias: Any = None
    is_output: bool = True


@dataclass(frozen=True)
class Moments:
    """First and second moments of a kernel's inputs.

    means: (G, k). products: (G, k, k), XᵀX / n of the inputs minus `means`.
    """

    means: np.ndarray
    products: np.ndarray


def owners(model: Any) -> dict[str, Any]:
    """The layer that multiplies by a kernel, for each kernel path of a model; inner layers of wrappers included."""
    found = {}
    for path, layer in leaf_layers(model):
        inner = list(layer._flatten_layers())
        for kernel in kernels_of(path, layer):
            using = [part for part in inner if any(weight is kernel.variable for weight in part.weights)]
            known = [part for part in using if type(part).__name__ in _PRODUCTS]
            found[kernel.path] = (known or using)[0]
    return found


def why_no_product(layer: Any, kernel: Kernel) -> str | None:
    """Reason why the inputs of a kernel cannot be written as matrices; None where they can."""
    kind = type(layer).__name__
    if kind not in _PRODUCTS:
        return f"the inputs of a kernel of {kind} are not known"
    if getattr(layer, "data_format", None) == "channels_first":
        return "its channels are first"
    name = kernel.path.rpartition("/")[2]
    if name == "recurrent_kernel" and not getattr(layer, "reset_after", True):
        return "reset_after=False multiplies the recurrent kernel by gated states"
    if kind.endswith("Transpose") and set(np.ravel(layer.dilation_rate)) != {1}:
        return "it is a dilated transposed convolution"
    return None


def product_of(layer: Any, kernel: Kernel) -> KernelProduct:
    """The product that a kernel is used in; `why_no_product` must be None."""
    return _PRODUCTS[type(layer).__name__](layer, kernel)


def moments_of(product: KernelProduct, inputs: np.ndarray, seed: int, *, is_mean_free: bool) -> Moments:
    """Moments of a layer's inputs, (rows, …), on all positions or a random sample of them.

    is_mean_free: a bias or a batch normalization can correct the mean of the outputs; if not, `means` is 0.
    """
    chance = np.random.default_rng(seed)
    each, groups, size = product.matrix(inputs[:1]).shape
    share = min(1.0, max(MIN_SAMPLES, SAMPLES_AN_INPUT * size) / (each * len(inputs)))
    rows = max(1, CHUNK_VALUES // (each * groups * size))
    total, sums, squares = 0, np.zeros((groups, size)), np.zeros((groups, size, size))
    for start in range(0, len(inputs), rows):
        matrix = product.matrix(inputs[start : start + rows])
        if share < 1:
            matrix = matrix[np.sort(chance.permutation(len(matrix))[: max(1, round(share * len(matrix)))])]
        by_group = matrix.astype(np.float64).transpose(1, 0, 2)
        total += len(matrix)
        sums += by_group.sum(axis=1)
        squares += by_group.transpose(0, 2, 1) @ by_group
    means = sums / total if is_mean_free else np.zeros_like(sums)
    return Moments(means, above_rounding(squares / total - means[:, :, None] * means[:, None, :], means))


def _dense(layer: Any, kernel: Kernel) -> KernelProduct:
    places = np.arange(kernel.size).reshape(1, *kernel.shape)
    return KernelProduct(places, _as_rows, getattr(layer, "bias", None))


def _as_rows(inputs: np.ndarray) -> np.ndarray:
    return inputs.reshape(-1, 1, inputs.shape[-1])


def _convolution(layer: Any, kernel: Kernel) -> KernelProduct:
    *taps, depth, outputs = kernel.shape
    groups, count = layer.groups, int(np.prod(taps))
    numbers = np.arange(kernel.size).reshape(count, depth, groups, outputs // groups)
    places = numbers.transpose(2, 0, 1, 3).reshape(groups, count * depth, outputs // groups)

    def matrix(inputs: np.ndarray) -> np.ndarray:
        shifted = _shifted(layer, inputs, taps)
        split = shifted.reshape(len(shifted), count, groups, depth).transpose(0, 2, 1, 3)
        return split.reshape(len(shifted), groups, count * depth)

    return KernelProduct(places, matrix, layer.bias)


def _depthwise(layer: Any, kernel: Kernel) -> KernelProduct:
    *taps, depth, multiplier = kernel.shape
    places = np.arange(kernel.size).reshape(-1, depth, multiplier).transpose(1, 0, 2)
    return KernelProduct(places, lambda inputs: _shifted(layer, inputs, taps).transpose(0, 2, 1), layer.bias)


def _separable(layer: Any, kernel: Kernel) -> KernelProduct:
    first = np.asarray(layer.depthwise_kernel)
    *taps, depth, multiplier = first.shape
    if kernel.is_depthwise:
        places = np.arange(kernel.size).reshape(-1, depth, multiplier).transpose(1, 0, 2)
        return KernelProduct(
            places, lambda inputs: _shifted(layer, inputs, taps).transpose(0, 2, 1), is_output=False
        )

    def matrix(inputs: np.ndarray) -> np.ndarray:
        between = np.einsum(
            "ntc,tcm->ncm", _shifted(layer, inputs, taps), first.reshape(-1, depth, multiplier)
        )
        return between.reshape(len(between), 1, depth * multiplier)

    places = np.arange(kernel.size).reshape(1, depth * multiplier, -1)
    return KernelProduct(places, matrix, layer.bias)


def _transposed(layer: Any, kernel: Kernel) -> KernelProduct:
    *taps, outputs, depth = kernel.shape
    count = int(np.prod(taps))
    places = np.arange(kernel.size).reshape(count, outputs, depth).transpose(0, 2, 1)
    places = places.reshape(1, count * depth, outputs)

    def matrix(inputs: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        def spread(alone: np.ndarray) -> Any:
            identity = np.eye(count, dtype=alone.dtype).reshape(*taps, count, 1)
            size = layer.compute_output_shape(inputs.shape)[1:-1]
            return tf.nn.conv_transpose(
                alone,
                identity,
                [len(alone), *size, count],
                strides=list(layer.strides),
                padding=layer.padding.upper(),
            )

        return _channel_by_channel(inputs, spread).reshape(-1, 1, count * depth)

    return KernelProduct(places, matrix, layer.bias)


def _recurrent(layer: Any, kernel: Kernel) -> KernelProduct:
    places = np.arange(kernel.size).reshape(1, *kernel.shape)
    if kernel.path.rpartition("/")[2] == "kernel":
        return KernelProduct(places, _as_rows, is_output=False)

    def states(inputs: np.ndarray) -> np.ndarray:
        """The state before each step: zero, then the layer's outputs."""
        config = {**layer.get_config(), "return_sequences": True, "return_state": False, "stateful": False}
        unrolled = type(layer).from_config(config)
        unrolled.build(inputs.shape)
        unrolled.set_weights(layer.get_weights())
        outputs = np.asarray(unrolled(inputs))
        return _as_rows(np.concatenate([np.zeros_like(outputs[:, :1]), outputs[:, :-1]], axis=1))

    return KernelProduct(places, states, is_output=False)


def _shifted(layer: Any, inputs: np.ndarray, taps: list[int]) -> np.ndarray:
    """(positions, taps, channels): the inputs that a convolution multiplies at each position of its outputs."""
    import tensorflow as tf

    rank = len(taps)
    strides, dilations = (
        list(np.broadcast_to(value, rank)) for value in (layer.strides, layer.dilation_rate)
    )
    padding = layer.padding.upper()
    if padding == "CAUSAL":
        before = int(dilations[0]) * (taps[0] - 1)
        inputs, padding = np.pad(inputs, [(0, 0), (before, 0), (0, 0)]), "VALID"
    count = int(np.prod(taps))

    def shift(alone: np.ndarray) -> Any:
        identity = np.eye(count, dtype=alone.dtype).reshape(*taps, 1, count)
        return tf.nn.convolution(alone, identity, strides=strides, padding=padding, dilations=dilations)

    return _channel_by_channel(inputs, shift)


def _channel_by_channel(inputs: np.ndarray, convolve: Callable[[np.ndarray], Any]) -> np.ndarray:
    """(positions, taps, channels): each channel convolved as an image of its own, (images, …, 1) → (images, …, taps)."""
    rows, depth = len(inputs), inputs.shape[-1]
    images = np.moveaxis(inputs, -1, 1).reshape(rows * depth, *inputs.shape[1:-1], 1)
    found = np.asarray(convolve(np.ascontiguousarray(images)))
    found = found.reshape(rows, depth, -1, found.shape[-1]).transpose(0, 2, 3, 1)
    return found.reshape(-1, *found.shape[2:])


_PRODUCTS: dict[str, Callable[[Any, Kernel], KernelProduct]] = {
    "Dense": _dense,
    **dict.fromkeys(("Conv1D", "Conv2D", "Conv3D"), _convolution),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), _depthwise),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), _separable),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), _transposed),
    **dict.fromkeys(("LSTM", "GRU", "SimpleRNN"), _recurrent),
}
