"""The kernels of a live model of either Keras that lwdash's own masks and shared values can treat, and their axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lwdash.contract import Skipped
from lwdash.errors import RecipeError
from lwdash.keras_models.ports import leaf_layers
from lwdash.training.layer_selection import matches, refuse_unknown

UNTREATED = (
    "Normalization",
    "BatchNormalization",
    "LayerNormalization",
    "GroupNormalization",
    "RMSNormalization",
)
DEPTHWISE_STAYS = "a depthwise kernel has few weights per channel; depthwise=true treats it too"


@dataclass(frozen=True)
class Kernel:
    """One kernel, in Keras' layout.

    path: `layer/kernel`, with the names of inner parts between: `both/forward_lstm/lstm_cell/kernel`.
    channels: the axes of its output channels.
    inputs: the axis of the input channels, summed over and last in the .tflite; None where there is no such
    sum (depthwise kernels, embeddings).
    """

    path: str
    variable: Any
    channels: tuple[int, ...]
    inputs: int | None
    is_depthwise: bool

    @property
    def values(self) -> np.ndarray:
        return np.asarray(self.variable)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(n) for n in self.variable.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    @property
    def channel_size(self) -> int:
        """Number of weights per output channel."""
        return self.size // int(np.prod([self.shape[axis] for axis in self.channels]))

    @property
    def most_values(self) -> int:
        """Number of distinct values of the channel with the most of them."""
        pairs = np.stack([self.channel_numbers.ravel(), self.values.ravel()])
        return int(np.bincount(np.unique(pairs, axis=1)[0].astype(np.int64)).max())

    @property
    def channel_numbers(self) -> np.ndarray:
        """The index of each weight's output channel, in the kernel's shape."""
        counts = [self.shape[axis] for axis in self.channels]
        shape = [self.shape[axis] if axis in self.channels else 1 for axis in range(len(self.shape))]
        return np.broadcast_to(np.arange(np.prod(counts)).reshape(shape), self.shape)


@dataclass(frozen=True)
class Kernels:
    """The kernels to treat, by path, and the skipped ones."""

    chosen: Mapping[str, Kernel]
    skipped: tuple[Skipped, ...]


def choose(
    model: Any, skip: Sequence[str], why_not: Callable[[Kernel], str | None], *, only: Sequence[str] = ()
) -> Kernels:
    """The kernels for which `why_not` gives no reason; layers that match `skip` stay unchanged, and if `only` is not
    empty, all layers that do not match it.

    Raises RecipeError when a pattern matches no layer, or no kernel is left to treat.
    """
    chosen, skipped = {}, []
    paths = {path: layer for path, layer in leaf_layers(model) if layer.weights}
    refuse_unknown(skip, paths)
    refuse_unknown(only, paths, "only")
    for path, layer in paths.items():
        kind = type(layer).__name__
        is_left_out = bool(only) and not any(matches(path, layer.name, pattern) for pattern in only)
        if is_left_out or any(matches(path, layer.name, pattern) for pattern in skip):
            skipped.append(Skipped(path, "skipped by the recipe"))
            continue
        kernels = [] if kind in UNTREATED else kernels_of(path, layer)
        reasons = {kernel.path: why_not(kernel) for kernel in kernels}
        chosen.update({kernel.path: kernel for kernel in kernels if reasons[kernel.path] is None})
        skipped.extend(Skipped(name, reason) for name, reason in reasons.items() if reason is not None)
        if not kernels:
            skipped.append(Skipped(path, f"{kind} has no kernel that this technique treats"))
    if not chosen:
        listed = "; ".join(f"{s.layer}: {s.reason}" for s in skipped) or "the model has no weights"
        raise RecipeError(f"there is no layer to treat ({listed})")
    return Kernels(chosen, tuple(skipped))


def layers_of_kernels(model: Any) -> dict[str, str]:
    """Path of each kernel → path of its layer."""
    return {kernel.path: path for path, layer in leaf_layers(model) for kernel in kernels_of(path, layer)}


def numbers_of_kernels(
    model: Any, usual: Any, numbers: Sequence[tuple[str, Any]], parameter: str
) -> dict[str, Any]:
    """Path of each kernel → the number of the last pattern that matches its layer, or else `usual`.

    Raises RecipeError when a pattern of the parameter matches no layer.
    """
    layers = {path: layer for path, layer in leaf_layers(model) if layer.weights}
    refuse_unknown([pattern for pattern, _ in numbers], layers, parameter)
    found = {}
    for path, layer in layers.items():
        fitting = [number for pattern, number in numbers if matches(path, layer.name, pattern)]
        found.update({kernel.path: fitting[-1] if fitting else usual for kernel in kernels_of(path, layer)})
    return found


def beyond(model: Any, skip: Sequence[str], knows: Callable[[Any], bool]) -> list[str]:
    """Paths of the layers with kernels that a library does not know (according to `knows`): mostly wrappers
    such as Bidirectional and TimeDistributed. Depthwise kernels and layers that match `skip` do not count.
    """
    return [
        path
        for path, layer in leaf_layers(model)
        if not knows(layer)
        and type(layer).__name__ not in UNTREATED
        and not any(matches(path, layer.name, pattern) for pattern in skip)
        and any(not kernel.is_depthwise for kernel in kernels_of(path, layer))
    ]


def only_depthwise(layer: Any) -> list[Any] | Skipped:
    """Reason why TFMOT finds no kernel in a layer: it has only a depthwise kernel, or none."""
    own = kernels_of(layer.name, layer)
    return Skipped(layer.name, DEPTHWISE_STAYS) if any(kernel.is_depthwise for kernel in own) else []


def kernels_of(path: str, layer: Any) -> list[Kernel]:
    """The kernels of a layer, embeddings included; biases and other variables are not kernels."""
    kernels = []
    kind = type(getattr(layer, "layer", layer)).__name__  # the kind of the wrapped layer
    for variable in layer.weights:
        called = getattr(variable, "path", None) or variable.name.partition(":")[0]
        inner = called.rpartition(f"{layer.name}/")[2] or called
        last = inner.rpartition("/")[2]
        if len(variable.shape) > 1 and ("kernel" in last or last == "embeddings"):
            axes = _axes(kind, inner, len(variable.shape))
            kernels.append(Kernel(f"{path}/{inner}", variable, *axes))
    return kernels


def _axes(kind: str, name: str, rank: int) -> tuple[tuple[int, ...], int | None, bool]:
    """(channels, inputs, is_depthwise) as in `Kernel`."""
    if "depthwise_kernel" in name or kind.startswith("Depthwise"):
        return (rank - 2, rank - 1), None, True
    if kind.endswith("Transpose"):
        return (rank - 2,), rank - 1, False
    if "Attention" in kind and rank == 3:
        return ((2,), 1, False) if "output" in name else ((1, 2), 0, False)
    if name.endswith("embeddings"):
        return (rank - 1,), None, False
    return (rank - 1,), rank - 2, False
