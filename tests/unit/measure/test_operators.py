"""Operator by operator: where the signal is lost, and where the time goes."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest
from support.measure_models import Model, dense_model

from lwdash.measure.layer_error import layer_errors, match_operators, spread_order
from lwdash.measure.measure_run import measure
from lwdash.measure.runner import Runner
from lwdash.measure.timing.operator_time import cut_out, operator_times
from lwdash.tflite.reader import read_tflite

KERNEL = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]])
ROWS = {"x": np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)}


def test_weight_and_output_sqnr_by_hand():
    coarse = KERNEL + np.array([[0.1, 0, 0], [0, 0, 0]])
    dense, softmax = layer_errors(
        dense_model(coarse, np.ones(2), softmax=True), dense_model(KERNEL, np.ones(2), softmax=True), ROWS
    )
    assert dense.weight_sqnr_db == pytest.approx(10 * math.log10((KERNEL**2).sum() / 0.01), rel=1e-4)
    reference, noise = ROWS["x"] @ KERNEL.T + 1, ROWS["x"][:, 0] * 0.1
    assert dense.output_sqnr_db == pytest.approx(
        10 * math.log10((reference**2).sum() / (noise**2).sum()), rel=1e-4
    )
    assert not dense.is_output_identical
    assert softmax.weight_sqnr_db is None
    assert softmax.output_sqnr_db is not None


def test_only_the_rows_asked_for_count():
    coarse = dense_model(KERNEL + 0.1, np.ones(2))
    two = layer_errors(coarse, dense_model(KERNEL, np.ones(2)), ROWS, rows=2)
    same = layer_errors(coarse, dense_model(KERNEL, np.ones(2)), {"x": ROWS["x"][[0, -1]]})
    assert two == same


def test_rows_are_spread_over_a_sorted_file_however_few_there_is_time_for():
    order = spread_order(1000, 64)
    assert sorted(order)[0] == 0
    assert sorted(order)[-1] == 999
    assert np.diff(sorted(order)).max() <= 17  # 999 / 63, rounded up and one more
    for taken in (4, 8, 16, 32):
        counts = np.bincount(np.array(order[:taken]) // 250, minlength=4)
        assert counts.min() >= taken // 4 - 1, (taken, counts)
    assert sorted(spread_order(5, 64)) == [0, 1, 2, 3, 4]
    assert spread_order(1, 64) == [0]


def test_a_busy_host_does_not_change_which_rows_are_compared(monkeypatch):
    coarse, fine = dense_model(KERNEL + 0.1, np.ones(2)), dense_model(KERNEL, np.ones(2))
    calm = layer_errors(coarse, fine, ROWS)
    clock = iter(range(10_000))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))
    assert layer_errors(coarse, fine, ROWS) == calm


def test_nothing_lost_is_identical_and_not_a_number():
    data = dense_model(KERNEL, np.ones(2), softmax=True)
    for error in layer_errors(data, data, ROWS):
        assert error.is_output_identical
        assert error.output_sqnr_db is error.weight_sqnr_db is None


def test_integer_operators_find_their_float_twins_past_conversions():
    def build(*, integer: bool) -> bytes:
        model = Model()
        x, y = model.tensor("x", (1, 3)), model.tensor("relu", (1, 3))
        if not integer:
            model.operator("RELU", [x], [y])
            return model.build([x], [y])
        q = model.tensor("x_q", (1, 3), "int8", scale=0.05)
        r = model.tensor("relu", (1, 3), "int8", scale=0.05)
        z = model.tensor("out", (1, 3))
        model.operator("QUANTIZE", [x], [q])
        model.operator("RELU", [q], [r], version=2)
        model.operator("DEQUANTIZE", [r], [z], version=2)
        return model.build([x], [z])

    run, reference = build(integer=True), build(integer=False)
    assert match_operators(read_tflite(run), read_tflite(reference)) == {1: 0}
    quantize, relu, dequantize = layer_errors(run, reference, ROWS)
    true = np.maximum(ROWS["x"], 0)
    stored = np.clip(np.round(true / 0.05), -128, 127) * 0.05
    assert relu.output_sqnr_db == pytest.approx(
        10 * np.log10((true**2).sum() / ((true - stored) ** 2).sum()), rel=1e-3
    )
    assert quantize.output_sqnr_db is dequantize.output_sqnr_db is None


def test_operators_with_other_names_are_matched_by_order_or_not_at_all():
    ours = read_tflite(dense_model(KERNEL, np.ones(2), softmax=True, layer="renamed"))
    theirs = read_tflite(dense_model(KERNEL, np.ones(2), softmax=True))
    assert match_operators(ours, theirs) == {0: 0, 1: 1}
    shorter = read_tflite(dense_model(KERNEL, np.ones(2)))
    assert match_operators(ours, shorter) == {}


def test_a_cut_out_operator_computes_what_it_did_in_the_whole():
    facts = read_tflite(dense_model(KERNEL, np.ones(2), softmax=True))
    dense = Runner(cut_out(facts, facts.operators[0]))
    np.testing.assert_allclose(
        dense.run(ROWS)["model/dense/out"], ROWS["x"] @ KERNEL.T + 1, rtol=1e-5, atol=1e-5
    )
    softmax = Runner(cut_out(facts, facts.operators[1]))
    logits = np.array([[0.0, math.log(3)]], np.float32)
    np.testing.assert_allclose(
        softmax.run({"logits": logits})["model/softmax/Softmax"], [[0.25, 0.75]], rtol=1e-5
    )
    assert facts.operators[0].inputs == (0, 1, 2)


def test_weights_come_with_what_unpacks_them():
    model = Model()
    x, y, full = model.tensor("x", (1, 2)), model.tensor("y", (1, 1)), model.tensor("full", (1, 2))
    half = model.tensor("half", (1, 2), "float16", np.array([[2, 3]], np.float16))
    model.operator("DEQUANTIZE", [half], [full])
    model.operator("FULLY_CONNECTED", [x, full, -1], [y], table="FullyConnectedOptions")
    data = model.build([x], [y])
    facts = read_tflite(data)
    alone = Runner(cut_out(facts, facts.operators[1]))
    assert [o.type for o in alone.facts.operators] == ["DEQUANTIZE", "FULLY_CONNECTED"]
    np.testing.assert_allclose(alone.run({"x": np.array([[1, 10]], np.float32)})["y"], [[32.0]])
    unpacking, dense = operator_times(data, seconds=0.05).operators
    assert (unpacking.ms, unpacking.share) == (0.0, 0.0)
    assert dense.share == 1.0


def test_the_operator_with_the_work_takes_the_time():
    model = Model()
    x, h = model.tensor("x", (1, 1024)), model.tensor("h", (1, 2048))
    y = model.tensor("y", (1, 2048))
    w = model.tensor("w", (2048, 1024), data=np.ones((2048, 1024), np.float32))
    model.operator("FULLY_CONNECTED", [x, w, -1], [h], table="FullyConnectedOptions")
    model.operator("RELU", [h], [y])
    times = operator_times(model.build([x], [y]), seconds=0.3)
    dense, relu = times.operators
    assert dense.share > 0.9
    assert dense.share + relu.share == pytest.approx(1.0)
    assert dense.scaled_ms + relu.scaled_ms == pytest.approx(times.whole_ms)
    assert times.sum_ms == pytest.approx(dense.ms + relu.ms)
    assert times.rounds >= 3


def test_measure_puts_both_into_the_rows_only_when_asked():
    run, baseline = dense_model(KERNEL + 0.1, np.ones(2)), dense_model(KERNEL, np.ones(2))
    options = {"task": "regression", "latency_seconds": 0}
    plain = measure(run, baseline, ROWS, None, **options).to_dict()["layers"][0]
    assert plain["output_sqnr_db"] is plain["ms"] is None
    detailed = measure(run, baseline, ROWS, None, **options, detail_seconds=0.1).to_dict()["layers"][0]
    assert detailed["weight_sqnr_db"] == pytest.approx(10 * math.log10((KERNEL**2).sum() / 0.06), rel=1e-4)
    assert detailed["ms"] > 0
    assert detailed["time_share"] == 1.0
    assert detailed.keys() == plain.keys()


@pytest.mark.tensorflow
@pytest.mark.parametrize("kind", ["int32", "float32"])
def test_a_model_that_takes_no_row_of_zeros_is_timed_all_the_same(kind: str) -> None:
    """As one with an Embedding that masks zeros: its last step that is not masked has the index −1 then."""
    import tensorflow as tf

    def last_step(codes: Any) -> Any:
        table = tf.reshape(tf.range(12, dtype=tf.float32), (4, 3))
        return tf.gather(table, tf.reduce_sum(tf.cast(codes, tf.int32)) - 1)

    function = tf.function(last_step).get_concrete_function(tf.TensorSpec((1, 2), kind))
    data = tf.lite.TFLiteConverter.from_concrete_functions([function]).convert()
    assert operator_times(data, seconds=0.01).rounds >= 3
