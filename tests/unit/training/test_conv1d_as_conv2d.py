"""A 1-D network and its 2-D form compute the same, and the weights find their way back."""

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from lwdash.errors import BridgeRefused
from lwdash.training.conv1d_as_conv2d import Rewritten, as_2d, weights_back

pytestmark = pytest.mark.tensorflow

ROWS = np.random.default_rng(1).normal(size=(6, 24, 3)).astype("float32")


def curve_model(*layers: Any) -> Any:
    """A tf_keras model on curves of 24 steps and 3 channels, with weights that are all different."""
    import tf_keras

    model = tf_keras.Sequential([tf_keras.Input((24, 3), name="input"), *layers])
    chance = np.random.default_rng(2)
    for layer in model.layers:
        layer.set_weights([chance.uniform(0.1, 0.9, w.shape) for w in layer.get_weights()])
    return model


def difference(model: Any, rewritten: Rewritten) -> float:
    expected, got = model(ROWS, training=False), rewritten.model(ROWS, training=False)
    return float(np.abs(np.asarray(expected) - np.asarray(got)).max() / np.abs(expected).max())


CASES: Mapping[str, Callable[[ModuleType], Any]] = {
    "strides": lambda layers: layers.Conv1D(5, 4, strides=3, padding="same", activation="relu"),
    "causal": lambda layers: layers.Conv1D(5, 3, padding="causal", dilation_rate=2),
    "no bias": lambda layers: layers.Conv1D(5, 3, use_bias=False),
    "depthwise": lambda layers: layers.DepthwiseConv1D(3, strides=2, depth_multiplier=2),
    "separable": lambda layers: layers.SeparableConv1D(5, 3, depth_multiplier=2, activation="tanh"),
    "separable causal": lambda layers: layers.SeparableConv1D(5, 3, padding="causal"),
    "maximum": lambda layers: layers.MaxPooling1D(3, 2, padding="same"),
    "average": lambda layers: layers.AveragePooling1D(2),
    "global maximum": lambda layers: layers.GlobalMaxPooling1D(),
    "global average kept": lambda layers: layers.GlobalAveragePooling1D(keepdims=True),
    "upsampling": lambda layers: layers.UpSampling1D(3),
    "padding": lambda layers: layers.ZeroPadding1D((1, 4)),
    "cropping": lambda layers: layers.Cropping1D((3, 1)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_layer_and_its_2d_form_agree(name: str) -> None:
    from tf_keras import layers

    model = curve_model(CASES[name](layers))
    rewritten = as_2d(model, [ROWS])
    kinds = [type(layer).__name__ for layer in rewritten.model.layers]
    assert not any("1D" in kind or "Separable" in kind for kind in kinds)
    assert difference(model, rewritten) < 1e-5


def branched() -> Any:
    """Layers that stay in 2-D between convolutions, layers that cannot, and an axis that is named."""
    import tf_keras
    from tf_keras import layers

    inputs = tf_keras.Input((24, 3), name="input")
    stem = layers.BatchNormalization(axis=2, name="norm")(
        layers.Conv1D(6, 3, padding="same", name="stem")(inputs)
    )
    side = layers.SeparableConv1D(6, 3, padding="same", name="side")(layers.ReLU(name="relu")(stem))
    joined = layers.Concatenate(axis=1, name="joined")([layers.Add(name="sum")([stem, side]), side])
    normed = layers.LayerNormalization(name="layer_norm")(layers.Dense(5, name="dense")(joined))
    last = layers.Conv1D(4, 3, name="last")(normed)
    answer = layers.Dense(2, name="answer")(layers.Flatten(name="flatten")(last))
    model = tf_keras.Model(inputs, [answer, last])
    chance = np.random.default_rng(3)
    for layer in model.layers:
        layer.set_weights([chance.uniform(0.1, 0.9, w.shape) for w in layer.get_weights()])
    return model


def test_a_network_leaves_2d_only_where_it_must() -> None:
    model = branched()
    rewritten = as_2d(model, [ROWS])
    for expected, got in zip(model(ROWS), rewritten.model(ROWS), strict=True):
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=1e-4)
    added = [layer.name for layer in rewritten.model.layers if layer.name.endswith(("as_2d", "as_1d"))]
    assert added == ["input/as_2d", "dense/as_1d", "layer_norm/as_2d", "last/as_1d"]


def test_the_weights_come_back() -> None:
    import tf_keras

    model = branched()
    rewritten = as_2d(model, [ROWS])
    weights = {layer.name: [2 * w for w in layer.get_weights()] for layer in rewritten.model.layers}
    copy = tf_keras.models.clone_model(model)
    weights_back(rewritten.parts, weights, copy)
    for before, after in zip(model.get_weights(), copy.get_weights(), strict=True):
        np.testing.assert_array_equal(after, 2 * before)


def test_the_model_itself_is_left_alone() -> None:
    model = branched()
    before, config = model.get_weights(), model.to_json()
    for layer in as_2d(model, [ROWS]).model.layers:
        layer.set_weights([w * 0 for w in layer.get_weights()])
    assert model.to_json() == config
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_2d_form_that_computes_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from lwdash.training import conv1d_as_conv2d as module

    monkeypatch.setattr(module, "_causal", lambda layer: [])
    from tf_keras import layers

    model = curve_model(layers.Conv1D(5, 3, padding="causal"), layers.GlobalMaxPooling1D())
    with pytest.raises(BridgeRefused, match="has different outputs"):
        module.as_2d(model, [ROWS])
