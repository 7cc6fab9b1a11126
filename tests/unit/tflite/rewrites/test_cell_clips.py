"""LSTMs whose state sums up more than TFLiteConverter allows it."""

import importlib

import numpy as np
import pytest

from lwdash.measure.runner import Runner
from lwdash.techniques import float32
from lwdash.tflite.reader import read_tflite

pytestmark = pytest.mark.tensorflow

UP, DOWN = 40, 20
OPEN = 12.0
"""Bias of a gate that lets everything pass."""


def test_a_state_may_leave_the_converters_bounds() -> None:
    """The state counts 40 steps up and 20 down: to 20, and from a bound of 10 to −10."""
    keras = importlib.import_module("tf_keras")
    inputs = keras.Input((UP + DOWN, 1), name="input")
    model = keras.Model(inputs, keras.layers.LSTM(1, name="counter")(inputs))
    kernel = np.array([[0, 0, 5, 0]], np.float32)
    bias = np.array([OPEN, OPEN, 0, OPEN], np.float32)
    model.layers[1].set_weights([kernel, np.zeros((1, 4), np.float32), bias])
    rows = np.repeat([1.0, -1.0], [UP, DOWN]).astype("float32")[None, :, None]
    data = float32.apply(model, ["input"], [(UP + DOWN, 1)])
    assert "UNIDIRECTIONAL_SEQUENCE_LSTM" in {o.type for o in read_tflite(data).subgraphs[0].operators}
    (found,) = Runner(data).run({"input": rows}).values()
    assert float(model(rows)[0, 0]) == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(found, model(rows), atol=1e-5)
