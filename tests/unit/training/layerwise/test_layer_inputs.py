"""Inputs as matrices: times the kernel they are what the layer computes, in either Keras."""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lwdash.training.kernels import kernels_of
from lwdash.training.layerwise.layer_inputs import moments_of, owners, product_of, why_no_product

pytestmark = pytest.mark.tensorflow

Make = Callable[[Any], Any]
PICTURES, CURVES = (7, 6, 4), (9, 4)
ALONE: dict[str, tuple[tuple[int, ...], Make]] = {
    "dense": ((5,), lambda k: k.layers.Dense(3)),
    "dense on positions": (PICTURES, lambda k: k.layers.Dense(3, use_bias=False)),
    "convolution": (PICTURES, lambda k: k.layers.Conv2D(6, (3, 2), strides=2, padding="same")),
    "valid": (PICTURES, lambda k: k.layers.Conv2D(6, 3, use_bias=False)),
    "dilated": (PICTURES, lambda k: k.layers.Conv2D(6, 2, dilation_rate=(2, 1))),
    "groups": (PICTURES, lambda k: k.layers.Conv2D(6, 3, groups=2)),
    "curve": (CURVES, lambda k: k.layers.Conv1D(3, 4, strides=2, padding="same")),
    "causal": (CURVES, lambda k: k.layers.Conv1D(3, 3, dilation_rate=2, padding="causal")),
    "volume": ((5, 4, 4, 2), lambda k: k.layers.Conv3D(3, 2)),
    "depthwise": (PICTURES, lambda k: k.layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same")),
    "depthwise curve": (CURVES, lambda k: k.layers.DepthwiseConv1D(3, strides=2)),
    "transposed": (PICTURES, lambda k: k.layers.Conv2DTranspose(3, 3, strides=2, padding="same")),
    "transposed valid": (PICTURES, lambda k: k.layers.Conv2DTranspose(3, 2)),
}
"""Layers of one kernel, whose outputs are its product plus a bias."""


def rows_for(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(1).normal(0.5, 1, (5, *shape)).astype("float32")


def built(library_name: str, shape: tuple[int, ...], make: Make) -> tuple[Any, Any]:
    """(model, layer) with random weights, biases included."""
    library = importlib.import_module(library_name)
    library.utils.set_random_seed(4)
    inputs = library.Input(shape)
    layer = make(library)
    model = library.Model(inputs, layer(inputs))
    chance = np.random.default_rng(2)
    model.set_weights([chance.normal(size=w.shape).astype("float32") for w in model.get_weights()])
    return model, layer


def multiplied(layer: Any, kernel: Any, rows: np.ndarray) -> np.ndarray:
    """(positions, outputs)"""
    assert why_no_product(layer, kernel) is None
    product = product_of(layer, kernel)
    weights = kernel.values.ravel()[product.places]
    found = np.einsum("ngk,gko->ngo", product.matrix(rows), weights)
    return found.reshape(len(found), -1) + (0 if product.bias is None else np.asarray(product.bias))


@pytest.mark.parametrize("library_name", ["tf_keras", "keras"])
@pytest.mark.parametrize("name", ALONE)
def test_the_product_is_what_the_layer_computes(name: str, library_name: str) -> None:
    shape, make = ALONE[name]
    model, layer = built(library_name, shape, make)
    rows = rows_for(shape)
    (kernel,) = kernels_of(layer.name, layer)
    outputs = np.asarray(model(rows))
    np.testing.assert_allclose(
        multiplied(layer, kernel, rows), outputs.reshape(-1, outputs.shape[-1]), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("library_name", ["tf_keras", "keras"])
def test_the_pointwise_kernel_receives_what_the_depthwise_one_makes(library_name: str) -> None:
    model, layer = built(
        library_name,
        PICTURES,
        lambda k: k.layers.SeparableConv2D(5, 3, strides=2, padding="same", depth_multiplier=2),
    )
    rows = rows_for(PICTURES)
    depthwise, pointwise = kernels_of(layer.name, layer)
    assert depthwise.is_depthwise
    outputs = np.asarray(model(rows)).reshape(-1, 5)
    np.testing.assert_allclose(multiplied(layer, pointwise, rows), outputs, rtol=1e-4, atol=1e-4)
    between = multiplied(layer, depthwise, rows)
    bias = np.asarray(layer.bias)
    np.testing.assert_allclose(between @ pointwise.values.reshape(8, 5) + bias, outputs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("library_name", ["tf_keras", "keras"])
@pytest.mark.parametrize("is_backwards", [False, True])
def test_a_recurrent_kernel_receives_the_states_before_each_step(
    library_name: str, is_backwards: bool
) -> None:
    """A simple layer without an activation is the sum of both products."""
    model, layer = built(
        library_name,
        CURVES,
        lambda k: k.layers.SimpleRNN(3, activation=None, use_bias=False, return_sequences=True,
                                     go_backwards=is_backwards),
    )  # fmt: skip
    layer.set_weights([w * 0.3 for w in layer.get_weights()])
    rows = rows_for(CURVES)
    kernel, recurrent = kernels_of(layer.name, layer)
    inputs = rows[:, ::-1] if is_backwards else rows
    total = multiplied(layer, kernel, inputs) + multiplied(layer, recurrent, rows)
    np.testing.assert_allclose(total, np.asarray(model(rows)).reshape(-1, 3), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("library_name", ["tf_keras", "keras"])
def test_the_layers_inside_of_wrappers_own_their_kernels(library_name: str) -> None:
    model, _ = built(
        library_name,
        CURVES,
        lambda k: k.layers.Bidirectional(k.layers.LSTM(3, return_sequences=True), name="both"),
    )
    assert {type(layer).__name__ for layer in owners(model).values()} == {"LSTM"}
    assert len({layer.name for layer in owners(model).values()}) == 2


@pytest.mark.parametrize(
    ("shape", "make", "said"),
    [
        (CURVES, lambda k: k.layers.GRU(3, reset_after=False), "gated states"),
        (PICTURES, lambda k: k.layers.Conv2D(3, 2, data_format="channels_first"), "channels are first"),
        (CURVES, lambda k: k.layers.ConvLSTM1D(3, 2), "ConvLSTM1D"),
    ],
)
def test_layers_whose_inputs_are_not_known_have_a_reason(shape: Any, make: Make, said: str) -> None:
    shape = (3, *shape) if said == "ConvLSTM1D" else shape
    _, layer = built("tf_keras", shape, make)
    assert said in (why_no_product(layer, kernels_of(layer.name, layer)[-1]) or "")


def test_the_moments_are_those_of_all_positions_and_centred_if_the_mean_can_be_corrected() -> None:
    _, layer = built("tf_keras", PICTURES, lambda k: k.layers.Conv2D(3, 2))
    for is_mean_free in (True, False):
        product = product_of(layer, kernels_of(layer.name, layer)[0])
        rows = rows_for(PICTURES)
        matrix = product.matrix(rows)[:, 0].astype("float64")
        means = matrix.mean(axis=0) if is_mean_free else np.zeros(matrix.shape[1])
        found = moments_of(product, rows, seed=0, is_mean_free=is_mean_free)
        np.testing.assert_allclose(found.means[0], means, atol=1e-9)
        expected = (matrix - means).T @ (matrix - means) / len(matrix)
        np.testing.assert_allclose(found.products[0], expected, atol=1e-6)
