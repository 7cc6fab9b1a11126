"""Where litert-quantizer has gaps, an int8 file is integer all the same: by TensorFlow's quantizer, or without loops."""

import importlib
from typing import Any

import numpy as np
import pytest

from lwdash.compress.agreement import check_export, check_packed, predict
from lwdash.errors import ConversionFailed
from lwdash.export.keras_converter import convert_with
from lwdash.export.unrolled_loops import LOOPS, recurrent_layers, refuse_loops, without_loops
from lwdash.quantize.quantizers.tensorflow_quantizer import quantize_with_tensorflow
from lwdash.quantize.read_back import computed, float_operators
from lwdash.techniques import float32, int8, int16x8

pytestmark = pytest.mark.tensorflow

STEPS, FEATURES = 4, 3


@pytest.fixture(scope="module")
def rows() -> dict[str, np.ndarray]:
    return {"input": np.random.default_rng(0).normal(size=(16, STEPS, FEATURES)).astype("float32")}


def exported(model: Any) -> bytes:
    return float32.apply(model, ["input"], [(STEPS, FEATURES)])


def tf_keras_model(*layers: Any) -> Any:
    import tf_keras

    tf_keras.utils.set_random_seed(5)
    tensor = inputs = tf_keras.Input((STEPS, FEATURES), name="input")
    for layer in layers:
        tensor = layer(tensor)
    return tf_keras.Model(inputs, tensor)


@pytest.fixture(scope="module")
def recurrent() -> Any:
    from tf_keras import layers

    return tf_keras_model(layers.Bidirectional(layers.GRU(5)), layers.Dense(2))


def test_unrolled_recurrent_layers_have_no_loops_and_become_integer(
    recurrent: Any, rows: dict[str, np.ndarray]
) -> None:
    looped = exported(recurrent)
    assert {operator.kind for operator in computed(looped)} & LOOPS
    with pytest.raises(ConversionFailed, match=r"crashes on the operator WHILE .*Leave out backend=tflite"):
        refuse_loops(looped)
    straight = exported(without_loops(recurrent))
    refuse_loops(straight)
    assert not {operator.kind for operator in computed(straight)} & LOOPS
    assert (check_packed(looped, straight, rows) or 200) > 80, (
        "equal but for rounding; None is equal to the bit"
    )
    assert not any(layer.unroll for layer in recurrent_layers(recurrent)), "the model stays as it was"
    assert "REVERSE_V2" not in {operator.kind for operator in computed(straight)}
    packed = int8.apply(straight, int8.Params(), rows)
    assert packed.skipped == ()
    assert float_operators(packed.data, "") == ()
    assert check_packed(looped, packed.data, rows) > 20


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
def test_masked_attention_and_normalization_are_integer_throughout(
    library: str, rows: dict[str, np.ndarray]
) -> None:
    """A mask of −1e9 in a sum or a selection would take the whole range, or end the process that runs the file."""
    keras = importlib.import_module(library)
    keras.utils.set_random_seed(5)
    inputs = keras.Input((STEPS, FEATURES), name="input")
    tensor = keras.layers.LayerNormalization()(inputs)
    tensor = keras.layers.MultiHeadAttention(2, 4)(tensor, tensor, use_causal_mask=True)
    data = exported(keras.Model(inputs, keras.layers.Dense(2)(tensor)))
    assert not {operator.kind for operator in computed(data)} & {"NEG", "SQUARE"}
    packed = int8.apply(data, int8.Params(), rows)
    assert packed.skipped == ()
    assert check_packed(data, packed.data, rows) > 20


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
def test_clamped_activations_are_integer_throughout_and_smaller_than_the_converters(library: str) -> None:
    """hard_sigmoid of Keras 2 and ReLUs with any maximum are MINIMUM and RELU, a thresholded ReLU is a mask.

    LiteRT compares 16-bit integers without their scales, so that a threshold stays in float there.
    """
    keras = importlib.import_module(library)
    keras.utils.set_random_seed(5)
    layers = keras.layers
    tensor = inputs = keras.Input((8, 8, 3), name="input")
    for activation in (
        layers.Activation("hard_sigmoid"),
        layers.ReLU(3.5),
        layers.ReLU(2.0, negative_slope=0.2, threshold=0.1),
        layers.LeakyReLU(),
    ):
        tensor = activation(layers.Conv2D(6, 3, padding="same")(tensor))
    gate = layers.Activation("hard_sigmoid")(layers.Conv2D(6, 1)(tensor))
    tensor = layers.Multiply()([tensor, gate])
    model = keras.Model(inputs, layers.Dense(4)(layers.Flatten()(tensor)))
    volumes = {"input": np.random.default_rng(0).normal(0, 2, (32, 8, 8, 3)).astype("float32")}
    data = float32.apply(model, ["input"], [(8, 8, 3)])
    check_export(predict(model, [volumes["input"]]), data, volumes)

    def convert(configure: Any, some: Any) -> bytes:
        return convert_with(model, ["input"], [(8, 8, 3)], configure=configure, rows=some)

    theirs = int8.apply(data, int8.Params(backend="tflite"), volumes, convert)
    ours = int8.apply(data, int8.Params(), volumes)
    assert ours.skipped == float_operators(ours.data, "") == ()
    assert len(ours.data) <= len(theirs.data)
    assert check_packed(data, ours.data, volumes) > check_packed(data, theirs.data, volumes) - 1
    wide = int16x8.apply(data, int16x8.Params(), volumes)
    assert {o.kind for o in computed(wide.data) if o.activations == "float32"} == {"GREATER"}
    assert check_packed(data, wide.data, volumes) > check_packed(data, ours.data, volumes)


def test_hard_swish_has_a_16_bit_form(rows: dict[str, np.ndarray]) -> None:
    from keras import Input, Model, layers

    inputs = Input((STEPS, FEATURES), name="input")
    data = exported(Model(inputs, layers.Dense(2)(layers.Activation("hard_swish")(layers.Dense(8)(inputs)))))
    assert "HARD_SWISH" in {operator.kind for operator in computed(data)}
    packed = int16x8.apply(data, int16x8.Params(), rows)
    assert packed.skipped == float_operators(packed.data, "") == ()
    assert check_packed(data, packed.data, rows) > 35


def test_what_tensorflow_cannot_read_is_a_failure_that_names_it() -> None:
    with pytest.raises(ConversionFailed, match=r"TensorFlow's quantizer failed: .*(Error|ended)"):
        quantize_with_tensorflow(b"no tflite at all", {}, per_channel=True)


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
def test_encoded_categories_are_exported_and_keep_their_zeros_as_integers(library: str) -> None:
    """Keras counts with bincount, which TensorFlow Lite lacks; TensorFlow's quantizer makes 0.5 of a ONE_HOT's zeros."""
    keras = importlib.import_module(library)
    keras.utils.set_random_seed(5)
    inputs = keras.Input((4,), dtype="int32", name="codes")
    encoded = [keras.layers.CategoryEncoding(20, output_mode=mode)(inputs) for mode in ("multi_hot", "count")]
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Concatenate()(encoded)))
    codes = {"codes": np.random.default_rng(0).integers(0, 20, (32, 4)).astype("int32")}
    data = float32.apply(model, ["codes"], [(4,)])
    check_export(predict(model, [codes["codes"]]), data, codes)
    left = int8.apply(data, int8.Params(), codes)
    assert any(skipped.reason.startswith("ONE_HOT stays in float32") for skipped in left.skipped)
    packed = int8.other_ways(data, int8.Params())["TensorFlow's quantizer"](data, int8.Params(), codes)
    kinds = {operator.kind for operator in computed(packed.data) if operator.activations == "int8"}
    assert "ONE_HOT" in kinds
    assert check_packed(data, packed.data, codes) > 30


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_volumes_are_pooled_plane_by_plane(library: str, padding: str) -> None:
    """TensorFlow Lite has no 3-D pooling; windows of another size each way, and borders, show an axis taken for another."""
    keras = importlib.import_module(library)
    inputs = keras.Input((7, 5, 6, 2), name="volume")
    kinds = (keras.layers.MaxPooling3D, keras.layers.AveragePooling3D)
    pooled = [kind((3, 2, 4), strides=(2, 1, 3), padding=padding)(inputs) for kind in kinds]
    model = keras.Model(inputs, keras.layers.Concatenate()(pooled))
    volumes = {"volume": np.random.default_rng(0).normal(size=(2, 7, 5, 6, 2)).astype("float32")}
    data = float32.apply(model, ["volume"], [(7, 5, 6, 2)])
    check_export(predict(model, [volumes["volume"]]), data, volumes)


def test_a_fused_recurrent_layer_keeps_its_name() -> None:
    """The converter writes an LSTM as one operator that is called after nothing in the model."""
    from tf_keras import layers

    both = layers.Bidirectional(layers.LSTM(5, return_sequences=True), name="both")
    data = exported(tf_keras_model(both, layers.LSTM(3, name="last"), layers.Dense(2, name="answer")))
    found = [operator.layer for operator in computed(data) if operator.kind == "UNIDIRECTIONAL_SEQUENCE_LSTM"]
    assert found == ["both", "both", "last"]
