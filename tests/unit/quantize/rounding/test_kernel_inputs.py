"""InputMoments of a kernel's inputs, read off a file that runs: they predict its outputs."""

from typing import Any

import numpy as np
import pytest

from lwdash.quantize.ranges.activation_ranges import Watched
from lwdash.quantize.read_back import shape_of
from lwdash.quantize.rounding.kernel_inputs import _MomentSums, kernel_moments
from lwdash.quantize.rounding.stored_kernels import StoredKernel, float_values
from lwdash.techniques import float32
from lwdash.tflite.flatbuffer import read_model
from lwdash.tflite.operator_codes import kind_of
from lwdash.training.layerwise.brain_surgeon import damped

pytestmark = pytest.mark.tensorflow

SHAPE = (9, 7, 3)
ROWS = np.random.default_rng(0).normal(size=(12, *SHAPE)).astype("float32")


def layers(keras: Any) -> dict[str, Any]:
    made = keras.layers
    return {
        "same": made.Conv2D(5, (3, 2), padding="same"),
        "strided": made.Conv2D(5, 3, strides=2, padding="same"),
        "valid": made.Conv2D(4, (2, 3), strides=(2, 1)),
        "dilated": made.Conv2D(4, 3, dilation_rate=2, padding="same"),
        "depthwise": made.DepthwiseConv2D(3, padding="same", depth_multiplier=2),
        "dense": made.Dense(6),
    }


@pytest.mark.parametrize("name", ["same", "strided", "valid", "dilated", "depthwise", "dense"])
def test_the_moments_predict_the_mean_and_the_power_of_the_outputs(name: str) -> None:
    import keras

    keras.utils.set_random_seed(2)
    model = keras.Sequential([keras.Input(SHAPE), layers(keras)[name]])
    source = float32.apply(model, ["input"], [SHAPE])
    outputs = model.predict(ROWS, verbose=0)
    file = read_model(source)
    graph = file.subgraphs[0]
    place = next(
        i
        for i, o in enumerate(graph.operators)
        if kind_of(file, o) in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
    )
    operator = graph.operators[place]
    tensor = graph.tensors[operator.inputs[1]]
    kind = kind_of(file, operator)
    kernel = StoredKernel(0, int(operator.inputs[1]), (place,), kind, 8, 3 if kind.startswith("DEPTH") else 0)
    products = kernel.grouped(float_values(file, tensor)).astype("float64")
    assert np.array_equal(kernel.ungrouped(products, shape_of(tensor)), float_values(file, tensor))
    found = kernel_moments(Watched(source, {"input": ROWS}), [place])[place]
    times = len(products) // len(found.mean)
    mean, second = np.repeat(found.mean, times, 0), np.repeat(found.second, times, 0)
    flat = outputs.reshape(-1, outputs.shape[-1]).astype("float64")
    np.testing.assert_allclose((products @ mean[:, :, None]).ravel(), flat.mean(0), atol=1e-4)
    power = np.einsum("gok,gkl,gol->go", products, second, products).ravel()
    np.testing.assert_allclose(power, (flat**2).mean(0), rtol=1e-4)


@pytest.mark.parametrize("spread", [0.0, 1e-7, 1e-3])
def test_inputs_that_hardly_vary_have_a_covariance_that_can_be_inverted(spread: float) -> None:
    """Dead layers repeat one large value; its square would round more than the inputs vary."""
    chance = np.random.default_rng(4)
    level = chance.uniform(50, 900, (2, 1, 40))
    sums = _MomentSums()
    for _ in range(50):
        sums.add((level * (1 + spread * chance.normal(size=(2, 30, 40)))).astype("float32"))
    found = sums.moments()
    matrices = damped(found.covariance)
    assert np.linalg.eigvalsh(matrices).min() > 0
    np.linalg.cholesky(np.linalg.inv(matrices))
    np.testing.assert_allclose(found.mean, level[:, 0], rtol=1e-3)
    if spread == 1e-3:
        measured = np.diagonal(found.covariance, axis1=1, axis2=2)
        np.testing.assert_allclose(measured, (level[:, 0] * spread) ** 2, rtol=0.2)
