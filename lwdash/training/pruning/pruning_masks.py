"""Pruning masks: chosen by a criterion and kept while the other weights are trained, in either Keras.

TFMOT treats one kernel at a time, by magnitude. This module also supports one threshold for all kernels,
random choice as a control, and patterns in kernels of any rank: 2:4 as in NVIDIA's "Accelerating Sparse Deep
Neural Networks" (arXiv 2104.08378), along the input channels, which are last in the .tflite, and blocks of
inputs × outputs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lwdash.training.kernels import Kernel

TWO_OF_FOUR = "2:4"
GROUP = 4
"""Neighbours along the input channels; 2:4 keeps at most two of them."""


class Masks:
    """Masks of the weights that stay, kernel by kernel; removed weights stay zero.

    scope: "layer" removes the same share from every kernel, "global" from all together, by one threshold.
    criterion: "magnitude" removes the smallest, "random" any.
    structure: "none" weight by weight, "2:4", or a block such as "4x1": 4 inputs × 1 output, by its mean
    magnitude.
    """

    def __init__(
        self, kernels: Mapping[str, Kernel], *, scope: str, criterion: str, structure: str, seed: int
    ):
        self.kernels, self.scope, self.structure = kernels, scope, structure
        chance = np.random.default_rng(seed)
        self._drawn = {
            path: 1.0 - chance.random(kernel.shape)
            for path, kernel in (kernels.items() if criterion == "random" else ())
        }
        self._kept = {path: np.ones(kernel.shape, bool) for path, kernel in kernels.items()}

    def raise_to(self, share: float | Mapping[str, float]) -> None:
        """Remove weights until `share` of them is zero, with scope "layer" also by path; 2:4 removes at most 0.5."""
        units = {path: self._units(kernel) for path, kernel in self.kernels.items()}
        together = [list(units)] if self.scope == "global" else [[path] for path in units]
        for paths in together:
            scores, sizes = (np.concatenate([units[path][i] for path in paths]) for i in (0, 1))
            wanted = share[paths[0]] if isinstance(share, Mapping) else share
            dropped = _lowest(scores, sizes, wanted * 2 if self.structure == TWO_OF_FOUR else wanted)
            ends = np.cumsum([len(units[path][0]) for path in paths])[:-1]
            for path, gone in zip(paths, np.split(dropped, ends), strict=True):
                self._kept[path] = ~gone[units[path][2]]
        self.apply()

    def raised_at_once(self, model: Any, share: float) -> list[np.ndarray]:
        """The weights of `model` after `raise_to(share)`; the model and the masks stay as they are."""
        before, kept = model.get_weights(), dict(self._kept)
        self.raise_to(share)
        found: list[np.ndarray] = model.get_weights()
        self._kept = kept
        model.set_weights(before)
        return found

    def values(self) -> list[np.ndarray]:
        """The present values of all kernels."""
        return [kernel.values for kernel in self.kernels.values()]

    def take_zeros(self) -> None:
        """Keep what is not zero now, after the weights were replaced by those of other masks."""
        self._kept = {path: kernel.values != 0 for path, kernel in self.kernels.items()}

    def apply(self) -> None:
        """Set removed weights to zero again, after the weights have changed."""
        for path, kernel in self.kernels.items():
            kernel.variable.assign(np.where(self._kept[path], kernel.values, 0))

    def keeping(self) -> Callable[[], None]:
        """A compiled `apply` for the masks as they are now: after every batch, one for each kernel would be slow."""
        import tensorflow as tf

        pairs = [
            (kernel.variable, tf.constant(self._kept[path].astype(kernel.values.dtype)))
            for path, kernel in self.kernels.items()
        ]

        @tf.function  # type: ignore[misc]
        def keep() -> None:
            for variable, kept in pairs:
                variable.assign(variable * kept)

        return keep  # type: ignore[no-any-return]

    def callback(self, library: Any, share_at: Callable[[int], float] | None) -> Any:
        """A callback of `library` that restores the zeros after each batch.

        `share_at(step)` is their share; None keeps them as they are.
        """
        masks = self

        class Masking(library.callbacks.Callback):  # type: ignore[misc, name-defined]
            def on_train_begin(self, logs: Any = None) -> None:
                self.step, self.share = 0, 0.0
                if share_at is not None:
                    self.share = share_at(0)
                    masks.raise_to(self.share)
                self.keep = masks.keeping()

            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                self.step += 1
                share = share_at(self.step) if share_at is not None else self.share
                if share != self.share:
                    self.share = share
                    masks.raise_to(share)
                    self.keep = masks.keeping()
                else:
                    self.keep()

        return Masking()

    def _units(self, kernel: Kernel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(scores, sizes, the unit of each weight) of weights that are removed together; units with score ∞
        and size 0 are never removed.
        """
        scores = self._drawn.get(kernel.path)
        scores = np.abs(kernel.values).astype(np.float64) if scores is None else scores
        scores = np.where(self._kept[kernel.path], scores, 0.0)
        if self.structure == TWO_OF_FOUR:
            removed = _removed_by_two_of_four(scores, kernel)
            numbers = np.arange(kernel.size).reshape(kernel.shape)
            return np.where(removed, scores, np.inf).ravel(), removed.ravel().astype(np.int64), numbers
        numbers = blocks(kernel, self.structure)
        sizes = np.bincount(numbers.ravel())
        return np.bincount(numbers.ravel(), scores.ravel()) / sizes, sizes, numbers


def fits_two_of_four(kernel: Kernel) -> str | None:
    """Reason why 2:4 cannot remove weights of a kernel; None where it can."""
    if kernel.inputs is None:
        return (
            "2:4 removes two of four neighbours along the input channels, but this kernel does not "
            "sum over any"
        )
    count = kernel.shape[kernel.inputs]
    return (
        None
        if count > 2
        else f"it has only {count} input channel{'s' * (count > 1)}, but 2:4 keeps two of four"
    )


def _removed_by_two_of_four(scores: np.ndarray, kernel: Kernel) -> np.ndarray:
    """The weights that 2:4 removes: all but the two highest of every four along the input channels.

    If the number of channels is not a multiple of four, the last group is smaller; two of it are kept as
    well.
    """
    assert kernel.inputs is not None
    rows = np.moveaxis(scores, kernel.inputs, -1)
    count = rows.shape[-1]
    padded = np.concatenate([rows, np.full((*rows.shape[:-1], -count % GROUP), -1.0)], axis=-1)
    groups = padded.reshape(*rows.shape[:-1], -1, GROUP)
    ranks = np.argsort(np.argsort(-groups, axis=-1, kind="stable"), axis=-1, kind="stable")
    removed = (ranks >= GROUP // 2).reshape(padded.shape)[..., :count]
    return np.moveaxis(removed, -1, kernel.inputs)


def blocks(kernel: Kernel, structure: str) -> np.ndarray:
    """The index of each weight's block; blocks at a border may be smaller. Without a structure each weight is a block."""
    size = re.fullmatch(r"(\d+)x(\d+)", structure)
    if size is None:
        return np.arange(kernel.size).reshape(kernel.shape)
    inputs = kernel.inputs if kernel.inputs is not None else len(kernel.shape) - 2
    outputs = kernel.channels[-1]
    steps = {inputs: int(size[1]), outputs: int(size[2])}
    numbers = np.zeros(kernel.shape, np.int64)
    for axis, length in enumerate(kernel.shape):
        step = steps.get(axis, 1)
        shape = [length if i == axis else 1 for i in range(len(kernel.shape))]
        numbers = numbers * -(-length // step) + (np.arange(length) // step).reshape(shape)
    return numbers


def _lowest(scores: np.ndarray, sizes: np.ndarray, share: float) -> np.ndarray:
    """Mask of the lowest units that together have at most `share` of the weights."""
    order = np.argsort(scores, kind="stable")
    count = int(np.searchsorted(np.cumsum(sizes[order]), round(share * sizes.sum()), side="right"))
    gone = np.zeros(len(scores), bool)
    gone[order[:count]] = True
    return gone & (sizes > 0)
