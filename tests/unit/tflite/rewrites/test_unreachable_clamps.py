"""A RELU6 whose output scale is next to nothing: its bound overflows int32, and no integer reaches it."""

import numpy as np
import pytest

from lwdash.measure.runner import check_kernels
from lwdash.techniques import float32, int8, int16x8
from lwdash.tflite.flatbuffer import read_model
from lwdash.tflite.rewrites.unreachable_clamps import drop_unreachable_clamps

pytestmark = pytest.mark.tensorflow

ROWS = {"input": np.random.default_rng(0).uniform(-1, 1, (24, 8, 8, 2)).astype("float32")}


@pytest.fixture(scope="module")
def exported() -> bytes:
    """A second convolution whose outputs stay below 1e-8 and are clamped at 6, as in MobileNetV2 without training."""
    import keras

    keras.utils.set_random_seed(3)
    inputs = keras.Input((8, 8, 2), name="input")
    tensor = keras.layers.Conv2D(4, 3, activation="relu6", name="first")(inputs)
    small = keras.layers.Conv2D(4, 3, activation="relu6", name="small")
    tensor = small(tensor)
    small.set_weights([values * np.float32(1e-9) for values in small.get_weights()])
    outputs = keras.layers.Dense(3, name="out")(keras.layers.Flatten()(tensor))
    return float32.apply(keras.Model(inputs, outputs), ["input"], [(8, 8, 2)])


@pytest.mark.parametrize("technique", [int8, int16x8])
def test_the_file_is_taken_by_the_builtin_kernels(exported: bytes, technique: object) -> None:
    packed = technique.apply(exported, technique.Params(), ROWS)  # type: ignore[attr-defined]
    check_kernels(packed.data)


def test_a_clamp_that_is_reached_stays(exported: bytes) -> None:
    from ai_edge_litert import schema_py_generated as schema

    packed = int8.apply(exported, int8.Params(), ROWS)
    functions = [
        getattr(operator.builtinOptions, "fusedActivationFunction", 0)
        for operator in read_model(packed.data).subgraphs[0].operators
    ]
    kinds = schema.ActivationFunctionType
    assert functions.count(kinds.RELU6) == 1
    assert functions.count(kinds.RELU) == 1
    assert drop_unreachable_clamps(read_model(packed.data)) == 0
