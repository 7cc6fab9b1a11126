"""The zeros and shared values of a kernel, and a callback that preserves them during training.

TFMOT's own schemes (PrunePreserve, ClusterPreserve) treat Conv2D and Dense only. They confuse a convolution
that was clustered as a whole with one clustered channel by channel when all channels use as many values. They
lose the zeros of every layer after the first one without any. This module preserves both exactly, in any
layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

PRUNED = 0.05
"""A kernel with a larger share of zeros was pruned."""
MAX_DISTINCT_VALUES = 257
"""More distinct values in a channel than the largest clustering leaves, plus one for zero."""
SHARED = 0.9
"""Fewer distinct values than this share of the weights: they are shared by clustering, not by chance."""


@dataclass(frozen=True)
class Structure:
    """The structure that earlier steps gave a kernel; false where there is none.

    is_pruned: many zeros; is_clustered: few distinct values.
    """

    is_pruned: bool
    is_clustered: bool

    def __bool__(self) -> bool:
        return self.is_pruned or self.is_clustered


def structure_of(kernel: np.ndarray) -> Structure:
    """Structure detected from the values of a kernel of two or more axes; its channels are along the last.

    A kernel of zeros only (such as a bias that never learnt) was not pruned.
    """
    used = kernel[kernel != 0]
    if kernel.ndim < 2 or not used.size:
        return Structure(False, False)
    channels = kernel.reshape(-1, kernel.shape[-1])
    is_clustered = (
        used.size > 1
        and len(np.unique(used)) < SHARED * used.size
        and max(len(np.unique(channel)) for channel in channels.T) <= MAX_DISTINCT_VALUES
    )
    return Structure(float(np.mean(kernel == 0)) > PRUNED, is_clustered)


def keeping(library: Any, variables: Mapping[str, Any]) -> Any:
    """A callback of `library` for kernels with structure: after each batch, zeros are zeros again and equal weights are
    equal.

    A cluster's value becomes the mean of its weights after the training step.
    """

    class Keeping(library.callbacks.Callback):  # type: ignore[misc, name-defined]
        def on_train_begin(self, logs: Any = None) -> None:
            self.groups = {name: _groups(variable.numpy()) for name, variable in variables.items()}

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            for name, variable in variables.items():
                variable.assign(_kept(variable.numpy(), self.groups[name]))

    return Keeping()


def _groups(kernel: np.ndarray) -> np.ndarray:
    """The group of each weight; -1 for a zero. Without clusters each weight is a group of its own."""
    structure = structure_of(kernel)
    if structure.is_clustered:
        groups = np.unique(kernel, return_inverse=True)[1].reshape(kernel.shape)
    else:
        groups = np.arange(kernel.size).reshape(kernel.shape)
    return np.where(kernel == 0, -1, groups) if structure.is_pruned else groups


def _kept(kernel: np.ndarray, groups: np.ndarray) -> np.ndarray:
    flat, places = kernel.ravel().astype(np.float64), groups.ravel() + 1
    sums = np.bincount(places, flat)
    means = (sums / np.maximum(np.bincount(places), 1)).astype(kernel.dtype)
    means[0] = 0.0
    return means[groups + 1]
