"""What a config declares against what the file holds: a few bytes must not ask for gigabytes when it is built."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from lwdash.errors import ModelRefused
from lwdash.keras_models.facts import Shape
from lwdash.keras_models.network import Network, walk

MAX_LAYERS = 20_000
MAX_VALUES = 1 << 30
"""Numbers that a layer may give for one row: 4 GiB as float32."""

WEIGHTS = {
    "Dense": ("units",),
    "Embedding": ("input_dim", "output_dim"),
    "LSTM": ("units", "units"),
    "GRU": ("units", "units"),
    "SimpleRNN": ("units", "units"),
    "MultiHeadAttention": ("num_heads", "key_dim"),
    "DepthwiseConv1D": ("kernel_size", "depth_multiplier"),
    "DepthwiseConv2D": ("kernel_size", "depth_multiplier"),
    "SeparableConv1D": ("filters",),
    "SeparableConv2D": ("filters",),
    **dict.fromkeys(
        ("Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"),
        ("kernel_size", "filters"),
    ),
    **dict.fromkeys(("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"), ("kernel_size", "filters")),
}
"""Arguments whose product is fewer weights than the layer has, whatever goes into it."""


def check_layers(network: Network) -> None:
    """Raises ModelRefused for more layers than any network has."""
    count = sum(1 for _ in walk(network))
    if count > MAX_LAYERS:
        raise ModelRefused(f"the model has {count:,} layers; the limit is {MAX_LAYERS:,}")


def check_declared(network: Network, shapes: Mapping[str, Shape], stored: int) -> None:
    """Raises ModelRefused naming the layer whose declared weights or outputs the file cannot stand behind.

    shapes: output shapes by layer path, batch axis first. stored: numbers that the file holds as weights.
    """
    for path, node in walk(network):
        for class_name, config in _parts(node.class_name, node.config):
            declared = _fewest_weights(class_name, config)
            if declared > stored:
                raise ModelRefused(
                    f"layer '{path}' ({class_name}) declares at least {declared:,} weights, and the file holds "
                    f"{stored:,} numbers in all: it is damaged or forged. Save the model again, with its weights"
                )
        values = math.prod(length or 1 for length in shapes.get(path, ())[1:])
        if values > MAX_VALUES:
            raise ModelRefused(
                f"layer '{path}' ({node.class_name}) gives {values:,} numbers for one row; the limit is {MAX_VALUES:,}"
            )


def _parts(class_name: str, config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """A layer, and the layers and cells that its config wraps."""
    yield class_name.removesuffix("Cell"), config
    for key in ("layer", "backward_layer", "cell", "cells"):
        inner = config.get(key)
        for entry in inner if isinstance(inner, list) else [inner]:
            if isinstance(entry, Mapping) and isinstance(entry.get("config"), Mapping):
                yield from _parts(str(entry.get("class_name")), entry["config"])


def _fewest_weights(class_name: str, config: Mapping[str, Any]) -> int:
    return (
        math.prod((_size(config.get(key)) for key in WEIGHTS[class_name]), start=1)
        if class_name in WEIGHTS
        else 0
    )


def _size(value: Any) -> int:
    """A number, or the product of a list of them; 1 for anything else, which the loader will refuse."""
    if isinstance(value, (list, tuple)):
        return math.prod(_size(item) for item in value)
    return value if type(value) is int and value > 0 else 1
