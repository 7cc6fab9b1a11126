"""A live Keras model whose kernels have the values that few bits can store, chosen by rows without training.

The export does the same with 4-bit weights (`rounded_file`). Here it is done before any file exists: a training with few
bits starts from it, and has to beat it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lwdash.contract import Training
from lwdash.quantize.rounding.weight_rounding import compensated, least_squares
from lwdash.training.kernels import Kernel
from lwdash.training.latent_weights import channels_back, channels_first
from lwdash.training.layerwise.layer_by_layer import change_in_one_pass


def round_kernels(
    model: Any, kernels: Mapping[str, Kernel], training: Training, bits: Mapping[str, int], *, is_shared: bool
) -> None:
    """Round kernels of `model` in place; biases and statistics of batch normalization follow.

    bits: by the paths of `kernels`. is_shared: one scale for each kernel instead of one for each output channel.
    """

    def solve(kernel: Kernel, _: np.ndarray, weights: np.ndarray, moments: np.ndarray) -> np.ndarray:
        limit = _largest(bits[kernel.path])
        found = compensated(weights.transpose(0, 2, 1), moments, limit, is_shared=is_shared)
        return found.values.transpose(0, 2, 1)

    done = change_in_one_pass(model, kernels, training, solve, what="rounding")
    for path, kernel in kernels.items():
        if path not in done.errors:
            weights = channels_first(kernel, kernel.values)[None]
            found = least_squares(weights, _largest(bits[path]), is_shared=is_shared)
            kernel.variable.assign(channels_back(kernel, found.values[0]).astype(kernel.values.dtype))


def _largest(bits: int) -> int:
    return 2 ** (bits - 1) - 1
