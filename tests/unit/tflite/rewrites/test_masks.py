"""A product with a mask of a comparison becomes a selection with the same values."""

import numpy as np
import pytest
from support.measure_models import Model

from lwdash.measure.runner import Runner
from lwdash.tflite.flatbuffer import read_model, write_model
from lwdash.tflite.operator_codes import kind_of
from lwdash.tflite.rewrites.hard_swish import hard_swish_as_products
from lwdash.tflite.rewrites.masks import write_masks_as_selections

ROWS = {"x": np.random.default_rng(0).normal(0, 4, (32, 6)).astype(np.float32)}


def thresholded(*, is_mask_read_twice: bool = False) -> bytes:
    model = Model()
    shape = (1, 6)
    x, y = model.tensor("x", shape), model.tensor("y", shape)
    limit = model.tensor("limit", (), data=np.array(0.5, np.float32))
    above, mask = model.tensor("above", shape, dtype="bool"), model.tensor("mask", shape)
    model.operator("GREATER", [x, limit], [above], table="GreaterOptions")
    model.operator("CAST", [above], [mask], table="CastOptions", inDataType=6, outDataType=0)
    model.operator("MUL", [mask, x], [y], table="MulOptions")
    results = [y]
    if is_mask_read_twice:
        results.append(model.tensor("z", shape))
        model.operator("ADD", [mask, x], [results[-1]], table="AddOptions")
    return model.build([x], results)


def kinds(data: bytes) -> list[str]:
    model = read_model(data)
    return [kind_of(model, operator) for operator in model.subgraphs[0].operators]


def test_a_mask_becomes_a_selection() -> None:
    model = read_model(thresholded())
    assert write_masks_as_selections(model) == 1
    written = write_model(model)
    assert kinds(written) == ["GREATER", "SELECT_V2"]
    np.testing.assert_array_equal(Runner(written).run(ROWS)["y"], np.where(ROWS["x"] > 0.5, ROWS["x"], 0))


def test_a_mask_that_others_read_stays() -> None:
    model = read_model(thresholded(is_mask_read_twice=True))
    assert write_masks_as_selections(model) == 0


def test_hard_swish_is_written_as_its_formula() -> None:
    model = Model()
    x, y = model.tensor("x", (1, 6)), model.tensor("act/HardSwish", (1, 6))
    model.operator("HARD_SWISH", [x], [y])
    written = hard_swish_as_products(model.build([x], [y]))
    assert kinds(written) == ["ADD", "MUL", "MUL"]
    values = ROWS["x"]
    expected = values * np.clip(values + 3, 0, 6) / 6
    (outputs,) = Runner(written).run(ROWS).values()
    assert outputs == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert hard_swish_as_products(thresholded()) == thresholded()
