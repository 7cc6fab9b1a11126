"""Running a .tflite over rows: types, scales, names, batches, state and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from support.measure_models import Model, dense_model, int8_dense_model

from lwdash.errors import ConversionFailed, DataRefused, ResultRejected
from lwdash.measure.runner import Runner, match_inputs
from lwdash.tflite.reader import read_tflite

KERNEL = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]])
BIAS = np.array([0.5, -1.0])


def float_rows(rows: int = 7) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(rows, 3)).astype(np.float32)


def test_float_outputs_are_the_matrix_product():
    rows = float_rows()
    outputs = Runner(dense_model(KERNEL, BIAS)).run({"x": rows})
    assert list(outputs) == ["model/dense/out"]
    np.testing.assert_allclose(outputs["model/dense/out"], rows @ KERNEL.T + BIAS, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rows", [1, 7, 64, 150])
def test_a_free_batch_is_used_and_gives_the_same_rows(rows):
    values = float_rows(rows)
    runner = Runner(dense_model(KERNEL, BIAS, batch=None))
    np.testing.assert_allclose(
        runner.run({"x": values})["model/dense/out"], values @ KERNEL.T + BIAS, atol=1e-5
    )
    assert runner.interpreter.get_input_details()[0]["shape"][0] == min(rows, 64)


@pytest.mark.parametrize(("rows", "batch"), [(31, 1), (200, 1), (331, 4)])
def test_rows_shared_by_interpreters_come_back_in_order(rows, batch):
    values = float_rows(rows)
    seen: list[float] = []
    runner = Runner(dense_model(KERNEL, BIAS, batch=batch))
    shared = runner.run({"x": values}, workers=3, progress=seen.append)["model/dense/out"]
    np.testing.assert_array_equal(shared, runner.run({"x": values})["model/dense/out"])
    assert seen[-1] == 1.0


def test_the_failing_row_is_counted_over_all_interpreters():
    values = float_rows(200)
    values[150:152] = np.nan
    with pytest.raises(ResultRejected, match="2 of 200 rows, first in row 150"):
        Runner(dense_model(KERNEL, BIAS)).run({"x": values}, workers=4)


def test_a_fixed_batch_above_one_is_filled_up():
    values = float_rows(7)
    outputs = Runner(dense_model(KERNEL, BIAS, batch=4)).run({"x": values})["model/dense/out"]
    np.testing.assert_allclose(outputs, values @ KERNEL.T + BIAS, atol=1e-5)


def test_a_free_batch_with_a_shape_baked_in_falls_back_to_one_row():
    model = Model()
    x, h = model.tensor("x", (1, 4), signature=(-1, 4)), model.tensor("h", (1, 2, 2))
    shape = model.tensor("shape", (3,), "int32", np.array([1, 2, 2], np.int32))
    model.operator("RESHAPE", [x, shape], [h])
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal(
        Runner(model.build([x], [h])).run({"x": values})["h"], values.reshape(3, 2, 2)
    )


def int8_model() -> bytes:
    return int8_dense_model(
        np.array([[10, -20, 5], [0, 30, 10]]), np.array([10, -20]), np.array([0.1, 0.1]),
        input_scale=0.5, input_zero_point=3, output_scale=0.25, output_zero_point=-4,
    )  # fmt: skip


def test_integer_inputs_and_outputs_are_scaled_both_ways():
    real = np.array([[1.0, -0.5, 2.0], [0.25, 0.74, -0.75], [500.0, -500.0, 0.0]], np.float32)
    # x / 0.5 + 3, halves away from zero, clipped to −128…127
    stored = np.array([[5, 2, 7], [4, 4, 1], [127, -128, 3]])
    runner = Runner(int8_model())
    np.testing.assert_array_equal(next(iter(runner.quantized_inputs({"x": real}).values())), stored)
    accumulated = (stored - 3) @ np.array([[10, -20, 5], [0, 30, 10]]).T + np.array([10, -20])
    expected = np.clip(np.rint(accumulated * 0.5 * 0.1 / 0.25) - 4, -128, 127)
    np.testing.assert_allclose(runner.run({"x": real})["dense/out"], (expected + 4) * 0.25, atol=1e-6)


def test_an_output_that_is_not_finite_is_named_with_its_row():
    values = float_rows(5)
    values[3] = np.inf
    with pytest.raises(
        ResultRejected, match=r"output 'model/dense/out' is not finite.*1 of 5 rows, first in row 3"
    ):
        Runner(dense_model(KERNEL, BIAS)).run({"x": values})


def test_a_value_that_is_not_finite_cannot_become_an_integer():
    with pytest.raises(DataRefused, match="input 'x' has a value that is not finite"):
        Runner(int8_model()).run({"x": np.full((1, 3), np.nan, np.float32)})


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"x": np.ones((2, 4), np.float32)}, r"input 'x' takes rows of shape \(3,\), got \(4,\)"),
        ({"x": np.ones((2, 3, 1), np.float32)}, r"takes rows of shape \(3,\), got \(3, 1\)"),
        ({"x": np.ones((0, 3), np.float32)}, "got no rows"),
        ({}, "received none"),
    ],
)
def test_rows_that_do_not_fit_are_refused(inputs, message):
    with pytest.raises(DataRefused, match=message):
        Runner(dense_model(KERNEL, BIAS)).run(inputs)


def two_inputs(first: str = "serving_default_left:0", second: str = "serving_default_right:0") -> bytes:
    model = Model()
    a, b, y = model.tensor(first, (1, 2)), model.tensor(second, (1, 2)), model.tensor("y", (1, 2))
    model.operator("SUB", [a, b], [y], table="SubOptions")
    return model.build([a, b], [y])


def test_several_inputs_are_fed_by_name_whatever_their_order():
    left, right = np.full((3, 2), 5.0, np.float32), np.full((3, 2), 2.0, np.float32)
    outputs = Runner(two_inputs()).run({"right": right, "left": left})["y"]
    np.testing.assert_array_equal(outputs, np.full((3, 2), 3.0))
    with pytest.raises(DataRefused, match=r"different numbers of rows: \[1, 3\]"):
        Runner(two_inputs()).run({"right": right[:1], "left": left})


def test_an_unknown_name_is_matched_only_where_one_choice_is_left():
    rows = np.ones((1, 2), np.float32)
    facts = read_tflite(two_inputs())
    assert match_inputs(facts, {"left": rows, "b": rows}) == {"left": "left", "right": "b"}
    with pytest.raises(DataRefused, match=r"input 'left' of the \.tflite has no rows: received 'a', 'b'"):
        match_inputs(facts, {"a": rows, "b": rows})


def test_a_state_is_cleared_between_rows():
    """A fused LSTM keeps its state in the interpreter: the same row twice must give the same output."""
    model = Model()
    x, y = model.tensor("x", (1, 2, 1)), model.tensor("y", (1, 2, 1))
    w = [model.tensor(f"w{i}", (1, 1), data=np.full((1, 1), 0.5 + i, np.float32)) for i in range(8)]
    bias = [model.tensor(f"b{i}", (1,), data=np.full(1, 0.1, np.float32)) for i in range(4)]
    states = [model.tensor(f"state{i}", (1, 1)) for i in range(2)]
    for state in states:
        model.tensors[state].isVariable = True
    model.operator(
        "UNIDIRECTIONAL_SEQUENCE_LSTM", [x, *w, -1, -1, -1, *bias, -1, -1, *states], [y],
        table="UnidirectionalSequenceLSTMOptions", fusedActivationFunction=4,
    )  # fmt: skip
    runner = Runner(model.build([x], [y]))
    assert runner.facts.has_state
    outputs = runner.run({"x": np.ones((3, 2, 1), np.float32)})["y"]
    np.testing.assert_array_equal(outputs[1], outputs[0])
    np.testing.assert_array_equal(outputs[2], outputs[0])
    assert outputs[0, 1] != outputs[0, 0]


def test_what_litert_refuses_is_explained():
    model = Model()
    x, y = model.tensor("x", (1, 3)), model.tensor("y", (1, 2))
    w = model.tensor("w", (2, 5), data=np.ones((2, 5), np.float32))  # five columns for three features
    model.operator("FULLY_CONNECTED", [x, w, -1], [y], table="FullyConnectedOptions")
    with pytest.raises(ConversionFailed, match="LiteRT"):
        Runner(model.build([x], [y])).run({"x": np.ones((1, 3), np.float32)})


def test_progress_ends_at_one():
    seen: list[float] = []
    Runner(dense_model(KERNEL, BIAS)).run({"x": float_rows(50)}, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert len(seen) <= 30
