"""What a run's page draws of its file, and what verify says of two files that differ."""

import json

import numpy as np
import pytest
from support.measure_models import Model, dense_model, int8_dense_model

from lwdash.analyses.graph_data import BINS, dissect
from lwdash.measure.layers import layer_table
from lwdash.measure.script_ports import input_order, judged_output
from lwdash.tflite.differences import differences
from lwdash.tflite.reader import read_tflite
from lwdash.tflite.tensor import TfliteUnreadable

KERNEL = np.array([[0.0, 1.0, -1.0, 0.5], [0.0, 0.0, 0.25, 2.0]], np.float32)
BIAS = np.zeros(2, np.float32)


def test_the_graph_has_its_operators_ports_and_edges():
    found = dissect(
        dense_model(KERNEL, BIAS, softmax=True), dense_model(KERNEL, BIAS, softmax=True), ["dense"]
    )
    graph = found["graph"]
    assert [(n["index"], n["type"], n["layer"]) for n in graph["nodes"]] == [
        (0, "FULLY_CONNECTED", "dense"),
        (1, "SOFTMAX", None),
    ]
    assert [(p["id"], p["shape"], p["dtype"]) for p in graph["ports"]] == [
        ("in:0", [1, 4], "float32"),
        ("out:0", [1, 2], "float32"),
    ]
    assert [(e["from"], e["to"]) for e in graph["edges"]] == [("in:0", 0), (0, 1), (1, "out:0")]
    json.dumps(found, allow_nan=False)


def test_a_dequantize_of_stored_weights_is_no_node_and_its_kernel_belongs_to_the_layer():
    model = Model()
    x = model.tensor("x", (1, 4))
    stored = model.tensor("dense/kernel", (2, 4), "float16", KERNEL.astype(np.float16))
    unpacked = model.tensor("dense/unpacked", (2, 4))
    y = model.tensor("dense/out", (1, 2))
    model.operator("DEQUANTIZE", [stored], [unpacked])
    model.operator("FULLY_CONNECTED", [x, unpacked, -1], [y], table="FullyConnectedOptions")
    found = dissect(model.build([x], [y]), dense_model(KERNEL, BIAS), ["dense"])
    assert [n["type"] for n in found["graph"]["nodes"]] == ["FULLY_CONNECTED"]
    assert [(e["from"], e["to"]) for e in found["graph"]["edges"]] == [("in:0", 1), (1, "out:0")]
    [kernel] = found["weights"]
    assert (kernel["index"], kernel["layer"], kernel["dtype"]) == (1, "dense", "float16")


def test_histograms_are_of_real_values_beside_the_baselines_with_zeros_counted_apart():
    run = int8_dense_model(
        np.array([[0, 64, -64, 32], [0, 0, 16, 127]]), BIAS, np.array([1 / 64, 1 / 64]),
        input_scale=0.1, input_zero_point=0, output_scale=0.1, output_zero_point=0,
    )  # fmt: skip
    [kernel] = dissect(run, dense_model(KERNEL, BIAS), ["dense"])["weights"]
    assert (kernel["low"], kernel["high"]) == (-1.0, 2.0)
    assert (kernel["zeros"], kernel["values"], kernel["distinct"]) == (3, 8, 6)
    assert len(kernel["counts"]) == BINS
    assert sum(kernel["counts"]) == 5
    assert kernel["counts"][0] == 1  # −64/64, at the lower end
    assert kernel["baseline"]["counts"][-1] == 1  # 2.0, at the upper end
    assert kernel["baseline"]["zeros"] == 3


def test_the_tabs_layers_and_weights_count_the_same_distinct_values():
    run = int8_dense_model(
        np.array([[0, 64, -64, 32], [0, 0, 16, 127]]), BIAS, np.array([1 / 64, 1 / 32]),
        input_scale=0.1, input_zero_point=0, output_scale=0.1, output_zero_point=0,
    )  # fmt: skip
    [kernel] = dissect(run, dense_model(KERNEL, BIAS), ["dense"])["weights"]
    [row] = layer_table(read_tflite(run), ["dense"]).rows
    assert kernel["distinct"] == row["distinct_values"] == 6


def test_a_kernel_without_a_twin_of_its_size_stands_alone():
    other = dense_model(np.ones((3, 4), np.float32), np.zeros(3, np.float32))
    [kernel] = dissect(dense_model(KERNEL, BIAS), other, [])["weights"]
    assert kernel["baseline"] is None


def test_equal_and_not_finite_weights_break_nothing():
    same, broken = KERNEL * 0 + 3, KERNEL.copy()
    broken[0, 0] = np.nan
    [kernel] = dissect(dense_model(same, BIAS), dense_model(broken, BIAS), [])["weights"]
    assert sum(kernel["counts"]) == 8
    assert kernel["baseline"] is None
    assert dissect(dense_model(broken, BIAS), dense_model(same, BIAS), [])["weights"] == []


def test_bytes_that_are_no_tflite_are_refused():
    with pytest.raises(TfliteUnreadable):
        dissect(b"PK\x03\x04 not one", dense_model(KERNEL, BIAS), [])


def test_the_same_bytes_have_no_differences():
    data = dense_model(KERNEL, BIAS)
    assert differences(data, data) == {
        "bytes_equal": True, "size_bytes": [len(data), len(data)], "operators": None, "tensors": [], "others": 0,
    }  # fmt: skip


def test_a_changed_weight_is_named_and_counted():
    changed = KERNEL.copy()
    changed[1, 3] += 0.5
    found = differences(dense_model(KERNEL, BIAS), dense_model(changed, BIAS))
    assert not found["bytes_equal"]
    assert found["operators"] is None
    [tensor] = found["tensors"]
    assert tensor == {"name": "model/dense/MatMul", "difference": "1 of 8 values, by 0.5 at most"}


def test_another_operator_and_another_scale_are_told():
    found = differences(dense_model(KERNEL, BIAS), dense_model(KERNEL, BIAS, softmax=True))
    assert found["operators"] == "1 operators, now 2"

    def quantized(scale):
        kernel = np.ones((2, 4), np.int8)
        return int8_dense_model(kernel, BIAS, np.array([scale, 0.5]), input_scale=0.1, input_zero_point=0,
                                output_scale=0.1, output_zero_point=0)  # fmt: skip

    found = differences(quantized(0.5), quantized(0.25))
    assert [t["difference"] for t in found["tensors"]] == ["other scales or zero points"] * 2


def test_tensors_of_another_shape_or_type_are_told():
    found = differences(
        dense_model(KERNEL, BIAS), dense_model(np.ones((3, 4), np.float32), np.zeros(3, np.float32))
    )
    assert found["tensors"][0]["difference"] == "float32 [2, 4], now float32 [3, 4]"


def two_ports(first: str, second: str) -> bytes:
    """Inputs of different lengths; outputs `first` and `second` are the two passed through RELU."""
    model = Model()
    a, b = model.tensor("a", (1, 3)), model.tensor("b", (1, 5))
    outs = [model.tensor(f"{name}:0", (1, size)) for name, size in ((first, 3), (second, 5))]
    for source, target in zip((a, b), outs, strict=True):
        model.operator("RELU", [source], [target])
    return model.build([a, b], outs)


def test_rows_go_to_the_ports_that_they_fit():
    facts = read_tflite(two_ports("y", "z"))
    rows = {"five": np.zeros((2, 5)), "three": np.zeros((2, 3))}
    assert input_order(facts, rows) == [1, 0]
    assert judged_output(read_tflite(two_ports("z", "y")), facts) == 1
    assert judged_output(read_tflite(two_ports("other", "names")), facts) == 0
    assert judged_output(read_tflite(two_ports("z", "y")), facts, 1) == 0
    assert judged_output(read_tflite(two_ports("other", "names")), facts, 1) == 1
