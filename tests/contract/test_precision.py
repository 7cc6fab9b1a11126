"""Models of other precisions become the same network in float32, which is all that TensorFlow Lite computes in."""

from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from lwdash.keras_models.canonical.form import canonical_form

pytestmark = pytest.mark.tensorflow

ROWS = np.random.default_rng(0).normal(size=(8, 12, 3)).astype("float32")


def network(keras: ModuleType, dtype: str) -> Any:
    """An inner model, a wrapper, and a recurrent layer, with the same weights at each call."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    inputs = keras.Input((12, 3), name="signal")
    inner = keras.Sequential(
        [
            layers.Conv1D(4, 3, activation="relu", dtype=dtype, name="conv"),
            layers.BatchNormalization(dtype=dtype, name="norm"),
        ],
        name="inner",
    )
    x = layers.TimeDistributed(layers.Dense(5, dtype=dtype), dtype=dtype, name="each")(inner(inputs))
    x = layers.GRU(4, recurrent_initializer="glorot_uniform", dtype=dtype, name="memory")(x)
    return keras.Model(inputs, layers.Dense(3, dtype=dtype, name="out")(x))


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [("bfloat16", 3e-2), ("float16", 3e-3), ("mixed_bfloat16", 3e-2), ("float64", 1e-6)],
)
def test_a_model_of_another_precision_becomes_the_same_in_float32(
    library: str, dtype: str, tolerance: float
) -> None:
    model = network(import_module(library), dtype)
    copy = canonical_form(model, [ROWS]).model
    assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
    assert {str(layer.compute_dtype) for layer in copy._flatten_layers()} == {"float32"}
    expected = np.asarray(model.predict(ROWS, verbose=0), np.float64)
    got = copy.predict(ROWS, verbose=0)
    assert got.dtype == np.float32
    assert np.abs(got - expected).max() < tolerance * np.abs(expected).max()


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
def test_a_model_in_float32_is_left_alone(library: str) -> None:
    model = network(import_module(library), "float32")
    assert canonical_form(model).model is model
