"""Shared values for the weights of a kernel, preserved during training, on a model of either Keras.

As in Deep Compression (arXiv 1510.00149, section 3): k-means finds the values, then each is trained as one
weight.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lwdash.training.kernel_structure import structure_of
from lwdash.training.kernels import Kernel

ROUNDS = 30
"""Maximum number of k-means rounds; it has usually converged after ten."""


class Sharing:
    """The cluster of each weight; `apply` gives all weights of a cluster their mean.

    Zeros of a pruned kernel are a separate cluster and stay zero.
    """

    def __init__(
        self, kernels: Mapping[str, Kernel], *, clusters: int, init: str, per_channel: bool, seed: int
    ):
        self.kernels = kernels
        self._book_size = clusters
        chance = np.random.default_rng(seed)
        self._groups = {
            path: group(
                kernel.values,
                clusters,
                init,
                chance,
                channels=kernel.channel_numbers if per_channel else None,
            )
            for path, kernel in kernels.items()
        }

    def clusters(self, path: str) -> tuple[np.ndarray, np.ndarray]:
        """The cluster of each weight of a kernel, −1 for a zero from pruning, and the code book of each cluster."""
        groups = self._groups[path]
        return groups, np.arange(int(groups.max()) + 1) // self._book_size

    def regroup(self, path: str, clusters: np.ndarray) -> None:
        """Replace the cluster of each weight of a kernel."""
        self._groups[path] = clusters

    def apply(self) -> None:
        """Give each cluster one value, after its weights have changed."""
        for path, kernel in self.kernels.items():
            values, places = kernel.values, self._groups[path] + 1
            sums = np.bincount(places.ravel(), values.ravel().astype(np.float64))
            means = sums / np.maximum(np.bincount(places.ravel()), 1)
            means[0] = 0.0
            kernel.variable.assign(means.astype(values.dtype)[places])

    def keeping(self) -> Callable[[], None]:
        """A compiled `apply`: after every batch, one for each kernel would be slow."""
        import tensorflow as tf

        parts = []
        for path, kernel in self.kernels.items():
            places = tf.constant(self._groups[path].ravel() + 1)
            kept = tf.constant((self._groups[path] >= 0).astype(kernel.values.dtype))
            parts.append((kernel, places, int(self._groups[path].max()) + 2, kept))

        @tf.function  # type: ignore[misc]
        def keep() -> None:
            for kernel, places, count, kept in parts:
                values = tf.convert_to_tensor(kernel.variable)
                means = tf.math.unsorted_segment_mean(tf.reshape(values, [-1]), places, count)
                kernel.variable.assign(tf.reshape(tf.gather(means, places), kernel.shape) * kept)

        return keep  # type: ignore[no-any-return]

    def callback(self, library: Any) -> Any:
        """A callback of `library` that shares the values before the training and after each batch."""
        sharing = self

        class SharedValues(library.callbacks.Callback):  # type: ignore[misc, name-defined]
            def on_train_begin(self, logs: Any = None) -> None:
                sharing.apply()
                self.keep = sharing.keeping()

            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                self.keep()

        return SharedValues()


def group(
    values: np.ndarray,
    clusters: int,
    init: str,
    chance: np.random.Generator,
    *,
    channels: np.ndarray | None = None,
) -> np.ndarray:
    """The cluster of each weight of a kernel, −1 for a zero from pruning.

    channels: the index of each weight's channel, for `clusters` values per channel instead of per kernel.
    """
    flat = values.ravel()
    used = flat != 0 if structure_of(values).is_pruned else np.ones(flat.shape, bool)
    groups = np.full(flat.shape, -1)
    numbers = np.zeros(flat.shape, np.int64) if channels is None else channels.ravel()
    order = np.argsort(numbers, kind="stable")
    for number, places in enumerate(np.split(order, np.cumsum(np.bincount(numbers))[:-1])):
        chosen = places[used[places]]
        if chosen.size:
            own = clusters - (chosen.size < places.size)
            groups[chosen] = number * clusters + _kmeans(flat[chosen], own, init, chance)
    return groups.reshape(values.shape)


def _kmeans(weights: np.ndarray, count: int, init: str, chance: np.random.Generator) -> np.ndarray:
    """The cluster of each weight, 0 … count − 1, after k-means from the start values that `init` names.

    Start values as in TFMOT: linear, density (quantiles), random (uniform) or kmeans++ (Arthur and
    Vassilvitskii 2007).
    """
    low, high = float(weights.min()), float(weights.max())
    if init == "density":
        centres = np.quantile(weights, (np.arange(count) + 0.5) / count)
    elif init == "random":
        centres = np.sort(chance.uniform(low, high, count))
    elif init == "kmeans++":
        centres = np.sort(_far_apart(weights, count, chance))
    else:
        centres = np.linspace(low, high, count)
    for _ in range(ROUNDS):
        places = np.searchsorted((centres[1:] + centres[:-1]) / 2, weights)
        counts = np.bincount(places, minlength=count)
        means = np.bincount(places, weights, minlength=count) / np.maximum(counts, 1)
        moved = np.where(counts > 0, means, centres)
        if np.allclose(moved, centres, rtol=0, atol=1e-7 * max(high - low, 1e-12)):
            break
        centres = moved
    return np.searchsorted((centres[1:] + centres[:-1]) / 2, weights)


def _far_apart(weights: np.ndarray, count: int, chance: np.random.Generator) -> np.ndarray:
    centres = [float(chance.choice(weights))]
    distances = (weights - centres[0]) ** 2
    while len(centres) < count:
        total = distances.sum()
        shares = distances / total if total > 0 else None
        centres.append(float(chance.choice(weights, p=shares)))
        distances = np.minimum(distances, (weights - centres[-1]) ** 2)
    return np.array(centres)
