"""Training with rounded weights: the network computes with few levels, and float weights behind them collect the updates.

This is the straight-through estimator (BinaryConnect, arXiv 1511.00363; DoReFa-Net, arXiv 1606.06160) without a change of
the graph: the step that the gradient at the rounded weights gives moves the float ones, which are then rounded anew. So it
works for every layer with kernels, recurrent ones included, in Keras 2 and 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lwdash.training.kernel_structure import structure_of
from lwdash.training.kernels import Kernel
from lwdash.training.weight_levels import Rounding


class LatentWeights:
    """Float weights behind kernels that hold rounded ones. Zeros of a pruned kernel stay zeros."""

    def __init__(self, kernels: Mapping[str, Kernel], roundings: Mapping[str, Rounding]):
        """roundings: by the paths of `kernels`."""
        self.kernels = kernels
        self._roundings = roundings
        self._floats = {path: kernel.values.copy() for path, kernel in kernels.items()}
        self._shown = dict(self._floats)
        self._masks = {
            path: values != 0 for path, values in self._floats.items() if structure_of(values).is_pruned
        }
        """Of pruned kernels: True where a weight is left."""
        self._scales: dict[str, np.ndarray] = {}

    def round(self) -> None:
        """Put the rounded weights into the model."""
        for path, kernel in self.kernels.items():
            values, self._scales[path] = self._roundings[path](
                channels_first(kernel, self._floats[path]), self._scales.get(path)
            )
            self._shown[path] = channels_back(kernel, values) * self._masks.get(path, True)
            kernel.variable.assign(self._shown[path])

    def collect(self) -> None:
        """Add what a training step has changed to the float weights, and round them anew."""
        for path, kernel in self.kernels.items():
            self._floats[path] = self._floats[path] + (kernel.values - self._shown[path])
        self.round()

    def rounded_at_once(self, model: Any) -> list[np.ndarray]:
        """The weights of the model with rounded kernels; it is left as it is."""
        before = model.get_weights()
        self.round()
        rounded = model.get_weights()
        model.set_weights(before)
        return rounded  # type: ignore[no-any-return]

    def callback(self, library: Any) -> Any:
        """A callback of `library` that rounds before the training, and after each step."""
        latent = self

        class Rounded(library.callbacks.Callback):  # type: ignore[misc, name-defined]
            def on_train_begin(self, logs: Any = None) -> None:
                latent.round()

            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                latent.collect()

        return Rounded()


def channels_first(kernel: Kernel, values: np.ndarray) -> np.ndarray:
    """Weights in the kernel's shape as (channels, weights of a channel)."""
    return values.transpose(_order(kernel)).reshape(-1, kernel.channel_size)


def channels_back(kernel: Kernel, values: np.ndarray) -> np.ndarray:
    """The opposite of `channels_first`."""
    order = _order(kernel)
    moved = values.reshape([kernel.shape[axis] for axis in order])
    return moved.transpose(np.argsort(order))


def _order(kernel: Kernel) -> tuple[int, ...]:
    return (*kernel.channels, *(axis for axis in range(len(kernel.shape)) if axis not in kernel.channels))
