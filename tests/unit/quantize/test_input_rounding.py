"""Inputs in very different units: their rounding to 8 bits is noticed, and the remedy that is named works."""

from typing import Any

import numpy as np
import pytest

from lwdash.compress.quantizer_choice import pack
from lwdash.errors import ConversionFailed, ResultRejected
from lwdash.measure.runner import Runner
from lwdash.quantize.input_rounding import first_layers, loses_inputs
from lwdash.recipe import parse_recipe
from lwdash.techniques import TECHNIQUES, float32

pytestmark = pytest.mark.tensorflow

UNITS = np.logspace(-2, 3, 8)
"""From hundredths to thousands, as the columns of a table often are."""
RNG = np.random.default_rng(5)
ROWS = {"table": (RNG.normal(size=(120, 8)) * UNITS).astype("float32")}


@pytest.fixture(scope="module")
def normalizing() -> bytes:
    """A network whose output depends on the columns in small units, with a Normalization in front."""
    import keras

    keras.utils.set_random_seed(4)
    model = keras.Sequential(
        [
            keras.Input((8,), name="table"),
            keras.layers.Normalization(mean=np.zeros(8), variance=UNITS**2, name="units"),
            keras.layers.Dense(64, "relu", name="hidden"),
            keras.layers.Dense(3, name="numbers"),
        ]
    )
    kernel = model.get_layer("hidden").kernel
    kernel.assign(kernel * np.where(UNITS < 100, 1.0, 0.0)[:, None])
    data: bytes = float32.apply(model, ["table"], [(8,)])
    return data


def converter_fails(*anything: Any) -> bytes:
    raise ConversionFailed("no Keras model here")


def quantized(source: bytes, recipe: str, rows: Any = None) -> tuple[Any, float | None]:
    (step,) = parse_recipe(recipe).steps
    return pack(
        TECHNIQUES[step.name],
        step.params,
        source,
        rows or ROWS,
        compared=rows or ROWS,
        convert=converter_fails,
        unroll=lambda: None,
    )


def test_an_input_in_uneven_units_is_lost_in_8_bits(normalizing: bytes) -> None:
    assert loses_inputs(normalizing, ROWS)
    assert not loses_inputs(normalizing, {"table": RNG.normal(size=(50, 8)).astype("float32") / 50})
    assert first_layers(normalizing) == ("units",)


def test_the_error_names_a_recipe_that_works(normalizing: bytes) -> None:
    with pytest.raises(ResultRejected) as raised:
        quantized(normalizing, "int8")
    message = str(raised.value)
    named = "mixed(default=int8, units=float32, io=float32)"
    assert "Rounding the input to 8 bits alone loses the result" in message
    assert named in message
    assert "mixed, dynamic" not in message, "the general advice is replaced"
    packed, sqnr = quantized(normalizing, named)
    assert sqnr is not None
    assert sqnr > 25
    assert len(packed.data) < len(normalizing)


def test_auto_keeps_such_an_input_in_float(normalizing: bytes) -> None:
    packed, sqnr = quantized(normalizing, f"auto(max_size={0.95 * len(normalizing) / 1000:.2f}kB)")
    assert sqnr is not None
    assert sqnr > 10
    recipe = packed.facts["auto"]["recipe"]
    assert "units=float32" in recipe
    assert "io=float32" in recipe
    reference, outputs = (next(iter(Runner(data).run(ROWS).values())) for data in (normalizing, packed.data))
    assert np.corrcoef(reference.ravel(), outputs.ravel())[0, 1] > 0.95


def test_auto_says_so_where_no_file_is_smaller(normalizing: bytes) -> None:
    exact, _ = quantized(normalizing, "auto(judged=numbers, max_drop=0.0001)")
    assert len(exact.data) >= len(normalizing)
    assert any("not smaller than the float file" in each.reason for each in exact.skipped)
    smaller, _ = quantized(normalizing, f"auto(max_size={0.95 * len(normalizing) / 1000:.2f}kB)")
    assert not any("not smaller" in each.reason for each in smaller.skipped)


def test_auto_stores_small_weights_where_integer_arithmetic_loses_too_much(normalizing: bytes) -> None:
    packed, sqnr = quantized(normalizing, "auto(judged=numbers, max_drop=0.1)")
    assert len(packed.data) < len(normalizing)
    assert sqnr is not None
    assert sqnr > 55
    assert "float16" in packed.facts["auto"]["recipe"]


def test_a_network_without_a_normalization_names_its_first_layer() -> None:
    import keras

    model = keras.Sequential([keras.Input((8,), name="table"), keras.layers.Dense(4, name="hidden")])
    assert first_layers(float32.apply(model, ["table"], [(8,)])) == ("hidden",)
