"""A layer has one name everywhere: the Keras layer that holds the kernel, whatever the converter fused into it."""

import numpy as np
import pytest

from lwdash.compress.agreement import check_packed
from lwdash.errors import ResultRejected
from lwdash.measure.layers import layer_table
from lwdash.quantize.read_back import computed
from lwdash.techniques import TECHNIQUES, float32
from lwdash.tflite.reader import read_tflite

pytestmark = pytest.mark.tensorflow

ROWS = {"x": np.random.default_rng(0).normal(size=(8, 8, 8, 3)).astype("float32")}


@pytest.fixture(scope="module")
def fused() -> tuple[bytes, list[str]]:
    """The float .tflite of convolutions with batch norms and ReLUs behind them, and the names of all layers."""
    import keras

    layers = keras.layers
    h = inputs = keras.Input((8, 8, 3))
    for kernel in (
        layers.Conv2D(4, 3, use_bias=False, name="conv"),
        layers.DepthwiseConv2D(3, use_bias=False, name="depthwise"),
    ):
        h = layers.ReLU(name=f"{kernel.name}_relu")(
            layers.BatchNormalization(name=f"{kernel.name}_norm")(kernel(h))
        )
    h = layers.BatchNormalization(name="dense_norm")(
        layers.Dense(6, use_bias=False, name="dense")(layers.Flatten()(h))
    )
    model = keras.Model(inputs, layers.Dense(2, activation="softmax", name="out")(h))
    return float32.apply(model, ["x"], [(8, 8, 3)]), [layer.name for layer in model.layers]


def test_the_table_and_recipes_name_the_layer_that_holds_the_kernel(fused: tuple[bytes, list[str]]) -> None:
    data, names = fused
    kernels = ["conv", "depthwise", "dense", "out"]
    rows = layer_table(read_tflite(data), names).rows
    assert [row["layer"] for row in rows if row["kernel_values"]] == kernels
    assert [c.layer for c in computed(data) if c.weights is not None] == kernels
    mixed = TECHNIQUES["mixed"]
    for name in kernels:
        done = mixed.apply(data, mixed.Params(default="int8", overrides=((name, "float32"),)), ROWS)
        formats = {c.layer: c.format for c in computed(done.data) if c.weights is not None}
        assert formats == {kernel: "float32" if kernel == name else "int8" for kernel in kernels}


def test_recipes_that_name_what_was_fused_still_work(fused: tuple[bytes, list[str]]) -> None:
    mixed = TECHNIQUES["mixed"]
    done = mixed.apply(fused[0], mixed.Params(default="int8", overrides=(("conv_relu", "float32"),)), ROWS)
    assert {c.layer for c in computed(done.data) if c.format == "float32" and c.weights is not None} == {
        "conv"
    }


def test_a_file_that_answers_one_constant_is_rejected() -> None:
    import keras

    keras.utils.set_random_seed(1)
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(2, name="out")(inputs))
    rows = {"x": np.random.default_rng(0).normal(size=(16, 3)).astype("float32")}
    good = float32.apply(model, ["x"], [(3,)])
    model.layers[-1].set_weights([np.zeros((3, 2)), np.full(2, 1.7)])
    with pytest.raises(
        ResultRejected, match=r"no longer matches the model.*outputs are the same in every row"
    ):
        check_packed(good, float32.apply(model, ["x"], [(3,)]), rows)
    assert check_packed(good, good, rows) is None
