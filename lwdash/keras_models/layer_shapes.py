"""Output shapes of single layers from their config, without Keras: one rule a family of layers.

Shapes here have the batch axis first. A rule returns the shapes of all outputs of one call, or None where it
cannot tell; nothing is guessed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from lwdash.keras_models.allowed import names
from lwdash.keras_models.facts import Shape

Rule = Callable[[dict[str, Any], list[Shape]], "list[Shape] | None"]

SAME_SHAPE = names(
    """
    Activation ReLU LeakyReLU PReLU ELU Softmax ThresholdedReLU Dropout SpatialDropout1D SpatialDropout2D
    SpatialDropout3D GaussianNoise GaussianDropout AlphaDropout BatchNormalization BatchNormalizationV1
    BatchNormalizationV2 SyncBatchNormalization LayerNormalization GroupNormalization UnitNormalization
    RMSNormalization Rescaling Normalization Masking ActivityRegularization RandomFlip RandomRotation
    RandomZoom RandomTranslation RandomContrast RandomBrightness RandomHue RandomSaturation RandomSharpness
    RandomColorJitter RandomGrayscale RandomInvert Identity
    """
)

MERGES = names("Add Subtract Multiply Average Maximum Minimum")


def output_shapes(
    class_name: str, config: dict[str, Any], inputs: Sequence[Shape | None]
) -> list[Shape] | None:
    """Shapes of the outputs of a layer called on tensors of the shapes `inputs`, or None when unknown."""
    if class_name == "InputLayer":
        shape = config.get("batch_shape")
        return None if shape is None else [tuple(shape)]
    known = [shape for shape in inputs if shape is not None]
    rule = RULES.get(class_name)
    if (
        rule is None
        or not known
        or inputs[0] is None
        or (class_name in ALL_INPUTS and len(known) < len(inputs))
    ):
        return None
    try:
        return rule(config, known)
    except (KeyError, TypeError, ValueError, IndexError, ZeroDivisionError):
        return None  # a config that does not fit its layer: the loader will say so, the shape stays unknown


def _same(config: dict[str, Any], inputs: list[Shape]) -> list[Shape]:
    return [inputs[0]]


def _dense(config: dict[str, Any], inputs: list[Shape]) -> list[Shape]:
    return [(*inputs[0][:-1], int(config["units"]))]


def _channels_first(config: dict[str, Any]) -> bool:
    return config.get("data_format") == "channels_first"


def _spatial(
    config: dict[str, Any], shape: Shape, sizes: list[int | None], channels: int | None
) -> list[Shape]:
    """A shape of new spatial `sizes` and `channels`, in the layout that the config names."""
    if _channels_first(config):
        return [(shape[0], channels, *sizes)]
    return [(shape[0], *sizes, channels)]


def _split(config: dict[str, Any], shape: Shape) -> tuple[Shape, int | None]:
    """The spatial part of a shape, and its channels."""
    return (shape[2:], shape[1]) if _channels_first(config) else (shape[1:-1], shape[-1])


def _per_axis(value: Any, axes: int) -> list[int]:
    return [int(value)] * axes if isinstance(value, (int, float)) else [int(item) for item in value]


def _windows(config: dict[str, Any], sizes: Shape, kernels: list[int]) -> list[int | None]:
    strides = config.get("strides")
    steps = kernels if strides is None else _per_axis(strides, len(sizes))
    dilations = _per_axis(config.get("dilation_rate", 1), len(sizes))
    result: list[int | None] = []
    for size, kernel, step, dilation in zip(sizes, kernels, steps, dilations, strict=True):
        if size is None:
            result.append(None)
        elif config.get("padding", "valid") == "valid":
            result.append((size - (kernel - 1) * dilation - 1) // step + 1)
        else:
            result.append(math.ceil(size / step))
    return result


def _conv(config: dict[str, Any], inputs: list[Shape]) -> list[Shape]:
    sizes, channels = _split(config, inputs[0])
    outputs = config.get("filters")
    if outputs is None and channels is not None:  # depthwise
        outputs = channels * int(config.get("depth_multiplier", 1))
    return _spatial(
        config, inputs[0], _windows(config, sizes, _per_axis(config["kernel_size"], len(sizes))), outputs
    )


def _transposed(config: dict[str, Any], inputs: list[Shape]) -> list[Shape] | None:
    sizes, _ = _split(config, inputs[0])
    axes = len(sizes)
    extra = config.get("output_padding")
    if extra is not None:
        return None
    result: list[int | None] = []
    steps, kernels = _per_axis(config["strides"], axes), _per_axis(config["kernel_size"], axes)
    for size, step, kernel, dilation in zip(
        sizes, steps, kernels, _per_axis(config.get("dilation_rate", 1), axes), strict=True
    ):
        if size is None:
            result.append(None)
        elif config.get("padding") == "same":
            result.append(size * step)
        else:
            result.append(size * step + max((kernel - 1) * dilation + 1 - step, 0))
    return _spatial(config, inputs[0], result, int(config["filters"]))


def _pool(config: dict[str, Any], inputs: list[Shape]) -> list[Shape]:
    sizes, channels = _split(config, inputs[0])
    return _spatial(
        config, inputs[0], _windows(config, sizes, _per_axis(config["pool_size"], len(sizes))), channels
    )


def _global_pool(config: dict[str, Any], inputs: list[Shape]) -> list[Shape]:
    sizes, channels = _split(config, inputs[0])
    if config.get("keepdims"):
        return _spatial(config, inputs[0], [1] * len(sizes), channels)
    return [(inputs[0][0], channels)]


def _product(shape: Sequence[int | None]) -> int | None:
    return (
        None if any(size is None for size in shape) else math.prod(size for size in shape if size is not None)
    )


def _flatten(config: dict[str, Any], inputs: list[Shape]) -> list[Shape]:
    return [(inputs[0][0], _product(inputs[0][1:]))]


def _reshape(config: dict[str, Any], inputs: list[Shape]) -> list[Shape]:
    target = [int(size) for size in config["target_shape"]]
    if -1 in target:
        total, rest = _product(inputs[0][1:]), math.prod(size for size in target if size != -1)
        inferred = None if total is None else total // rest
        return [(inputs[0][0], *(inferred if size == -1 else size for size in target))]
    return [(inputs[0][0], *target)]


def _permute(config: dict[str, Any], inputs: list[Shape]) -> list[Shape]:
    return [(inputs[0][0], *(inputs[0][axis] for axis in config["dims"]))]


def _repeat(config: dict[str, Any], inputs: list[Shape]) -> list[Shape]:
    return [(inputs[0][0], int(config["n"]), inputs[0][1])]


def _borders(value: Any, axes: int) -> list[int]:
    """Cells added or cut along each axis: `2`, `[1, 2]` or `[[1, 2], [3, 4]]`."""
    if isinstance(value, int):
        return [2 * value] * axes
    if axes == 1:
        return [sum(value)]
    return [2 * item if isinstance(item, int) else sum(item) for item in value]


def _resized(key: str, change: Callable[[int, int], int]) -> Rule:
    def rule(config: dict[str, Any], inputs: list[Shape]) -> list[Shape]:
        sizes, channels = _split(config, inputs[0])
        amounts = _per_axis(config[key], len(sizes)) if key == "size" else _borders(config[key], len(sizes))
        changed = [
            None if size is None else change(size, amount)
            for size, amount in zip(sizes, amounts, strict=True)
        ]
        return _spatial(config, inputs[0], changed, channels)

    return rule


def _image(config: dict[str, Any], inputs: list[Shape]) -> list[Shape]:
    _, channels = _split(config, inputs[0])
    return _spatial(config, inputs[0], [int(config["height"]), int(config["width"])], channels)


def _embedding(config: dict[str, Any], inputs: list[Shape]) -> list[Shape]:
    return [(*inputs[0], int(config["output_dim"]))]


def broadcast(inputs: Sequence[Shape]) -> Shape | None:
    """The shape of an element by element operation on `inputs`, or None when they do not go together."""
    result: list[int | None] = []
    rank = max(len(shape) for shape in inputs)
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in inputs]
    for sizes in zip(*padded, strict=True):
        fixed = {size for size in sizes if size not in (1, None)}
        if len(fixed) > 1:
            return None
        result.append(fixed.pop() if fixed else (None if None in sizes else 1))
    return tuple(result)


def _merge(config: dict[str, Any], inputs: list[Shape]) -> list[Shape] | None:
    shape = broadcast(inputs)
    return None if shape is None else [shape]


def _concatenate(config: dict[str, Any], inputs: list[Shape]) -> list[Shape]:
    axis = int(config.get("axis", -1)) % len(inputs[0])
    sizes = [shape[axis] for shape in inputs]
    total = None if any(size is None for size in sizes) else sum(size for size in sizes if size is not None)
    return [(*inputs[0][:axis], total, *inputs[0][axis + 1 :])]


def _dot(config: dict[str, Any], inputs: list[Shape]) -> list[Shape]:
    axes = config["axes"]
    first, second = (axes, axes) if isinstance(axes, int) else axes
    a, b = list(inputs[0]), list(inputs[1])
    a.pop(first)
    b.pop(second)
    shape = (*a, *b[1:])
    return [shape if len(shape) > 1 else (*shape, 1)]


def _units(config: dict[str, Any]) -> list[int]:
    """Units of the states of a recurrent layer's cell or stack of cells, innermost first."""
    cell = config.get("cell", {}).get("config", config) if "cell" in config else config
    if "cells" in cell:
        return [int(entry["config"]["units"]) for entry in cell["cells"]]
    return [int(cell["units"])]


def _recurrent(states: int) -> Rule:
    def rule(config: dict[str, Any], inputs: list[Shape]) -> list[Shape]:
        batch, steps = inputs[0][0], inputs[0][1]
        units = _units(config)[-1]
        output: Shape = (batch, steps, units) if config.get("return_sequences") else (batch, units)
        return [output, *([(batch, units)] * states if config.get("return_state") else [])]

    return rule


def _bidirectional(config: dict[str, Any], inputs: list[Shape]) -> list[Shape] | None:
    inner = output_shapes(config["layer"]["class_name"], config["layer"]["config"], inputs[:1])
    if inner is None:
        return None
    output = inner[0]
    if config.get("merge_mode", "concat") == "concat":
        last = output[-1]
        output = (*output[:-1], None if last is None else 2 * last)
    return [output] if config.get("merge_mode", "concat") is not None else None


def _time_distributed(config: dict[str, Any], inputs: list[Shape]) -> list[Shape] | None:
    batch, steps, *rest = inputs[0]
    inner = output_shapes(config["layer"]["class_name"], config["layer"]["config"], [(batch, *rest)])
    return None if inner is None else [(batch, steps, *inner[0][1:])]


def _attention_heads(config: dict[str, Any], inputs: list[Shape]) -> list[Shape]:
    size = config.get("output_shape")
    if size is None:
        return [inputs[0]]
    return [(*inputs[0][:-1], *([size] if isinstance(size, int) else size))]


def _attention(config: dict[str, Any], inputs: list[Shape]) -> list[Shape]:
    return [(*inputs[0][:-1], inputs[1][-1])]


RULES: dict[str, Rule] = {
    **dict.fromkeys(SAME_SHAPE, _same),
    **dict.fromkeys(MERGES, _merge),
    **{f"{kind}{axes}D": _conv for kind in ("Conv", "SeparableConv", "DepthwiseConv") for axes in (1, 2, 3)},
    **{f"Conv{axes}DTranspose": _transposed for axes in (1, 2, 3)},
    **{f"{kind}Pooling{axes}D": _pool for kind in ("Max", "Average") for axes in (1, 2, 3)},
    **{f"Global{kind}Pooling{axes}D": _global_pool for kind in ("Max", "Average") for axes in (1, 2, 3)},
    **{f"ZeroPadding{axes}D": _resized("padding", lambda size, by: size + by) for axes in (1, 2, 3)},
    **{f"Cropping{axes}D": _resized("cropping", lambda size, by: size - by) for axes in (1, 2, 3)},
    **{f"UpSampling{axes}D": _resized("size", lambda size, by: size * by) for axes in (1, 2, 3)},
    "Dense": _dense,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Permute": _permute,
    "RepeatVector": _repeat,
    "Resizing": _image,
    "CenterCrop": _image,
    "RandomCrop": _image,
    "Embedding": _embedding,
    "Concatenate": _concatenate,
    "Dot": _dot,
    "LSTM": _recurrent(2),
    "GRU": _recurrent(1),
    "SimpleRNN": _recurrent(1),
    "RNN": _recurrent(0),
    "Bidirectional": _bidirectional,
    "TimeDistributed": _time_distributed,
    "MultiHeadAttention": _attention_heads,
    "Attention": _attention,
    "AdditiveAttention": _attention,
}

ALL_INPUTS = MERGES | {"Concatenate", "Dot", "Attention", "AdditiveAttention"}
"""Layers whose output shape depends on every input, not on the first alone."""
