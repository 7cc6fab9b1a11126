"""Activations are rounded where the integer file rounds them, and only inside of the context."""

import importlib
from typing import Any

import numpy as np
import pytest

from lwdash.training.rounded_activations import rounded_activations

pytestmark = pytest.mark.tensorflow

LIBRARIES = ["keras", "tf_keras"]


def network(library: str) -> Any:
    """A convolution whose normalization and ReLU become a part of it, and a dense layer of another activation."""
    keras = importlib.import_module(library)
    keras.utils.set_random_seed(2)
    layers = keras.layers
    inputs = keras.Input((12, 3), name="input")
    x = layers.Conv1D(6, 3, use_bias=False, name="conv")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.ReLU(name="relu")(x)
    x = layers.MaxPooling1D(2, name="pool")(x)
    x = layers.Dense(8, activation="tanh", name="dense")(x)
    return keras.Model(inputs, layers.Dense(2, name="answer")(layers.Flatten()(x)))


def rows() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(300, 12, 3)).astype("float32")


def values_of(model: Any, layer: str, given: np.ndarray) -> np.ndarray:
    """Outputs of a layer as it computes when the model is called."""
    found: list[np.ndarray] = []
    one = model.get_layer(layer)
    call = one.call

    def seen(*args: Any, **options: Any) -> Any:
        outputs = call(*args, **options)
        found.append(np.asarray(outputs))
        return outputs

    one.call = seen
    model(given, training=False)
    one.call = call
    return found[0]


@pytest.mark.parametrize("library", LIBRARIES)
def test_layers_round_where_their_operators_end(library: str) -> None:
    model, given = network(library), rows()
    before = model.predict(given, verbose=0)
    with rounded_activations(model, [given], lambda path: 4, 8):
        distinct = {
            name: len(np.unique(values_of(model, name, given)))
            for name in ("conv", "norm", "relu", "dense", "answer")
        }
        inputs_seen = values_of(model, "conv", np.zeros_like(given))
        rounded = np.asarray(model(given, training=False))
    assert distinct["relu"] <= 16
    assert distinct["dense"] <= 16
    assert min(distinct["conv"], distinct["norm"]) > 1000, "they are parts of one operator with the ReLU"
    assert distinct["answer"] > 100, "the outputs are what the loss compares"
    assert np.isfinite(inputs_seen).all()
    assert np.abs(rounded - before).max() > 0.01
    np.testing.assert_allclose(np.asarray(model(given, training=False)), before, atol=1e-5)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_fused_activation_has_the_bits_of_the_layer_before_it(library: str) -> None:
    model, given = network(library), rows()
    asked: list[str] = []

    def bits_of(path: str) -> int | None:
        asked.append(path)
        return 4 if path == "conv" else None

    with rounded_activations(model, [given], bits_of, None):
        assert len(np.unique(values_of(model, "relu", given))) <= 16
        assert len(np.unique(values_of(model, "dense", given))) > 1000
    assert set(asked) == {"conv", "dense"}


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_inputs_are_rounded_too_and_all_ranges_come_from_the_rows(library: str) -> None:
    model, given = network(library), rows()[:200]
    with rounded_activations(model, [given], lambda path: None, 2):
        coarse = np.asarray(model(given, training=False))
        far = np.asarray(model(100 * given, training=False))
    low, high = given.min(), given.max()
    step = (high - low) / 3
    nudged = np.round(low / step) * step
    grid = np.clip(np.round((given - nudged) / step), 0, 3) * step + nudged
    np.testing.assert_allclose(coarse, np.asarray(model(grid.astype("float32"), training=False)), atol=1e-4)
    assert np.abs(far).max() <= 3 * np.abs(coarse).max(), "values beyond the range are its ends"


@pytest.mark.parametrize("library", LIBRARIES)
def test_each_input_has_a_range_of_its_own(library: str) -> None:
    keras = importlib.import_module(library)
    small, large = keras.Input((2,), name="small"), keras.Input((2,), name="large")
    model = keras.Model([small, large], keras.layers.Concatenate(name="both")([small, large]))
    given = [np.linspace(0, size, 64, dtype="float32").reshape(32, 2) for size in (1, 1000)]
    with rounded_activations(model, given, lambda path: None, 8):
        outputs = np.asarray(model(given, training=False))
    np.testing.assert_allclose(outputs[:, :2], given[0], atol=1 / 255)
    np.testing.assert_allclose(outputs[:, 2:], given[1], atol=1000 / 255)


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_last_layer_of_a_nested_model_rounds_too(library: str) -> None:
    keras = importlib.import_module(library)
    layers = keras.layers
    inner = keras.Sequential([keras.Input((3,)), layers.Dense(5, name="first"), layers.Dense(6, name="last")])
    folded = keras.Sequential([keras.Input((6,)), layers.Dense(6, name="linear")])
    inputs = keras.Input((3,), name="input")
    normed = layers.BatchNormalization(name="norm")(folded(inner(inputs)))
    model = keras.Model(inputs, layers.Dense(2)(normed))
    given = np.random.default_rng(1).normal(size=(300, 3)).astype("float32")
    asked: list[str] = []
    with rounded_activations(model, [given], lambda path: asked.append(path) or 4, None):
        assert len(np.unique(values_of(inner, "last", given))) <= 16
    names = [f"{inner.name}/first", f"{inner.name}/last", f"{folded.name}/linear"]
    assert asked == names, "a normalization behind a nested model is a part of the layer before it"


@pytest.mark.parametrize("library", LIBRARIES)
def test_each_call_of_a_layer_has_a_range_of_its_own(library: str) -> None:
    keras = importlib.import_module(library)
    shared = keras.layers.Dense(2, kernel_initializer="identity", name="shared")
    small, large = keras.Input((2,), name="small"), keras.Input((2,), name="large")
    model = keras.Model([small, large], keras.layers.Concatenate()([shared(small), shared(large)]))
    given = [np.linspace(0, size, 64, dtype="float32").reshape(32, 2) for size in (1, 1000)]
    with rounded_activations(model, given, lambda path: 8, None):
        for _ in range(2):
            outputs = np.asarray(model(given, training=False))
            np.testing.assert_allclose(outputs[:, :2], given[0], atol=1 / 255)
            np.testing.assert_allclose(outputs[:, 2:], given[1], atol=1000 / 255)
