"""Pruning without training: `brain_surgeon` prunes each kernel by the inputs that its layer receives from rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lwdash.training.kernels import Kernel
from lwdash.training.layerwise.brain_surgeon import MAX_OPERATIONS, Units, prune
from lwdash.training.layerwise.layer_by_layer import Solve
from lwdash.training.pruning.pruning_masks import TWO_OF_FOUR, blocks


def pruning(shares: Mapping[str, float], structure: str, *, max_operations: float = MAX_OPERATIONS) -> Solve:
    """Removes a share of each kernel's weights. shares: kernel path → 0–1."""

    def solve(kernel: Kernel, places: np.ndarray, weights: np.ndarray, moments: np.ndarray) -> np.ndarray:
        units = _units(kernel, places, shares[kernel.path], structure)
        return prune(weights, moments, units, max_operations=max_operations)

    return solve


def _units(kernel: Kernel, places: np.ndarray, share: float, structure: str) -> Units:
    if structure == TWO_OF_FOUR:
        return Units(places, share, blocks(kernel, "4x1").ravel()[places])
    return Units(blocks(kernel, structure).ravel()[places], share)
