"""The scaling that a model applies to its own inputs: Rescaling, Normalization, x / 255, a first batch norm.

It is read from the config and from the statistics stored with normalizations. The linter compares the data
with it.
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

MAX_CHANNELS = 4096
MAX_STEPS = 50
"""Longest chain of scaling layers that is followed."""
LEARNT = frozenset({"Normalization", "BatchNormalization"})
LOOKUPS = names("Embedding IntegerLookup StringLookup CategoryEncoding Hashing Discretization")
SAME_VALUES = names(
    """
    InputLayer Dropout GaussianNoise GaussianDropout Identity Reshape Flatten Permute ZeroPadding1D ZeroPadding2D
    Cropping1D Cropping2D CenterCrop Resizing ActivityRegularization Masking SpatialDropout1D SpatialDropout2D
    """
)
"""Layers that keep the range of the values; layers that vary rows only in training are included."""
ARITHMETIC = {
    "truedivide": lambda x: (1 / x, 0.0),
    "divide": lambda x: (1 / x, 0.0),
    "truediv": lambda x: (1 / x, 0.0),
    "multiply": lambda x: (x, 0.0),
    "add": lambda x: (1.0, x),
    "subtract": lambda x: (1.0, -x),
}


class _NotStated(Exception):
    """The file does not state what happens to the values."""


@dataclass
class _Chain:
    """y = scale·x + offset so far, one pair for all values or one per channel, and the layers that compute
    it.

    rank: number of axes, batch axis included; None where a layer has changed the axes.
    """

    scale: list[float]
    offset: list[float]
    layers: list[str]
    rank: int | None = None
    is_learnt: bool = False

    def then(self, scale: Sequence[float], offset: Sequence[float], layer: str) -> None:
        width = max(len(self.scale), len(scale))
        if width > MAX_CHANNELS or len(self.layers) >= MAX_STEPS:
            raise _NotStated
        if not all(len(v) in (1, width) for v in (self.scale, scale, offset)):
            raise _NotStated
        old_scale, old_offset, new_scale, new_offset = (
            [*v] * width if len(v) == 1 else [*v] for v in (self.scale, self.offset, scale, offset)
        )
        self.scale = [a * b for a, b in zip(old_scale, new_scale, strict=True)]
        self.offset = [o * b + c for o, b, c in zip(old_offset, new_scale, new_offset, strict=True)]
        self.layers.append(layer)


def input_scaling(network: Network, statistics: Statistics) -> tuple[InputScaling, ...]:
    """For every input of the model, in order: the scaling that its first layers apply."""
    return tuple(_scaling(network, ref, statistics) for ref in network.inputs)


def _scaling(network: Network, ref: TensorRef, statistics: Statistics) -> InputScaling:
    node = network.by_name.get(ref.layer)
    is_input = node is not None and node.class_name == "InputLayer"
    shape = node.config.get("batch_shape") if node is not None and is_input else None
    chain = _Chain([1.0], [0.0], [], rank=len(shape) if shape else None)
    try:
        _follow(network, ref.layer, "", statistics, chain)
    except (_NotStated, ZeroDivisionError):
        return InputScaling(ref.layer, tuple(chain.layers), is_told=False)
    if not all(map(math.isfinite, (*chain.scale, *chain.offset))):
        return InputScaling(ref.layer, tuple(chain.layers), is_told=False)
    return InputScaling(
        ref.layer, tuple(chain.layers), tuple(chain.scale), tuple(chain.offset), chain.is_learnt
    )


def _follow(network: Network, layer: str, prefix: str, statistics: Statistics, chain: _Chain) -> bool:
    """Walk from the output of `layer` as long as a single layer takes it and only scales it or passes it on.

    Returns True if that leads to the network's output.
    """
    seen: set[str] = set()
    while layer not in seen:
        seen.add(layer)
        takers = network.takers.get(layer, [])
        if len(takers) != 1:
            if any(node.class_name in LOOKUPS for node in takers):
                raise _NotStated
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
    raise _NotStated  # layers that feed each other in a circle


def _apply(node: LayerNode, path: str, statistics: Statistics, chain: _Chain) -> bool:
    """Add the layer to the chain; False if it is the first layer that uses the values."""
    name, config = node.class_name, node.config
    if isinstance(config, CallOptions):
        return _operation(node, config, path, chain)
    if name in LOOKUPS:
        raise _NotStated
    if name == "Rescaling":
        if "scale" not in config:
            raise _NotStated
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
            raise _NotStated
    return name in SAME_VALUES or augments(name)


def _normalize(node: LayerNode, path: str, statistics: Statistics, chain: _Chain) -> None:
    config = node.config
    if node.class_name == "Normalization" and config.get("invert"):
        raise _NotStated
    stated = node.class_name == "Normalization" and config.get("mean") is not None
    found: Mapping[str, Sequence[float]] = config if stated else statistics.get(path, {})
    mean, variance = found.get("mean"), found.get("variance")
    if mean is None or variance is None or not _is_last(config.get("axis", -1), chain.rank):
        raise _NotStated
    epsilon = config.get("epsilon")
    least = (
        (1e-3 if epsilon is None else max(epsilon, 0.0)) if node.class_name == "BatchNormalization" else 0.0
    )
    deviations = [math.sqrt(max(v, 0.0) + least) for v in variance]
    if not len(mean) == len(deviations) <= MAX_CHANNELS:
        raise _NotStated
    # Keras divides by at least 1e-7 there: a column that was constant in training does not reveal a scale.
    scale = [1 / d if d > 1e-4 else 0.0 for d in deviations]
    chain.then(scale, [-m * s for m, s in zip(mean, scale, strict=True)], path)
    chain.is_learnt = True


def _is_last(axis: int | tuple[int, ...] | None, rank: int | None) -> bool:
    """True if the statistics are for the last axis, or for all values together. Keras 2 may count from the front."""
    numbers = axis if isinstance(axis, tuple) else () if axis is None else (axis,)
    return all(number == -1 or (rank is not None and number == rank - 1) for number in numbers[:1]) and (
        len(numbers) < 2
    )


def _operation(node: LayerNode, config: CallOptions, path: str, chain: _Chain) -> bool:
    name = str(config.known("function") or node.class_name).rsplit(".", 1)[-1].strip("_").lower()
    if name not in ARITHMETIC or len(node.calls) != 1 or not node.options:
        return False
    options = node.options[0]
    value = next((known for k in ("key", "y", "x2") if (known := options.known(k)) is not None), None)
    if not isinstance(value, (int, float)):
        return False
    scale, offset = ARITHMETIC[name](float(value))
    chain.then([scale], [offset], path)
    return True
