"""What each stage of a run lost: files taken apart, and each stage held against the one before."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special
from support.measure_models import Model, dense_model, int8_dense_model

from lwdash.analyses.accuracy_waterfall import FILE, FLOAT_FILE, OUTPUTS, measure_waterfall
from lwdash.analyses.stage_losses import (
    StageOutputs,
    compared_rows,
    formats_of,
    read_outputs,
    spread,
    waterfall,
    with_weights_of,
    write_outputs,
)
from lwdash.measure.output_cache import OutputCache
from lwdash.measure.runner import Runner
from lwdash.tflite.reader import read_tflite

KERNEL = np.array([[0.5, -1.0, 0.25], [1.0, 0.75, -0.5]])
SCALES = np.array([0.01, 0.02])
"""1.0 / 0.01 = 100 fits, but the real numbers of the integers below are not KERNEL's own."""
STORED = np.array([[51, -99, 25], [50, 37, -25]])


def float_model(kernel: np.ndarray = KERNEL) -> bytes:
    model = Model()
    x, y = model.tensor("x", (1, 3)), model.tensor("dense/out", (1, 2))
    w = model.tensor("dense/MatMul", kernel.shape, data=kernel.astype(np.float32))
    b = model.tensor("dense/BiasAdd", (2,), data=np.array([0.5, -0.5], np.float32))
    model.operator("FULLY_CONNECTED", [x, w, b], [y], table="FullyConnectedOptions")
    return model.build([x], [y])


def integer_model() -> bytes:
    bias = np.array([0.5, -0.5]) / (0.02 * SCALES)
    return int8_dense_model(
        STORED, bias, SCALES, input_scale=0.02, input_zero_point=3, output_scale=0.05, output_zero_point=-4
    )


def test_the_weights_alone_are_put_into_the_float_file() -> None:
    made = with_weights_of(float_model(), integer_model())
    assert made is not None
    kernel = STORED * SCALES[:, None]
    facts = read_tflite(made)
    assert facts.subgraphs[0].tensors[2].real() == pytest.approx(kernel.astype(np.float32))
    rows = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    (outputs,) = Runner(made).run({"x": rows}).values()
    assert outputs == pytest.approx(rows @ kernel.T + [0.5, -0.5], abs=1e-5)
    assert len(made) == len(float_model())


def test_weights_that_have_no_twin_are_not_put_anywhere() -> None:
    assert with_weights_of(float_model(KERNEL), float_model()) is None
    other = Model()
    x, y = other.tensor("x", (1, 4)), other.tensor("dense/out", (1, 2))
    w = other.tensor("dense/MatMul", (2, 4), data=np.ones((2, 4), np.float32))
    other.operator("FULLY_CONNECTED", [x, w, -1], [y])
    assert with_weights_of(other.build([x], [y]), integer_model()) is None


def test_what_a_file_computes_in_is_read_from_its_tensors() -> None:
    integer = formats_of(read_tflite(integer_model()))
    assert (integer.kernels, integer.activations, integer.is_hybrid, integer.borders) == (
        ("int8",),
        ("int8",),
        False,
        ("int8",),
    )
    plain = formats_of(read_tflite(float_model()))
    assert (plain.kernels, plain.activations, plain.is_hybrid, plain.borders) == ((), (), False, ())
    hybrid = Model()
    x, y = hybrid.tensor("x", (1, 2)), hybrid.tensor("y", (1, 1))
    w = hybrid.tensor("w", (1, 2), "int8", np.ones((1, 2), np.int8), scale=0.1)
    hybrid.operator("FULLY_CONNECTED", [x, w, -1], [y])
    found = formats_of(read_tflite(hybrid.build([x], [y])))
    assert (found.kernels, found.activations, found.is_hybrid) == (("int8",), (), True)


def test_each_stage_is_held_against_the_one_before() -> None:
    labels = np.array([0, 1, 1, 0])
    keras = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.7, 0.3]], np.float32)
    one_lost = keras.copy()
    one_lost[2] = [0.6, 0.4]
    stages = waterfall(
        [StageOutputs("Keras model", keras), StageOutputs("float .tflite", keras), StageOutputs("weights: int8", one_lost)],
        labels, {"x": np.zeros((4, 1))}, task="classification",
    )  # fmt: skip
    assert [s.value for s in stages] == [1.0, 1.0, 0.75]
    assert [s.change for s in stages] == [None, 0.0, -0.25]
    assert [(s.lost, s.gained) for s in stages] == [(None, None), (0, 0), (1, 0)]
    assert (stages[1].verdict, stages[1].is_identical, stages[1].sqnr_db) == ("equivalent", True, None)
    assert (stages[2].agreement, stages[2].verdict) == (0.75, "cannot tell")
    assert stages[2].change_ci is not None
    assert stages[2].change_ci[0] < -0.25 < stages[2].change_ci[1]
    signal, noise = float((keras**2).sum()), 2 * 0.2**2
    assert stages[2].sqnr_db == pytest.approx(10 * np.log10(signal / noise), abs=1e-4)


def test_tasks_without_classes_have_their_own_figures() -> None:
    targets = np.array([1.0, 2.0, 3.0])
    near, far = targets + 0.1, targets + np.array([0.3, -0.3, 0.3])
    given = [
        StageOutputs("a", near[:, None].astype(np.float32)),
        StageOutputs("b", far[:, None].astype(np.float32)),
    ]
    stages = waterfall(given, targets, {"x": np.zeros((3, 1))}, task="regression")
    assert [s.measure for s in stages] == ["rmse", "rmse"]
    assert [s.value for s in stages] == pytest.approx([0.1, 0.3], abs=1e-6)
    assert stages[1].change == pytest.approx(0.2, abs=1e-6)
    unlabelled = waterfall(given, None, {"x": np.zeros((3, 1))}, task="regression")
    assert [(s.measure, s.value) for s in unlabelled] == [("sqnr_db", None)] * 2
    assert unlabelled[1].sqnr_db is not None
    rows = np.stack([targets, targets], axis=1).astype(np.float32)
    rebuilt = [StageOutputs("a", rows), StageOutputs("b", rows + np.float32(0.5))]
    stages = waterfall(rebuilt, None, {"x": rows}, task="reconstruction")
    assert [s.value for s in stages] == pytest.approx([0.0, 0.25])


def test_without_labels_agreement_with_the_keras_model_is_the_figure() -> None:
    first = special.softmax(np.random.default_rng(0).normal(size=(50, 4)), axis=1).astype(np.float32)
    second = first[:, [1, 0, 2, 3]]
    stages = waterfall(
        [StageOutputs("a", first), StageOutputs("b", second)], None, {"x": first}, task="classification"
    )
    same = (first.argmax(1) == second.argmax(1)).mean()
    assert [(s.measure, s.value) for s in stages] == [("agreement", 1.0), ("agreement", pytest.approx(same))]


def test_an_integer_file_is_taken_apart_into_weights_activations_and_borders() -> None:
    rows = np.random.default_rng(1).uniform(-1, 1, size=(40, 3)).astype(np.float32)
    expected = (rows @ KERNEL.T + [0.5, -0.5]).astype(np.float32)
    trail = [
        ("Keras model", OUTPUTS, write_outputs(expected)),
        (FLOAT_FILE, FILE, float_model()),
    ]
    stages = measure_waterfall(trail, integer_model(), OutputCache({"x": rows}), expected, task="regression")
    names = ["Keras model", FLOAT_FILE, "weights: int8", "activations: int8", "input and output: int8"]
    assert [s["stage"] for s in stages] == names
    kernel = STORED * SCALES[:, None]
    error = rows @ kernel.T + [0.5, -0.5] - expected
    assert stages[2]["value"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-4)
    assert stages[3]["value"] > stages[2]["value"]
    assert stages[4]["is_identical"], "a file's own conversion rounds as its user does"
    assert all(s["rows"] == 40 for s in stages)


def test_weights_go_to_their_place_in_a_file_that_was_read_before_from_other_bytes() -> None:
    source = float_model()
    kept = read_tflite(source)
    again = bytes(bytearray(source))
    assert read_tflite(again) is kept
    made = with_weights_of(again, integer_model())
    assert made is not None
    assert len(made) == len(source)
    assert made == with_weights_of(source, integer_model())


def test_the_float_file_itself_has_no_more_stages() -> None:
    rows = np.ones((4, 3), np.float32)
    trail = [
        ("Keras model", OUTPUTS, write_outputs(np.ones((4, 2)))),
        (FLOAT_FILE, FILE, dense_model(KERNEL, np.zeros(2))),
    ]
    stages = measure_waterfall(trail, trail[1][2], OutputCache({"x": rows}), None, task="regression")
    assert [s["stage"] for s in stages] == ["Keras model", FLOAT_FILE]


def test_rows_are_spread_over_the_whole_part_and_outputs_come_back() -> None:
    assert spread(5, 10).tolist() == [0, 1, 2, 3, 4]
    assert spread(101, 3).tolist() == [0, 50, 100]
    assert len(compared_rows(100_000, 10)) == 1000
    assert len(compared_rows(100, 16 << 20)) == 1, "outputs of 64 MB each are not kept a thousand times"
    values = np.random.default_rng(0).normal(size=(3, 2, 2)).astype(np.float32)
    assert np.array_equal(read_outputs(write_outputs(values)), values)
