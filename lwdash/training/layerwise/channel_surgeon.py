"""Optimal brain surgeon for channels: which of them the following layers miss least, and their weights without them.

Removing a channel removes its inputs from every layer that mixes channels. With the second moments H of such a layer's
inputs, the change of its outputs is Σ w_Rᵀ ([H⁻¹]_RR)⁻¹ w_R over its outputs, if the remaining weights are solved for again
(Optimal Brain Compression, arXiv 2208.11580, with a channel's inputs as the set R). Channels that are coupled are
removed together, so their changes add up, each relative to the size of the layer's outputs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lwdash.contract import Training
from lwdash.training.channel_groups import CONVOLUTIONS, DENSE, ChannelGraph
from lwdash.training.kernels import Kernel, kernels_of
from lwdash.training.layerwise.brain_surgeon import (
    MAX_OPERATIONS,
    MAX_ROUNDS,
    damped,
    squared_error,
    without_inputs,
)
from lwdash.training.layerwise.layer_by_layer import change_in_one_pass, why_not_solved

MAX_BYTES = 1 << 30
"""Memory of the moments that are kept to compare channels; the last layers of larger networks do not take part."""


@dataclass(frozen=True)
class Mixing:
    """A kernel that mixes channels: weights (k, o), moments (k, k) of its inputs, and the channel of each input (k,)."""

    weights: np.ndarray
    moments: np.ndarray
    channels: np.ndarray


class ChannelSurgeon:
    """The layers of a model in one level that mix channels, with the moments of their inputs on some rows."""

    def __init__(
        self,
        flat: Any,
        graph: ChannelGraph,
        training: Training,
    ):
        self.flat, self.training = flat, training
        self._kernels, self._channels = _mixing_kernels(flat, graph)
        self._layers: dict[str, Mixing] = {}
        left = MAX_BYTES

        def look(kernel: Kernel, places: np.ndarray, weights: np.ndarray, moments: np.ndarray) -> np.ndarray:
            nonlocal left
            left -= moments.nbytes
            if left < 0:
                return weights
            self._layers[kernel.path] = Mixing(weights[0], moments[0], self._channels[kernel.path])
            return weights

        self._pass(look, "looking at the inputs of")

    def order(self, group: Collection[int], count: int) -> list[int]:
        """The channels of a coupled group in the order of removal: exact for the first `count`, then by their loss.

        Empty if no layer with known inputs uses them.
        """
        layers = [m for m in self._layers.values() if np.isin(m.channels, list(group)).any()]
        if not layers:
            return []
        operations = sum(2.0 * len(m.channels) ** 3 for m in layers)
        rounds = int(np.clip(MAX_OPERATIONS / max(operations, 1.0), 1, MAX_ROUNDS))
        removed: list[int] = []
        for number in range(rounds):
            losses = dict.fromkeys(set(group) - set(removed), 0.0)
            for layer in layers:
                _add_losses(losses, layer, removed)
            ranked = sorted(losses, key=lambda channel: (losses[channel], channel))
            if number == rounds - 1 or count <= len(removed):
                return removed + ranked
            removed += ranked[: round(count * (number + 1) / rounds) - len(removed)]
        return removed

    def compensate(self, removed: Collection[int]) -> None:
        """Solve in place for the weights of the layers that lose inputs; those of the removed channels become zero."""

        def solve(kernel: Kernel, places: np.ndarray, weights: np.ndarray, moments: np.ndarray) -> np.ndarray:
            kept = ~np.isin(self._channels[kernel.path], list(removed))
            return weights if kept.all() else without_inputs(weights, moments, kept)

        self._pass(solve, "correcting")

    def _pass(self, solve: Any, what: str) -> None:
        if self._kernels:
            change_in_one_pass(self.flat, self._kernels, self.training, solve, what=what)


def _mixing_kernels(flat: Any, graph: ChannelGraph) -> tuple[Mapping[str, Kernel], Mapping[str, np.ndarray]]:
    """By path, the kernels that mix channels, and the channel of each of their inputs."""
    cannot = why_not_solved(flat)
    kernels, channels = {}, {}
    for name, known in graph.layers.items():
        if type(known.layer).__name__ not in DENSE | CONVOLUTIONS:
            continue
        for kernel in kernels_of(name, known.layer):
            if kernel.is_depthwise or cannot(kernel) is not None:
                continue
            roots = graph.roots(known.inputs)
            depth = kernel.shape[kernel.inputs if kernel.inputs is not None else -2]
            repeated = np.repeat(roots, depth // len(roots))
            kernels[kernel.path] = kernel
            channels[kernel.path] = np.tile(repeated, kernel.channel_size // depth)
    return kernels, channels


def _add_losses(losses: dict[int, float], layer: Mixing, removed: Sequence[int]) -> None:
    """Add to each channel's loss what its removal changes in this layer's outputs, relative to their size."""
    size = squared_error(layer.weights[None], layer.moments[None])
    if size <= 0:
        return
    matrix = damped(layer.moments[None])[0]
    rows = np.flatnonzero(~np.isin(layer.channels, removed))
    inverse = np.linalg.inv(matrix[np.ix_(rows, rows)])
    weights = inverse @ (matrix[rows] @ layer.weights)
    kept = layer.channels[rows]
    for channel in losses.keys() & set(kept.tolist()):
        places = np.flatnonzero(kept == channel)
        own = weights[places]
        losses[channel] += float(np.sum(own * np.linalg.solve(inverse[np.ix_(places, places)], own))) / size
