"""Activations rounded to few bits while a model trains, where its integer file rounds them.

The layers' calls are replaced, so the graph of the model stays as it is. This works for every layer of Keras 2 and 3; of a
recurrent layer, only the inputs and the outputs are rounded. The gradient passes the rounding unchanged within the range,
and is zero outside (straight-through estimator, as in arXiv 1712.05877).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count, cycle
from typing import Any

import numpy as np

from lwdash.keras_models.ports import is_network, leaf_layers
from lwdash.spread_rows import spread
from lwdash.training.inference_mode import replaced

RANGE_ROWS = 256
"""Rows whose activations set the ranges, as many as the integer export uses by default."""
ALL_AT_ONCE = 32
NORMS = ("BatchNormalization", "SyncBatchNormalization")
FUSED = ("linear", "relu", "relu6")
"""Activations that an operator computes in its own rounding; the inputs of all others are rounded too."""
PASSED_ON = (
    "InputLayer", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianNoise", "GaussianDropout",
    "ActivityRegularization", "Flatten", "Reshape", "Permute", "RepeatVector", "MaxPooling1D", "MaxPooling2D",
    "MaxPooling3D", "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D", "ZeroPadding1D", "ZeroPadding2D",
    "ZeroPadding3D", "Cropping1D", "Cropping2D", "Cropping3D", "UpSampling1D", "UpSampling2D", "Embedding",
)  # fmt: skip
"""Layers whose outputs are some of their inputs' integers."""

Point = tuple[str, str]
"""Tensors that are rounded: path of a layer, and "outputs", "activation" (the input of its activation) or "inputs"."""
INPUTS: Point = ("", "inputs")
"""The inputs of the model."""
Place = tuple[Point, int, int]
"""One of the tensors at a point: the number of the call, where a layer is called several times for one row, and the number
of the tensor. Each has its own range, as it has its own scale in a file.
"""
Change = Callable[[Place, Any], Any]
"""Receives a tensor and its place, and returns what the model goes on with."""


@dataclass(frozen=True)
class Range:
    low: float
    high: float

    def joined(self, values: np.ndarray) -> Range:
        return Range(min(self.low, float(values.min())), max(self.high, float(values.max())))


NO_RANGE = Range(0.0, 0.0)
"""Every range contains zero, as in an integer file."""


@contextmanager
def rounded_activations(
    model: Any, inputs: Sequence[np.ndarray], bits_of: Callable[[str], int | None], model_bits: int | None
) -> Iterator[None]:
    """Rounds activations to integers whose ranges are those of the rows `inputs`, one array per model input.

    bits_of: for the path of a layer, the bits of its outputs; None leaves them. model_bits: those of the model's inputs.
    The model must be compiled inside of this context, and functions that it compiled there keep the rounding.
    """
    bits = {point: bits_of(path) for point, path in _points(model).items()} | {INPUTS: model_bits}
    points = [point for point, found in bits.items() if found]
    ranges: dict[Place, Range] = {}
    rows = spread(len(inputs[0]), RANGE_ROWS)

    def see(place: Place, value: Any) -> Any:
        if (values := np.asarray(value)).size:
            ranges[place] = ranges.get(place, NO_RANGE).joined(values)
        return value

    def rounded(place: Place, value: Any) -> Any:
        limits = ranges.get(place, NO_RANGE)
        return _rounded(value, limits, bits[place[0]] or 0) if limits.high > limits.low else value

    with _through(model, points, see):
        for start in range(0, len(rows), ALL_AT_ONCE):
            part = [values[rows[start : start + ALL_AT_ONCE]] for values in inputs]
            model(part if len(part) > 1 else part[0], training=False)
    with _through(model, points, rounded):
        yield


def _rounded(value: Any, limits: Range, bits: int) -> Any:
    import tensorflow as tf

    return tf.quantization.fake_quant_with_min_max_args(value, limits.low, limits.high, num_bits=bits)


@contextmanager
def _through(model: Any, points: Iterable[Point], change: Change) -> Iterator[None]:
    """Gives the values at each of `points` to `change`, and goes on with its results."""
    layers = dict(leaf_layers(model)) | {"": model}
    within = dict(_networks_around(model))
    with ExitStack() as stack:
        for point in points:
            path, place = point
            layer = layers[path]
            calls = cycle(range(1 if place == "inputs" else _calls(layer, within[id(layer)])))
            mapped = partial(_mapped, calls, point, change)
            if place == "activation":
                stack.enter_context(replaced(layer, "activation", _before(layer.activation, mapped)))
            elif place == "inputs":
                stack.enter_context(replaced(layer, "call", _before(layer.call, mapped)))
            else:
                stack.enter_context(replaced(layer, "call", _after(layer.call, mapped)))
        yield


def _calls(layer: Any, networks: Sequence[Any]) -> int:
    """The number of times that a layer is called for one row. networks: the nested models around it."""
    return math.prod(max(1, len(one._inbound_nodes)) for one in (layer, *networks))


def _before(call: Callable[..., Any], mapped: Callable[[Any], Any]) -> Callable[..., Any]:
    def called(inputs: Any, *args: Any, **options: Any) -> Any:
        return call(mapped(inputs), *args, **options)

    return called


def _after(call: Callable[..., Any], mapped: Callable[[Any], Any]) -> Callable[..., Any]:
    def called(*args: Any, **options: Any) -> Any:
        return mapped(call(*args, **options))

    return called


def _mapped(calls: Iterator[int], point: Point, change: Change, values: Any) -> Any:
    """The float tensors of a structure, changed."""
    import tensorflow as tf

    call, numbers = next(calls), count()

    def one(value: Any) -> Any:
        place = (point, call, next(numbers))
        return change(place, value) if getattr(value, "dtype", None) == tf.float32 else value

    return tf.nest.map_structure(one, values)


def _points(model: Any) -> dict[Point, str]:
    """The places where the integer file of a model rounds activations, and the path of the layer that each belongs to.

    Batch normalizations, and activations that an operator can compute, belong to the layer before them. The outputs of the
    model are left: a loss that compares probabilities would see little else than their rounding.
    """
    found: dict[Point, str] = {}
    paths = {id(layer): path for path, layer in leaf_layers(model)}
    within = dict(_networks_around(model))
    belongs = {path: path for path in paths.values()}
    for path, layer in leaf_layers(model):
        kind = type(layer).__name__
        if kind in PASSED_ON:
            continue
        activation = _activation(layer)
        if kind != "Activation" and activation not in FUSED and not hasattr(layer, "cell"):
            found[path, "activation"] = path
        following = _following(layer, within[id(layer)])
        if len(following) == 1 and activation == "linear" and _is_fused(following[0], layer):
            belongs[paths.get(id(following[0]), "")] = belongs[path]
        elif following:
            found[path, "outputs"] = belongs[path]
    return found


def _is_fused(layer: Any, before: Any) -> bool:
    """True if a layer becomes part of the operator that the layer before it becomes."""
    kind = type(before).__name__
    is_linear = "Conv" in kind or kind == "Dense"
    if type(layer).__name__ in NORMS:
        return is_linear
    is_fusing = is_linear or kind in NORMS or kind == "Add"
    return is_fusing and (
        type(layer).__name__ == "ReLU"
        or (type(layer).__name__ == "Activation" and _activation(layer) in FUSED)
    )


def _activation(layer: Any) -> str:
    return str(getattr(getattr(layer, "activation", None), "__name__", "linear"))


def _following(layer: Any, networks: Sequence[Any]) -> list[Any]:
    """The layers that read the outputs of a layer. networks: the nested models around it, the innermost first."""
    found = _readers(layer)
    for network in networks:
        if not any(_maker(tensor) is layer for tensor in network.outputs):
            break
        found |= _readers(network)
        layer = network
    return list(found.values())


def _readers(layer: Any) -> dict[int, Any]:
    nodes = getattr(layer, "_outbound_nodes", ())
    return {id(one): one for one in (getattr(n, "operation", None) or n.layer for n in nodes)}


def _maker(tensor: Any) -> Any:
    """The layer that a symbolic tensor is the output of."""
    history = tensor._keras_history
    return getattr(history, "operation", None) or history.layer


def _networks_around(model: Any, around: tuple[Any, ...] = ()) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """(id of a layer, the nested models around it, the innermost first) of every layer that is not itself a model."""
    for layer in model.layers:
        if is_network(layer):
            yield from _networks_around(layer, (layer, *around))
        else:
            yield id(layer), around
