"""Whatever layout, batch size, precision or state a model was saved with, its canonical form gives the same outputs."""

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from lwdash.compress.agreement import check_export, predict
from lwdash.keras_models.canonical.channels_last import has_channels_first
from lwdash.keras_models.canonical.form import canonical_form
from lwdash.quantize.read_back import computed
from lwdash.techniques import float32

pytestmark = pytest.mark.tensorflow

LIBRARIES = ["keras", "tf_keras"]
FIRST = {"data_format": "channels_first"}


@pytest.fixture(params=LIBRARIES)
def keras(request: pytest.FixtureRequest) -> ModuleType:
    library = import_module(request.param)
    library.utils.set_random_seed(4)
    return library


def rows(*shape: int, count: int = 6) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, *shape)).astype("float32")


def convolutions(keras: ModuleType) -> Any:
    """An inverted residual with squeeze and excitation, and a head."""
    layers = keras.layers
    inputs = keras.Input((3, 12, 10), name="image")
    x = layers.Rescaling(0.5)(inputs)
    x = layers.Conv2D(8, 3, padding="same", **FIRST, name="stem")(x)
    x = start = layers.PReLU(shared_axes=[2, 3], alpha_initializer="random_normal")(
        layers.BatchNormalization(axis=1, name="norm")(x)
    )
    x = layers.ZeroPadding2D(((0, 1), (1, 0)), **FIRST)(x)
    x = layers.DepthwiseConv2D(2, **FIRST)(x)
    scale = layers.GlobalAveragePooling2D(**FIRST, keepdims=True)(x)
    scale = layers.Conv2D(8, 1, activation="sigmoid", **FIRST)(scale)
    x = layers.Add()([layers.Multiply()([x, scale]), start])
    x = layers.Concatenate(axis=1)([x, layers.SeparableConv2D(4, 3, padding="same", **FIRST)(x)])
    x = layers.MaxPooling2D(2, **FIRST)(x)
    return keras.Model(inputs, layers.Dense(3, name="out")(layers.Flatten(**FIRST)(x)))


def plain_flatten(keras: ModuleType) -> Any:
    """A Flatten in the order of memory, a PReLU with a slope a position, and a softmax along the channels."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((2, 6, 5)),
            layers.Conv2D(4, 3, **FIRST),
            layers.PReLU(alpha_initializer="random_normal"),
            layers.Softmax(axis=1),
            layers.Flatten(data_format="channels_last"),
            layers.Dense(3, name="out"),
        ]
    )


def segmentation(keras: ModuleType) -> Any:
    """A mask a pixel: the output keeps its layout too."""
    layers = keras.layers
    inputs = keras.Input((2, 8, 8))
    x = skip = layers.Conv2D(4, 3, padding="same", activation="relu", **FIRST)(inputs)
    x = layers.AveragePooling2D(2, **FIRST)(x)
    x = layers.Conv2DTranspose(4, 2, strides=2, **FIRST)(layers.UpSampling2D(1, **FIRST)(x))
    x = layers.Concatenate(axis=-3)([x, skip])
    return keras.Model(inputs, layers.Conv2D(2, 1, activation="sigmoid", **FIRST)(x))


def signal(keras: ModuleType) -> Any:
    """One axis, an operation between layers, and a shared layer."""
    layers = keras.layers
    inputs = keras.Input((2, 20))
    shared = layers.Conv1D(2, 3, padding="same", **FIRST)
    x = shared(shared(inputs) * 2.0 + inputs)
    return keras.Model(inputs, layers.GlobalMaxPooling1D(**FIRST)(layers.MaxPooling1D(2, **FIRST)(x)))


def nested(keras: ModuleType) -> Any:
    layers = keras.layers
    inner = keras.Sequential(
        [keras.Input((3, 8, 8)), layers.Conv2D(4, 3, **FIRST), layers.ReLU()], name="features"
    )
    inputs = keras.Input((3, 8, 8))
    return keras.Model(inputs, layers.GlobalAveragePooling2D(**FIRST)(inner(inputs)))


def video(keras: ModuleType) -> Any:
    layers = keras.layers
    inputs = keras.Input((4, 2, 6, 6))
    x = layers.TimeDistributed(layers.Conv2D(3, 3, **FIRST))(inputs)
    x = layers.ConvLSTM2D(2, 2, return_sequences=True, **FIRST)(x)
    x = layers.ConvLSTM2D(2, 2, **FIRST)(x)
    return keras.Model(inputs, layers.Flatten(data_format="channels_last")(x))


@pytest.mark.parametrize("build", [convolutions, plain_flatten, segmentation, signal, nested, video])
def test_a_channels_first_model_becomes_the_same_channels_last(keras: ModuleType, build: Any) -> None:
    model = build(keras)
    generator = np.random.default_rng(2)
    for layer in model._flatten_layers():
        if type(layer).__name__ == "BatchNormalization":
            layer.set_weights([generator.uniform(0.5, 1.5, value.shape) for value in layer.get_weights()])
    values = rows(*model.inputs[0].shape[1:])
    form = canonical_form(model, [values])
    assert not has_channels_first(form.model), form.changes
    expected = np.asarray(model(values, training=False))
    got = np.asarray(form.model(values, training=False))
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert form.model.inputs[0].shape == model.inputs[0].shape
    names = {layer.name for layer in model.layers}
    assert names <= {layer.name for layer in form.model.layers} | {"input_layer"}


def test_a_channels_first_network_is_transposed_at_its_ends_only(keras: ModuleType) -> None:
    form = canonical_form(segmentation(keras))
    data = float32.apply(form.model, ["image"], [(2, 8, 8)])
    assert [operator.kind for operator in computed(data)].count("TRANSPOSE") == 2


def recurrent(keras: ModuleType, batch: int, dtype: str = "float32") -> Any:
    layers = keras.layers
    inputs = keras.Input(batch_size=batch, shape=(7, 3), dtype=dtype)
    x = layers.Bidirectional(layers.LSTM(4, stateful=True, return_sequences=True, dtype=dtype), dtype=dtype)(
        inputs
    )
    x = layers.GRU(4, stateful=True, dtype=dtype)(x)
    return keras.Model(inputs, layers.Dense(2, dtype=dtype)(x))


@pytest.mark.parametrize(("batch", "dtype"), [(1, "float32"), (4, "float32"), (32, "float64")])
def test_a_stateful_model_of_a_fixed_batch_takes_any_row_from_a_fresh_state(
    keras: ModuleType, batch: int, dtype: str
) -> None:
    model, values = recurrent(keras, batch, dtype), rows(7, 3)
    form = canonical_form(model, [values])
    assert any("fresh state" in change for change in form.changes)
    assert any(f"saved for {batch} row" in change for change in form.changes)
    assert form.model.inputs[0].shape[0] is None
    assert not any(getattr(layer, "stateful", False) for layer in form.model._flatten_layers())
    together = form.model.predict(values, verbose=0)
    alone = np.concatenate([form.model.predict(values[i : i + 1], verbose=0) for i in (5, 2)])
    np.testing.assert_allclose(together[[5, 2]], alone, atol=1e-6)
    assert form.largest_difference < 1e-5
    assert form.scale > 0.01


def test_what_was_learnt_by_adapt_stays() -> None:
    import keras

    values = rows(5) * 3 + 7
    layer = keras.layers.Normalization()
    layer.adapt(values)
    inputs = keras.Input((5,), batch_size=2)
    model = keras.Model(inputs, keras.layers.Dense(2)(layer(inputs)))
    form = canonical_form(model, [values])
    assert form.model is not model
    expected = np.concatenate([np.asarray(model(values[i : i + 2])) for i in (0, 2, 4)])
    np.testing.assert_allclose(form.model.predict(values, verbose=0), expected, atol=1e-5)


def test_a_batch_size_inside_the_graph_leaves_the_model_as_it_was(keras: ModuleType) -> None:
    import tensorflow as tf

    inputs = keras.Input(batch_size=3, shape=(4,))
    reshape = keras.ops.reshape if keras.__name__ == "keras" else tf.reshape
    x = reshape(inputs, (3, 2, 2))
    model = keras.Model(inputs, keras.layers.Flatten()(x))
    form = canonical_form(model, [rows(4)])
    assert form.model is model
    assert "stays as it was saved" in form.changes[0]
    assert "\x1b" not in form.changes[0]
    data = float32.apply(form.model, ["x"], [(4,)])  # the traced graph is rewritten for one row
    check_export(predict(form.model, [rows(4, count=5)]), data, {"x": rows(4, count=5)})


@pytest.mark.parametrize("rows_at_once", [4, 5])
def test_constants_of_as_many_rows_as_the_model_takes_get_one(
    keras: ModuleType, rows_at_once: int, tmp_path: Path
) -> None:
    """Keras 2 reads them as nested lists of numbers. 20 values of a row are a multiple of both numbers of rows."""
    import tensorflow as tf

    inputs = keras.Input(batch_size=rows_at_once, shape=(3, 4))
    one = np.random.default_rng(0).normal(size=(1, 2, 4)).astype("float32")
    constant = tf.constant(np.repeat(one, rows_at_once, axis=0))
    joined = (
        keras.ops.concatenate([inputs, constant], 1)
        if keras.__name__ == "keras"
        else tf.concat([inputs, constant], 1)
    )
    saved = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(joined)))
    saved.save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    data = float32.apply(canonical_form(model).model, ["x"], [(3, 4)])
    values = rows(3, 4, count=rows_at_once + 1)
    check_export(predict(model, [values]), data, {"x": values})


def test_names_that_tensorflow_does_not_take_are_made_legal() -> None:
    import keras

    inputs = keras.Input((4,), name="x")
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="a<b")], name="in ner")
    model = keras.Model(inputs, keras.layers.Dense(2, name="a b:c")(inner(inputs)))
    values = rows(4)
    expected = np.asarray(model.layers[-1](model.layers[1](values)))
    form = canonical_form(model, [values])
    assert [layer.name for layer in form.model.layers] == ["x", "in_ner", "a_b_c"]
    assert "'a<b' is 'a_b' here" in form.changes[0]
    float32.apply(form.model, ["x"], [(4,)])
    np.testing.assert_allclose(form.model.predict(values, verbose=0), expected, atol=1e-6)


def test_a_canonical_model_is_left_alone(keras: ModuleType) -> None:
    inputs = keras.Input((8, 8, 1))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 3)(inputs))
    form = canonical_form(model)
    assert form.model is model
    assert form.facts == {}
