"""The selection of layers that a keras-stage technique treats, with reasons for those that it skips."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from lwdash.contract import Skipped
from lwdash.errors import RecipeError
from lwdash.keras_models.ports import leaf_layers
from lwdash.parameters import nearest


@dataclass(frozen=True)
class Selection:
    """The layers to treat by name, the names of their kernels, and the skipped layers."""

    names: frozenset[str]
    kernel_names: dict[str, tuple[str, ...]]
    skipped: tuple[Skipped, ...]

    def kernels(self, model: Any) -> Iterator[tuple[str, str, np.ndarray]]:
        """(layer path, kernel, values) of the treated kernels in `model`, a copy of the one selected from."""
        for path, layer in leaf_layers(model):
            weights = layer.weights if layer.name in self.names else ()
            treated = [w for w in weights if weight_name(w) in self.kernel_names[layer.name]]
            often = Counter(weight_name(weight) for weight in treated)
            for weight in treated:
                name = weight_name(weight)
                yield path, name if often[name] == 1 else _inner_name(weight, layer), weight.numpy()


def select(
    model: Any, kernels_of: Callable[[Any], Sequence[Any] | Skipped], skip: Sequence[str]
) -> Selection:
    """Call `kernels_of` for every layer with weights; `skip` holds names or patterns that the user left out.

    Raises RecipeError when a pattern in `skip` matches no layer, or no layer is left to treat.
    """
    kernel_names: dict[str, tuple[str, ...]] = {}
    skipped = []
    paths = {path: layer for path, layer in leaf_layers(model) if layer.weights}
    refuse_unknown(skip, paths)
    for path, layer in paths.items():
        if any(matches(path, layer.name, pattern) for pattern in skip):
            skipped.append(Skipped(path, "skipped by the recipe"))
            continue
        found = kernels_of(layer)
        if isinstance(found, Skipped):
            skipped.append(Skipped(path, found.reason))
            continue
        kernels = [w for w in found if w is not None]
        if not kernels:
            skipped.append(Skipped(path, f"{type(layer).__name__} has no kernel that this technique treats"))
            continue
        kernel_names[layer.name] = tuple(weight_name(w) for w in kernels)
        treated = dict.fromkeys(kernel_names[layer.name])
        rest = dict.fromkeys(
            name
            for name, weight in ((weight_name(w), w) for w in layer.trainable_weights)
            if weight.shape.rank > 1 and name not in treated and "bias" not in name
        )
        if rest:
            reason = f"{', '.join(rest)} stays unchanged, only {', '.join(treated)} is treated"
            skipped.append(Skipped(path, reason))
    if not kernel_names:
        reasons = "; ".join(f"{s.layer}: {s.reason}" for s in skipped) or "the model has no weights"
        raise RecipeError(f"there is no layer to treat ({reasons})")
    return Selection(frozenset(kernel_names), kernel_names, tuple(skipped))


def refuse_unknown(patterns: Sequence[str], layers: Mapping[str, Any], parameter: str = "skip") -> None:
    """Raises RecipeError when a pattern of the parameter matches none of the layers, given by path."""
    for pattern in patterns:
        if not any(matches(path, layer.name, pattern) for path, layer in layers.items()):
            known = [layer.name for layer in layers.values()]
            raise RecipeError(
                f"{parameter}: no layer is named {pattern!r} (layers: {', '.join(known)}){nearest(pattern, known)}"
            )


def weight_name(weight: Any) -> str:
    """`conv1d/kernel:0` → `kernel`."""
    return weight.name.rpartition("/")[2].partition(":")[0]


def _inner_name(weight: Any, layer: Any) -> str:
    """`both/forward_lstm/lstm_cell/kernel:0` → `forward_lstm/lstm_cell/kernel`, in a layer of several parts."""
    name = weight.name.partition(":")[0]
    return name.rpartition(f"{layer.name}/")[2] or name


def matches(path: str, name: str, pattern: str) -> bool:
    """True if a pattern matches this layer: by its path, its name, or the nested model it is part of.

    Steps that change the structure flatten nested models, whose layers are then named by their path.
    """
    parts = path.split("/")
    outer = ("/".join(parts[:end]) for end in range(1, len(parts)))
    return any(fnmatchcase(called, pattern) for called in (path, name, parts[-1], *outer))
