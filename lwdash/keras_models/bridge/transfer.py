"""Copies the weights of a treated Keras 2 twin back into the Keras 3 model it was bridged from.

Keras 3 exports a smaller graph than its twin (a third fewer RESHAPE operators for a Conv1D network). It is
also the graph of the user's own conversion. So the original's graph is exported wherever the weights can be
copied back.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lwdash.keras_models.bridge.graph import legal_name
from lwdash.keras_models.ports import is_network

FROZEN = {"Normalization"}
"""Layers whose weights are constants in the twin, and that no technique changes."""


ALIKE = frozenset(
    {
        "BatchNormalization",
        "Conv1D",
        "Conv1DTranspose",
        "Conv2D",
        "Conv2DTranspose",
        "Conv3D",
        "Conv3DTranspose",
        "Dense",
        "DepthwiseConv1D",
        "DepthwiseConv2D",
        "Embedding",
        "LayerNormalization",
        "Normalization",
        "PReLU",
        "SeparableConv1D",
        "SeparableConv2D",
    }
)
"""Layers whose twins have the same weights in the same order, for all arguments."""


def can_transfer(twin: Any, original: Any) -> bool:
    """True if every layer with weights has a namesake with weights of the same shapes."""
    return _shapes(twin) == _shapes(original)


def transfer_weights(twin: Any, original: Any) -> None:
    """Copy the twin's weights into `original`, in place. The two must pass `can_transfer`."""
    sources = dict(_layers(twin))
    for path, layer in _layers(original):
        layer.set_weights(sources[path].get_weights())


def _shapes(model: Any) -> dict[str, list[tuple[int, ...]]]:
    return {path: [w.shape for w in layer.get_weights()] for path, layer in _layers(model)}


def _layers(model: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for layer in model.layers:
        path = prefix + legal_name(layer.name)
        if is_network(layer):
            yield from _layers(layer, f"{path}/")
        elif layer.weights and type(layer).__name__ not in FROZEN:
            yield path, layer
