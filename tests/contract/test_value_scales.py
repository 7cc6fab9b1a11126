"""Integer files are as exact for networks in billionths or billions as for networks in units."""

from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from lwdash.measure.accuracy import sqnr_db
from lwdash.measure.runner import Runner
from lwdash.techniques import TECHNIQUES, float32
from lwdash.tflite.reader import read_tflite

pytestmark = pytest.mark.tensorflow

LARGE, SMALL = 2.0**30, 2.0**-30
SCALES = [
    (1.0, 1.0, LARGE), (1.0, 1.0, SMALL), (LARGE, 1.0, 1.0), (SMALL, 1.0, 1.0), (1.0, LARGE, 1.0), (1.0, SMALL, 1.0),
    (SMALL, SMALL, SMALL), (LARGE, LARGE, LARGE), (LARGE, 1.0, SMALL), (SMALL, 1.0, LARGE),
]  # fmt: skip
"""Sizes of inputs, of what is between the layers, and of outputs; powers of two change no rounding."""


def scaled(kind: str, sizes: tuple[float, float, float]) -> tuple[bytes, np.ndarray]:
    """The float .tflite of a network that computes the same in other units, and its input rows."""
    import keras

    keras.utils.set_random_seed(3)
    layers = keras.layers
    shape, stack = {
        "dense": ((6,), [layers.Dense(8, activation="relu"), layers.Dense(8), layers.Dense(3)]),
        "convolution": (
            (6, 6, 3),
            [
                layers.Conv2D(8, 3, activation="relu"),
                layers.DepthwiseConv2D(3),
                layers.Flatten(),
                layers.Dense(3),
            ],
        ),
    }[kind]
    model = keras.Sequential([keras.Input(shape), *stack])
    random = np.random.default_rng(1)
    before = sizes[0]
    for layer, size in zip(
        [each for each in model.layers if each.weights], (sizes[1], *sizes[1:]), strict=True
    ):
        kernel, bias = layer.get_weights()
        layer.set_weights([kernel * (size / before), random.normal(size=bias.shape) * size])
        before = size
    rows = (random.normal(size=(32, *shape)) * sizes[0]).astype("float32")
    return float32.apply(model, [model.inputs[0].name], [shape]), rows


def decibels(data: bytes, rows: np.ndarray, technique: str) -> float:
    graph = read_tflite(data).subgraphs[0]
    named = {graph.tensors[graph.inputs[0]].name: rows}
    made = TECHNIQUES[technique].apply(data, TECHNIQUES[technique].Params(), named)
    reference, got = (next(iter(Runner(file).run(named).values())) for file in (data, made.data))
    found = sqnr_db(reference, got)
    assert found is not None
    return found


@lru_cache
def in_units(kind: str, technique: str) -> float:
    return decibels(*scaled(kind, (1.0, 1.0, 1.0)), technique)


@pytest.mark.parametrize("sizes", SCALES, ids=str)
def test_the_unit_of_the_values_does_not_change_the_error(sizes: tuple[float, float, float]) -> None:
    """1e9 was taken for the padding of an attention mask, and 1e-9 for a layer that is always zero."""
    for kind in ("dense", "convolution"):
        data, rows = scaled(kind, sizes)
        for technique in ("int8", "int16x8"):
            assert decibels(data, rows, technique) == pytest.approx(in_units(kind, technique), abs=0.5)


@pytest.mark.parametrize("large", [1e4, 1e7])
def test_a_bias_far_above_its_products_is_kept_in_16_bits(large: float) -> None:
    """litert-quantizer clips biases to 32 bits, also where 64 are stored."""
    import keras

    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    kernel, _ = model.layers[0].get_weights()
    model.layers[0].set_weights([kernel, np.array([large, -large, 1.0])])
    rows = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
    data = float32.apply(model, [model.inputs[0].name], [(4,)])
    assert decibels(data, rows, "int16x8") > 80


def test_a_mask_before_a_softmax_is_padding_and_a_large_factor_is_not() -> None:
    import keras

    from lwdash.tflite.flatbuffer import read_model
    from lwdash.tflite.rewrites.padding_constants import padding_constants

    def constants(model: Any, shape: tuple[int, ...]) -> int:
        graph_of = read_model(float32.apply(model, [model.inputs[0].name], [shape]))
        return len(padding_constants(graph_of, graph_of.subgraphs[0]))

    inputs = keras.Input((6, 8))
    attention = keras.layers.MultiHeadAttention(2, 4)(inputs, inputs, use_causal_mask=True)
    assert constants(keras.Model(inputs, attention), (6, 8)) > 0
    inputs = keras.Input((4,))
    large = keras.layers.Rescaling(1e9, 3e9)(keras.layers.Dense(3)(inputs))
    assert constants(keras.Model(inputs, large), (4,)) == 0
