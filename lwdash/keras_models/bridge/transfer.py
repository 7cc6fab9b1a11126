"""Weights of a treated Keras 2 twin, put back into the Keras 3 model it was bridged from.

Keras 3 exports a leaner graph than its twin (a Conv1D network has a third fewer RESHAPE operators), and it is
the graph that a user's own conversion has; so where the weights can go back, the original's graph is
exported.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lwdash.keras_models.bridge.graph import legal_name

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
"""Layers whose twins have the same weights in the same order, whatever their arguments."""


def can_transfer(twin: Any, original: Any) -> bool:
    """Whether every layer with weights has a namesake with weights of the same shapes."""
    return _shapes(twin) == _shapes(original)


def transfer_weights(twin: Any, original: Any) -> None:
    """Gives `original` the twin's weights, in place. The two must pass `can_transfer`."""
    sources = dict(_layers(twin))
    for path, layer in _layers(original):
        layer.set_weights(sources[path].get_weights())


def _shapes(model: Any) -> dict[str, list[tuple[int, ...]]]:
    return {path: [w.shape for w in layer.get_weights()] for path, layer in _layers(model)}


def _layers(model: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for layer in model.layers:
        path = prefix + legal_name(layer.name)
        if hasattr(layer, "layers"):
            yield from _layers(layer, f"{path}/")
        elif layer.weights and type(layer).__name__ not in FROZEN:
            yield path, layer
