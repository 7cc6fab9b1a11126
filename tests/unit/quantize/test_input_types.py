"""Calibration rows go to the inputs of any .tflite, whatever its tensors are called."""

from typing import Any

import numpy as np
import pytest

from lwdash.quantize.input_types import rows_in_file_types
from lwdash.recipe import parse_recipe
from lwdash.tflite.reader import read_tflite

pytestmark = pytest.mark.tensorflow

RNG = np.random.default_rng(3)
ROWS = {"left": RNG.normal(size=(20, 6)), "right": 9 * RNG.normal(size=(20, 6))}


@pytest.fixture(scope="module")
def converted() -> bytes:
    """A network of two inputs of one shape, by TFLiteConverter."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(1)
    left, right = keras.Input((6,), name="left"), keras.Input((6,), name="right")
    joined = keras.layers.Concatenate()([keras.layers.Dense(8, "relu")(left), right])
    model = keras.Model([left, right], keras.layers.Dense(3)(joined))
    made: bytes = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    return made


def test_rows_get_the_names_of_the_tensors_and_their_types(converted: bytes) -> None:
    facts = read_tflite(converted)
    assert {port.name for port in facts.inputs} == {"left", "right"}
    tensors = [facts.subgraphs[0].tensors[port.tensor].name for port in facts.inputs]
    assert set(tensors) == {"serving_default_left:0", "serving_default_right:0"}
    named = rows_in_file_types(converted, ROWS)
    assert set(named) == set(tensors)
    for name in ROWS:
        values = named[f"serving_default_{name}:0"]
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, ROWS[name].astype("float32"))
    assert set(rows_in_file_types(converted, named)) == set(tensors)  # a second time changes nothing


@pytest.mark.parametrize("recipe", ["int8", "int16x8", "dynamic(bits=4)", "mixed(default=int8)"])
def test_a_file_of_the_converter_goes_through_every_format_with_rows(converted: bytes, recipe: str) -> None:
    from lwdash.compress.quantizer_choice import pack
    from lwdash.techniques import TECHNIQUES

    def convert(*anything: Any) -> bytes:
        raise AssertionError("the file itself is quantized")

    (step,) = parse_recipe(recipe).steps
    rows = {name: values.astype("float32") for name, values in ROWS.items()}
    _, sqnr = pack(
        TECHNIQUES[step.name],
        step.params,
        converted,
        rows,
        compared=rows,
        convert=convert,
        unroll=lambda: None,
    )
    assert sqnr is not None
    assert sqnr > (20 if "4" in recipe else 30)


def test_the_shape_of_an_integer_tensor_needs_no_floats() -> None:
    """A free batch makes TFLiteConverter write SHAPE before the reshape of a Flatten."""
    import keras
    import tensorflow as tf

    from lwdash.measure.runner import Runner
    from lwdash.quantize.number_formats import FORMATS
    from lwdash.quantize.quantizers.litert_quantizer import quantized_throughout

    keras.utils.set_random_seed(1)
    made = keras.layers
    model = keras.Sequential([keras.Input((6, 6, 2)), made.Conv2D(4, 3), made.Flatten(), made.Dense(3)])
    source: bytes = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    assert "SHAPE" in [operator.type for operator in read_tflite(source).operators]
    rows = rows_in_file_types(source, {"any": RNG.normal(size=(30, 6, 6, 2))})
    packed = quantized_throughout(source, FORMATS["int8"], rows).data
    types = [operator.type for operator in read_tflite(packed).operators]
    assert "SHAPE" in types
    assert "DEQUANTIZE" not in types
    before, after = (next(iter(Runner(data).run(rows).values())) for data in (source, packed))
    np.testing.assert_allclose(after, before, atol=0.05 * np.abs(before).max())
