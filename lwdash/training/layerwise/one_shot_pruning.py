"""Pruning without training: `brain_surgeon` prunes each kernel by the inputs that its layer receives from rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lwdash.training.kernels import Kernel
from lwdash.training.layerwise.brain_surgeon import Units, prune
from lwdash.training.layerwise.layer_by_layer import Changes, change_in_one_pass
from lwdash.training.pruning_masks import TWO_OF_FOUR, blocks


def prune_in_one_pass(
    model: Any,
    kernels: Mapping[str, Kernel],
    inputs: Sequence[np.ndarray],
    *,
    share: float,
    structure: str,
    seed: int,
    report: Callable[[str, float], None],
) -> Changes:
    """Prune the kernels of a live model in place; share: 0–1, of each kernel."""

    def solve(kernel: Kernel, places: np.ndarray, weights: np.ndarray, moments: np.ndarray) -> np.ndarray:
        return prune(weights, moments, _units(kernel, places, share, structure))

    return change_in_one_pass(model, kernels, inputs, solve, what="pruning", seed=seed, report=report)


def _units(kernel: Kernel, places: np.ndarray, share: float, structure: str) -> Units:
    if structure == TWO_OF_FOUR:
        return Units(places, share, blocks(kernel, "4x1").ravel()[places])
    return Units(blocks(kernel, structure).ravel()[places], share)
