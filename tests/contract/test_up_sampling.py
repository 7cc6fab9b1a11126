"""Up-sampling layers become one resize for each axis or pair of axes, with the same values, which TFLM runs too."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from lwdash.measure.runner import Runner
from lwdash.targets import tflm
from lwdash.techniques import TECHNIQUES
from lwdash.tflite.reader import read_tflite

pytestmark = pytest.mark.tensorflow

LAYERS: dict[str, tuple[tuple[int, ...], Callable[[Any], Any], int]] = {
    "UpSampling1D": ((6, 3), lambda layers: layers.UpSampling1D(3), 1),
    "UpSampling2D": ((4, 5, 3), lambda layers: layers.UpSampling2D((2, 3)), 1),
    "UpSampling3D": ((2, 3, 4, 2), lambda layers: layers.UpSampling3D((2, 1, 3)), 3),
    "RepeatVector": ((5,), lambda layers: layers.RepeatVector(4), 1),
}
"""Name → (shape of a row, the layer, number of resizes)."""


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
@pytest.mark.parametrize("name", LAYERS)
def test_repeated_values_are_resized(library: str, name: str) -> None:
    keras = import_module(library)
    shape, make, resizes = LAYERS[name]
    inputs = keras.Input(shape, name="x")
    model = keras.Model(inputs, make(keras.layers)(inputs) * 2.0)
    rows = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    data = TECHNIQUES["float32"].apply(model, ["x"], [shape])
    operators = [operator.type for operator in read_tflite(data).operators]
    assert operators.count("RESIZE_NEAREST_NEIGHBOR") == resizes
    assert not {"TILE", "SPLIT", "CONCATENATION", "BROADCAST_TO"} & set(operators)
    (got,) = Runner(data).run({"x": rows}).values()
    assert np.array_equal(got, model.predict(rows, verbose=0))


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
def test_a_decoder_runs_in_tensorflow_lite_micro(library: str) -> None:
    keras = import_module(library)
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((4, 4, 2), name="x"),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.UpSampling2D(2),
            layers.Conv2D(1, 3, padding="same"),
        ]
    )
    rows = {"x": np.random.default_rng(0).normal(size=(8, 4, 4, 2)).astype(np.float32)}
    float_file = TECHNIQUES["float32"].apply(model, ["x"], [(4, 4, 2)])
    int8 = TECHNIQUES["int8"]
    found = tflm.run(int8.apply(float_file, int8.Params(), rows).data, rows)
    assert found.state == "runs", found
