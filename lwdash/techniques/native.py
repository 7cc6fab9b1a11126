"""Pruning and clustering on the Keras 3 model itself, for models that have no Keras 2 twin for TFMOT.

The same mathematics by callbacks: a mask after each batch; one value for each cluster after each batch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lwdash.errors import RecipeError
from lwdash.techniques.contract import Skipped
from lwdash.techniques.selection import leaf_layers, matches

UNTREATED = (
    "Normalization",
    "BatchNormalization",
    "LayerNormalization",
    "GroupNormalization",
    "RMSNormalization",
)
DEPTHWISE = ("depthwise_kernel",)


@dataclass(frozen=True)
class Kernels:
    """The weights a native technique treats, by path, and what it leaves."""

    variables: Mapping[str, Any]
    skipped: tuple[Skipped, ...]

    def values(self, model: Any) -> dict[str, np.ndarray]:
        """The kernels' values in `model`, a copy of the one they were chosen from."""
        return {path: np.asarray(variable) for path, variable in _weights(model) if path in self.variables}


def choose(model: Any, skip: Sequence[str], smallest: int) -> Kernels:
    """Kernels with more than `smallest` weights; depthwise kernels and normalizations stay as they are.

    Raises RecipeError when nothing is left.
    """
    variables, skipped = {}, []
    for path, layer in leaf_layers(model):
        if not layer.weights:
            continue
        kind = type(layer).__name__
        if any(matches(path, layer.name, pattern) for pattern in skip):
            skipped.append(Skipped(path, "left alone by the recipe"))
        elif kind in UNTREATED:
            skipped.append(Skipped(path, f"{kind} has no kernel that this technique treats"))
        else:
            for name, variable in _layer_weights(path, layer):
                if len(variable.shape) < 2:
                    continue
                if name.rpartition("/")[2] in DEPTHWISE or kind.startswith("Depthwise"):
                    skipped.append(
                        Skipped(name, "a depthwise kernel has too few weights a channel to spare any")
                    )
                elif int(np.prod(variable.shape)) <= smallest:
                    skipped.append(Skipped(name, f"it has only {int(np.prod(variable.shape))} weights"))
                else:
                    variables[name] = variable
    if not variables:
        reasons = "; ".join(f"{s.layer}: {s.reason}" for s in skipped) or "the model has no weights"
        raise RecipeError(f"there is no layer to treat ({reasons})")
    return Kernels(variables, tuple(skipped))


def masking(kernels: Kernels, sparsity_at: Callable[[int], float]) -> Any:
    """A callback that keeps the smallest weights at zero; `sparsity_at(step)` is how many of them."""
    import keras

    class Masking(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            self.step, self.share = 0, -1.0
            self.masks: dict[str, np.ndarray] = {}

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.step += 1
            share = sparsity_at(self.step)
            for path, variable in kernels.variables.items():
                values = np.asarray(variable)
                if share != self.share:
                    self.masks[path] = smallest_mask(values, share)
                variable.assign(values * self.masks[path])
            self.share = share

    return Masking()


def smallest_mask(values: np.ndarray, share: float) -> np.ndarray:
    """1 for the weights to keep, 0 for the `share` of them with the smallest magnitude."""
    mask = np.ones(values.size, values.dtype)
    mask[np.argsort(np.abs(values), axis=None, kind="stable")[: round(share * values.size)]] = 0
    return mask.reshape(values.shape)


def sharing(kernels: Kernels, clusters: int, init: str, seed: int, keep_zeros: bool) -> Any:
    """A callback that gives all weights of a cluster one value, their mean, after each batch.

    keep_zeros: weights that are zero at the start are a cluster of their own and stay zero.
    """
    import keras

    class Sharing(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            chance = np.random.default_rng(seed)
            self.groups = {
                path: assign(np.asarray(variable), clusters, init, chance, keep_zeros=keep_zeros)
                for path, variable in kernels.variables.items()
            }
            self.share_values()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.share_values()

        def share_values(self) -> None:
            for path, variable in kernels.variables.items():
                values, groups = np.asarray(variable), self.groups[path]
                sums = np.bincount(groups.ravel(), values.ravel().astype(float), minlength=clusters + 1)
                counts = np.maximum(np.bincount(groups.ravel(), minlength=clusters + 1), 1)
                means = (sums / counts).astype(values.dtype)
                means[clusters] = 0.0
                variable.assign(means[groups])

    return Sharing()


def assign(
    values: np.ndarray, clusters: int, init: str, chance: np.random.Generator, *, keep_zeros: bool
) -> np.ndarray:
    """The cluster of each weight, an index below `clusters`; kept zeros have the index `clusters`.

    Start values as in TFMOT: linear, density (quantiles), random (uniform) or kmeans++ (Arthur and
    Vassilvitskii 2007), then each weight goes to the nearest.
    """
    weights = values[values != 0] if keep_zeros else values.ravel()
    count = clusters - 1 if keep_zeros and (values == 0).any() else clusters
    low, high = float(weights.min()), float(weights.max())
    if init == "density":
        centres = np.quantile(weights, (np.arange(count) + 0.5) / count)
    elif init == "random":
        centres = chance.uniform(low, high, count)
    elif init == "kmeans++":
        centres = _far_apart(weights, count, chance)
    else:
        centres = np.linspace(low, high, count)
    centres = np.sort(centres)
    borders = (centres[1:] + centres[:-1]) / 2
    groups = np.searchsorted(borders, values)
    if keep_zeros:
        groups[values == 0] = clusters
    return groups


def _far_apart(weights: np.ndarray, count: int, chance: np.random.Generator) -> np.ndarray:
    centres = [float(chance.choice(weights))]
    distances = (weights - centres[0]) ** 2
    while len(centres) < count:
        total = distances.sum()
        shares = distances / total if total > 0 else None
        centres.append(float(chance.choice(weights, p=shares)))
        distances = np.minimum(distances, (weights - centres[-1]) ** 2)
    return np.array(centres)


def _weights(model: Any) -> list[tuple[str, Any]]:
    return [pair for path, layer in leaf_layers(model) for pair in _layer_weights(path, layer)]


def _layer_weights(path: str, layer: Any) -> list[tuple[str, Any]]:
    """(path/name, variable) of a layer's weights; inner parts (cells, projections) keep their own names between."""
    pairs = []
    for variable in layer.weights:
        inner = variable.path.partition(f"{layer.name}/")[2] or variable.name
        pairs.append((f"{path}/{inner}", variable))
    return pairs
