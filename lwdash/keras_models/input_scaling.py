"""The scaling that a model applies to its own inputs: Rescaling, Normalization, x / 255, a first batch norm.

Only its config and the statistics stored with its normalizations are read. The linter holds the data against it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lwdash.keras_models.bridge.twin_layers import augments
from lwdash.keras_models.model_facts import InputScaling
from lwdash.keras_models.network import LayerNode, Network, TensorRef
from lwdash.keras_models.scan.allowed_classes import names
from lwdash.keras_models.scan.layer_settings import CallOptions

Statistics = Mapping[str, Mapping[str, Sequence[float]]]
"""Layer path → "mean" and "variance" as stored with a Normalization or a BatchNormalization."""

MOST_CHANNELS = 4096
MAX_STEPS = 50
"""Layers that scale one after the other; longer chains are not followed."""
LEARNT = frozenset({"Normalization", "BatchNormalization"})
LOOKUPS = names("Embedding IntegerLookup StringLookup CategoryEncoding Hashing Discretization")
SAME_VALUES = names(
    """
    InputLayer Dropout GaussianNoise GaussianDropout Identity Reshape Flatten Permute ZeroPadding1D ZeroPadding2D
    Cropping1D Cropping2D CenterCrop Resizing ActivityRegularization Masking SpatialDropout1D SpatialDropout2D
    """
)
"""Layers after which the values are still in the range they came in; those that vary rows in training are too."""
ARITHMETIC = {
    "truedivide": lambda x: (1 / x, 0.0),
    "divide": lambda x: (1 / x, 0.0),
    "truediv": lambda x: (1 / x, 0.0),
    "multiply": lambda x: (x, 0.0),
    "add": lambda x: (1.0, x),
    "subtract": lambda x: (1.0, -x),
}


class _Untold(Exception):
    """The file does not tell what happens to the values."""


@dataclass
class _Chain:
    """y = scale·x + offset so far, one pair for all values or one a channel, and the layers that do it.

    rank: axes of the values, batch axis included; None where a layer has changed them.
    """

    scale: list[float]
    offset: list[float]
    layers: list[str]
    rank: int | None = None
    is_learnt: bool = False

    def then(self, scale: Sequence[float], offset: Sequence[float], layer: str) -> None:
        width = max(len(self.scale), len(scale))
        if width > MOST_CHANNELS or len(self.layers) >= MAX_STEPS:
            raise _Untold
        if not all(len(v) in (1, width) for v in (self.scale, scale, offset)):
            raise _Untold
        old_scale, old_offset, new_scale, new_offset = (
            [*v] * width if len(v) == 1 else [*v] for v in (self.scale, self.offset, scale, offset)
        )
        self.scale = [a * b for a, b in zip(old_scale, new_scale, strict=True)]
        self.offset = [o * b + c for o, b, c in zip(old_offset, new_scale, new_offset, strict=True)]
        self.layers.append(layer)


def input_scaling(network: Network, statistics: Statistics) -> tuple[InputScaling, ...]:
    """For every input of the model, in order: what its first layers make of a value."""
    return tuple(_scaling(network, ref, statistics) for ref in network.inputs)


def _scaling(network: Network, ref: TensorRef, statistics: Statistics) -> InputScaling:
    node = network.by_name.get(ref.layer)
    is_input = node is not None and node.class_name == "InputLayer"
    shape = node.config.get("batch_shape") if node is not None and is_input else None
    chain = _Chain([1.0], [0.0], [], rank=len(shape) if shape else None)
    try:
        _follow(network, ref.layer, "", statistics, chain)
    except (_Untold, ZeroDivisionError):
        return InputScaling(ref.layer, tuple(chain.layers), is_told=False)
    if not all(map(math.isfinite, (*chain.scale, *chain.offset))):
        return InputScaling(ref.layer, tuple(chain.layers), is_told=False)
    return InputScaling(
        ref.layer, tuple(chain.layers), tuple(chain.scale), tuple(chain.offset), chain.is_learnt
    )


def _follow(network: Network, layer: str, prefix: str, statistics: Statistics, chain: _Chain) -> bool:
    """Walks from the output of `layer` as long as one layer alone takes it and only scales or passes on.

    Returns whether that leads to the network's output.
    """
    seen: set[str] = set()
    while layer not in seen:
        seen.add(layer)
        takers = network.takers.get(layer, [])
        if len(takers) != 1:
            if any(node.class_name in LOOKUPS for node in takers):
                raise _Untold
            return not takers and layer in {ref.layer for ref in network.outputs}
        node = takers[0]
        if node.network is not None:
            inside, path = node.network, f"{prefix}{node.name}/"
            if not inside.inputs or not _follow(inside, inside.inputs[0].layer, path, statistics, chain):
                return False
        elif not _apply(node, prefix + node.name, statistics, chain):
            return False
        layer = node.name
        if chain.is_learnt:
            return False
    raise _Untold  # layers that feed each other in a circle


def _apply(node: LayerNode, path: str, statistics: Statistics, chain: _Chain) -> bool:
    """Adds the layer to the chain; False where the values are used for the first time."""
    name, config = node.class_name, node.config
    if isinstance(config, CallOptions):
        return _operation(node, config, path, chain)
    if name in LOOKUPS:
        raise _Untold
    if name == "Rescaling":
        if "scale" not in config:
            raise _Untold
        chain.then(config["scale"], config.get("offset", (0.0,)), path)
        return True
    if name in LEARNT:
        _normalize(node, path, statistics, chain)
        return True
    if name == "Activation":
        return config.get("activation") == "linear"
    if name in ("Reshape", "Flatten", "Permute"):
        chain.rank = None
        if len(chain.scale) > 1:
            raise _Untold
    return name in SAME_VALUES or augments(name)


def _normalize(node: LayerNode, path: str, statistics: Statistics, chain: _Chain) -> None:
    config = node.config
    if node.class_name == "Normalization" and config.get("invert"):
        raise _Untold
    stated = node.class_name == "Normalization" and config.get("mean") is not None
    found: Mapping[str, Sequence[float]] = config if stated else statistics.get(path, {})
    mean, variance = found.get("mean"), found.get("variance")
    if mean is None or variance is None or not _is_last(config.get("axis", -1), chain.rank):
        raise _Untold
    epsilon = config.get("epsilon")
    least = (
        (1e-3 if epsilon is None else max(epsilon, 0.0)) if node.class_name == "BatchNormalization" else 0.0
    )
    deviations = [math.sqrt(max(v, 0.0) + least) for v in variance]
    if not len(mean) == len(deviations) <= MOST_CHANNELS:
        raise _Untold
    # Keras divides by at least 1e-7 there: a column that was constant in training tells nothing of a scale.
    scale = [1 / d if d > 1e-4 else 0.0 for d in deviations]
    chain.then(scale, [-m * s for m, s in zip(mean, scale, strict=True)], path)
    chain.is_learnt = True


def _is_last(axis: int | tuple[int, ...] | None, rank: int | None) -> bool:
    """Whether the statistics are for the last axis, or for all values together. Keras 2 may count from the front."""
    numbers = axis if isinstance(axis, tuple) else () if axis is None else (axis,)
    return all(number == -1 or (rank is not None and number == rank - 1) for number in numbers[:1]) and (
        len(numbers) < 2
    )


def _operation(node: LayerNode, config: CallOptions, path: str, chain: _Chain) -> bool:
    name = str(config.told("function") or node.class_name).rsplit(".", 1)[-1].strip("_").lower()
    if name not in ARITHMETIC or len(node.calls) != 1 or not node.options:
        return False
    options = node.options[0]
    value = next((told for k in ("key", "y", "x2") if (told := options.told(k)) is not None), None)
    if not isinstance(value, (int, float)):
        return False
    scale, offset = ARITHMETIC[name](float(value))
    chain.then([scale], [offset], path)
    return True
