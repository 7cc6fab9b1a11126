"""Every activation of both Kerases has an integer form that loses no more than TFLiteConverter's."""

import importlib
import inspect
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from lwdash.compress.agreement import check_export, match_outputs, predict
from lwdash.export.keras_converter import convert_with
from lwdash.measure.accuracy import sqnr_db
from lwdash.measure.runner import Runner
from lwdash.quantize.read_back import computed, float_operators
from lwdash.techniques import float32, int8, int16x8

pytestmark = pytest.mark.tensorflow

FEATURES = 6
OTHERS = {"get", "serialize", "deserialize", "glu", "threshold", "sparsemax"}
"""Functions that are no activations of a layer without arguments; glu, which halves the axis that Keras expects behind it;
and sparsemax, which sorts: LiteRT has no integer form of that.
"""
NOISE_DB, FINE_DB = 0.3, 36.0
"""Difference that other roundings make, and the SQNR above which they make more."""
MIN_DB = {"int8": 17.0, "int16x8": 21.0}
"""Of a network whose activations come between two layers, and whose kernels have 8 bits in both."""
FLOATS_WITH_16_BITS = {"ELU", "EXP", "LOG", "LOG_SOFTMAX", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL"}
"""Operators that LiteRT does not compute in 16 bits, or that TensorFlow Lite Micro does not."""


def names(keras: ModuleType) -> list[str]:
    found = inspect.getmembers(keras.activations, inspect.isfunction)
    return [name for name, _ in found if name not in OTHERS]


def network(keras: ModuleType) -> Any:
    """A branch for each activation, which has an output behind another layer, and one of its own."""
    keras.utils.set_random_seed(3)
    layers = keras.layers
    inputs = keras.Input((FEATURES,), name="input")
    outputs = []
    for name in names(keras):
        hidden = layers.Activation(name)(layers.Dense(12)(inputs))
        outputs += [
            layers.Dense(4)(hidden),
            layers.Activation(name, name=f"last_{name}")(layers.Dense(5)(inputs)),
        ]
    return keras.Model(inputs, outputs)


def losses(source: bytes, packed: bytes, rows: dict[str, np.ndarray]) -> list[float]:
    expected, received = (list(Runner(data).run(rows).values()) for data in (source, packed))
    order, _ = match_outputs(expected, received)  # the converter has another one
    found = [sqnr_db(one, received[place]) for one, place in zip(expected, order, strict=True)]
    return [np.inf if one is None else one for one in found]


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
def test_no_activation_loses_more_than_the_converters(library: str) -> None:
    keras = importlib.import_module(library)
    model = network(keras)
    chance = np.random.default_rng(0)
    rows, some = ({"input": chance.normal(0, 1, (count, FEATURES)).astype("float32")} for count in (200, 100))
    data, _ = check_export(
        predict(model, [some["input"]]), float32.apply(model, ["input"], [(FEATURES,)]), some
    )

    def convert(configure: Any, calibration: Any) -> bytes:
        return convert_with(model, ["input"], [(FEATURES,)], configure=configure, rows=calibration)

    theirs = losses(data, int8.apply(data, int8.Params(backend="tflite"), rows, convert).data, some)
    packed = int8.apply(data, int8.Params(), rows)
    assert packed.skipped == float_operators(packed.data, "") == ()
    ours = losses(data, packed.data, some)
    wide = int16x8.apply(data, int16x8.Params(), rows)
    wider = losses(data, wide.data, some)
    floats = {one.kind for one in computed(wide.data) if one.activations == "float32"}
    assert floats <= FLOATS_WITH_16_BITS
    known = [f"{place} {name}" for name in names(keras) for place in ("before a layer:", "last:")]
    table = {name: found for name, *found in zip(known, ours, theirs, wider, strict=True)}
    worse = {
        name: found
        for name, found in table.items()
        if found[0] < min(found[1], FINE_DB) - NOISE_DB
        or found[0] < MIN_DB["int8"]
        or found[2] < MIN_DB["int16x8"]
    }
    assert worse == {}, "int8, TFLiteConverter's int8, int16x8 in dB"
