"""A check of the sizes in a config against the size of the file: a small file must not allocate gigabytes."""

from __future__ import annotations

import math
from collections.abc import Iterator

from lwdash.errors import ModelRefused
from lwdash.keras_models.network import Network, walk
from lwdash.keras_models.scan.layer_settings import LayerSettings

MAX_LAYERS = 20_000

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
"""Arguments whose product is a lower bound of the layer's weights, for any input."""


def check_layers(network: Network) -> None:
    """Raises ModelRefused for more layers than any real network has."""
    count = sum(1 for _ in walk(network))
    if count > MAX_LAYERS:
        raise ModelRefused(f"the model has {count:,} layers; the limit is {MAX_LAYERS:,}")


def check_declared(network: Network, stored: int) -> None:
    """Raises ModelRefused naming the layer that declares more weights than the file holds.

    stored: number of weights in the file. Outputs are checked while they are inferred (shapes.py).
    """
    for path, node in walk(network):
        if not isinstance(node.config, LayerSettings):
            continue
        for class_name, config in _parts(node.class_name, node.config):
            declared = _min_weights(class_name, config)
            if declared > stored:
                raise ModelRefused(
                    f"layer '{path}' ({class_name}) declares at least {declared:,} weights, but the file "
                    f"holds only {stored:,} numbers: it is damaged or forged. Save the model again, with "
                    "its weights"
                )


def _parts(class_name: str, config: LayerSettings) -> Iterator[tuple[str, LayerSettings]]:
    """A layer, and the layers and cells that its config wraps."""
    yield class_name.removesuffix("Cell"), config
    for inner in (
        config.get("layer"),
        config.get("backward_layer"),
        config.get("cell"),
        *config.get("cells", ()),
    ):
        if inner is not None:
            yield from _parts(inner.class_name, inner.config)


def _min_weights(class_name: str, config: LayerSettings) -> int:
    return (
        math.prod((_size(config.get(key)) for key in WEIGHTS[class_name]), start=1)
        if class_name in WEIGHTS
        else 0
    )


def _size(value: int | tuple[int, ...] | None) -> int:
    """A number, or the product over the axes; 1 where the file does not state it."""
    return math.prod(value) if isinstance(value, tuple) else value or 1
