"""Output shapes of single layers from their config, without Keras: one rule per family of layers.

Shapes have the batch axis first. A rule returns the shapes of all outputs of one call, or None where they are
unknown; nothing is guessed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from lwdash.keras_models.model_facts import Shape
from lwdash.keras_models.scan.allowed_classes import names
from lwdash.keras_models.scan.layer_settings import LayerSettings
from lwdash.keras_models.shapes.window_shapes import WINDOW_RULES, Rule

SAME_SHAPE = names(
    """
    Activation ReLU LeakyReLU PReLU ELU Softmax ThresholdedReLU Dropout SpatialDropout1D SpatialDropout2D
    SpatialDropout3D GaussianNoise GaussianDropout AlphaDropout BatchNormalization BatchNormalizationV1
    BatchNormalizationV2 SyncBatchNormalization LayerNormalization GroupNormalization UnitNormalization
    RMSNormalization Rescaling Normalization Masking ActivityRegularization RandomFlip RandomRotation
    RandomZoom RandomTranslation RandomContrast RandomBrightness RandomHue RandomSaturation RandomSharpness
    RandomColorJitter RandomGrayscale RandomInvert RandomHeight RandomWidth RandomShear RandomErasing
    RandomPerspective RandomPosterization RandomGaussianBlur RandomElasticTransform RandomColorDegeneration
    RandAugment AutoContrast AugMix CutMix MixUp Equalization Solarization Identity
    """
)

MERGES = names("Add Subtract Multiply Average Maximum Minimum")


def output_shapes(
    class_name: str, config: LayerSettings, inputs: Sequence[Shape | None]
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
    except (KeyError, TypeError, ValueError, IndexError, ArithmeticError):
        # A setting is missing, or shapes do not match it. The loader will report it; here the shape stays
        # unknown.
        return None


def _same(config: LayerSettings, inputs: list[Shape]) -> list[Shape]:
    return [inputs[0]]


def _dense(config: LayerSettings, inputs: list[Shape]) -> list[Shape]:
    return [(*inputs[0][:-1], config["units"])]


def _product(shape: Sequence[int | None]) -> int | None:
    return (
        None if any(size is None for size in shape) else math.prod(size for size in shape if size is not None)
    )


def _flatten(config: LayerSettings, inputs: list[Shape]) -> list[Shape]:
    return [(inputs[0][0], _product(inputs[0][1:]))]


def _reshape(config: LayerSettings, inputs: list[Shape]) -> list[Shape]:
    target = config["target_shape"]
    if -1 in target:
        total, rest = _product(inputs[0][1:]), math.prod(size for size in target if size != -1)
        inferred = None if total is None else total // rest
        return [(inputs[0][0], *(inferred if size == -1 else size for size in target))]
    return [(inputs[0][0], *target)]


def _permute(config: LayerSettings, inputs: list[Shape]) -> list[Shape]:
    return [(inputs[0][0], *(inputs[0][axis] for axis in config["dims"]))]


def _repeat(config: LayerSettings, inputs: list[Shape]) -> list[Shape]:
    return [(inputs[0][0], config["n"], inputs[0][1])]


def _embedding(config: LayerSettings, inputs: list[Shape]) -> list[Shape]:
    return [(*inputs[0], config["output_dim"])]


def _einsum(config: LayerSettings, inputs: list[Shape]) -> list[Shape]:
    """Letters of the equation stand for axes; letters that the input lacks take their length from `output_shape`."""
    shape = inputs[0]
    taken, result = re.split(r",.*->", config["equation"].replace(" ", ""))
    size = config["output_shape"]
    units = size if isinstance(size, tuple) else (size,)
    extra = tuple(shape[: len(shape) - len(taken) + 3]) if taken.startswith("...") else ()
    sizes = dict(zip(taken.removeprefix("..."), shape[len(extra) :], strict=True))
    letters = result.removeprefix("...")
    stated = dict(zip(reversed(letters), reversed(units), strict=False))
    return [(*extra, *(sizes[x] if x in sizes else stated[x] for x in letters))]


def _encoded(mode: str, shape: Shape, width: int) -> list[Shape]:
    """Categories encoded as vectors of `width`; one-hot keeps the axes, the other modes merge into the last one."""
    if mode == "one_hot" and shape[-1] != 1:
        return [(*shape, width)]
    return [(*shape[:-1], width)]


def _category(config: LayerSettings, inputs: list[Shape]) -> list[Shape]:
    return _encoded(config["output_mode"], inputs[0], config["num_tokens"])


def _lookup(config: LayerSettings, inputs: list[Shape]) -> list[Shape] | None:
    if config["output_mode"] == "int":
        return [inputs[0]]
    width, vocabulary = config.get("max_tokens"), config.get("vocabulary")
    if not (config.get("pad_to_max_tokens") and width):
        if vocabulary is None:
            return None  # learnt from data: it is among the weights
        width = vocabulary + config["num_oov_indices"]
    return _encoded(config["output_mode"], inputs[0], width)


def _bins(config: LayerSettings, inputs: list[Shape]) -> list[Shape]:
    if config.get("output_mode", "int") == "int":
        return [inputs[0]]
    edges = config.get("bin_boundaries")
    return _encoded(config["output_mode"], inputs[0], config["num_bins"] if edges is None else edges + 1)


def broadcast(inputs: Sequence[Shape]) -> Shape | None:
    """The shape of an element-wise operation on `inputs`, or None when they cannot be broadcast."""
    result: list[int | None] = []
    rank = max(len(shape) for shape in inputs)
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in inputs]
    for sizes in zip(*padded, strict=True):
        fixed = {size for size in sizes if size not in (1, None)}
        if len(fixed) > 1:
            return None
        result.append(fixed.pop() if fixed else (None if None in sizes else 1))
    return tuple(result)


def _merge(config: LayerSettings, inputs: list[Shape]) -> list[Shape] | None:
    shape = broadcast(inputs)
    return None if shape is None else [shape]


def _concatenate(config: LayerSettings, inputs: list[Shape]) -> list[Shape]:
    axis = config.get("axis", -1) % len(inputs[0])
    sizes = [shape[axis] for shape in inputs]
    total = None if any(size is None for size in sizes) else sum(size for size in sizes if size is not None)
    return [(*inputs[0][:axis], total, *inputs[0][axis + 1 :])]


def _dot(config: LayerSettings, inputs: list[Shape]) -> list[Shape]:
    axes = config["axes"]
    first, second = axes if isinstance(axes, tuple) else (axes, axes)
    a, b = list(inputs[0]), list(inputs[1])
    a.pop(first)
    b.pop(second)
    shape = (*a, *b[1:])
    return [shape if len(shape) > 1 else (*shape, 1)]


def _units(config: LayerSettings) -> list[int]:
    """Units of the states of a recurrent layer's cell or stack of cells, innermost first."""
    cell = config["cell"].config if "cell" in config else config
    if "cells" in cell:
        return [entry.config["units"] for entry in cell["cells"]]
    return [cell["units"]]


def _recurrent(states: int) -> Rule:
    def rule(config: LayerSettings, inputs: list[Shape]) -> list[Shape]:
        batch, steps = inputs[0][0], inputs[0][1]
        units = _units(config)[-1]
        output: Shape = (batch, steps, units) if config.get("return_sequences") else (batch, units)
        return [output, *([(batch, units)] * states if config.get("return_state") else [])]

    return rule


def _bidirectional(config: LayerSettings, inputs: list[Shape]) -> list[Shape] | None:
    inner = output_shapes(config["layer"].class_name, config["layer"].config, inputs[:1])
    if inner is None:
        return None
    output = inner[0]
    if config.get("merge_mode", "concat") == "concat":
        last = output[-1]
        output = (*output[:-1], None if last is None else 2 * last)
    return [output] if config.get("merge_mode", "concat") is not None else None


def _time_distributed(config: LayerSettings, inputs: list[Shape]) -> list[Shape] | None:
    batch, steps, *rest = inputs[0]
    inner = output_shapes(config["layer"].class_name, config["layer"].config, [(batch, *rest)])
    return None if inner is None else [(batch, steps, *inner[0][1:])]


def _wrapped(config: LayerSettings, inputs: list[Shape]) -> list[Shape] | None:
    return output_shapes(config["layer"].class_name, config["layer"].config, inputs)


def _attention_heads(config: LayerSettings, inputs: list[Shape]) -> list[Shape]:
    size = config.get("output_shape")
    if size is None:
        return [inputs[0]]
    return [(*inputs[0][:-1], *(size if isinstance(size, tuple) else (size,)))]


def _attention(config: LayerSettings, inputs: list[Shape]) -> list[Shape]:
    return [(*inputs[0][:-1], inputs[1][-1])]


RULES: dict[str, Rule] = {
    **dict.fromkeys(SAME_SHAPE, _same),
    **dict.fromkeys(("LayerScale", "StochasticDepth", "CustomScaleLayer", "Custom>CustomScaleLayer"), _same),
    **dict.fromkeys(MERGES, _merge),
    **WINDOW_RULES,
    "Dense": _dense,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Permute": _permute,
    "RepeatVector": _repeat,
    "Embedding": _embedding,
    "EinsumDense": _einsum,
    "CategoryEncoding": _category,
    "IntegerLookup": _lookup,
    "StringLookup": _lookup,
    "Discretization": _bins,
    "Hashing": _bins,
    "Concatenate": _concatenate,
    "Dot": _dot,
    "LSTM": _recurrent(2),
    "GRU": _recurrent(1),
    "SimpleRNN": _recurrent(1),
    "RNN": _recurrent(0),
    "Bidirectional": _bidirectional,
    "TimeDistributed": _time_distributed,
    "SpectralNormalization": _wrapped,
    "MultiHeadAttention": _attention_heads,
    "GroupQueryAttention": _same,
    "Attention": _attention,
    "AdditiveAttention": _attention,
}

ALL_INPUTS = MERGES | {"Concatenate", "Dot", "Attention", "AdditiveAttention"}
"""Layers whose output shape depends on every input, not only on the first."""
