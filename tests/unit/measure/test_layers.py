"""The layer table: parameters, MACs, bytes and Keras layers, held against figures worked out by hand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from support.measure_models import Model, dense_model, int8_dense_model, packed

from lwdash.measure.byte_ledger import Ledger
from lwdash.measure.layers import LayerTable, layer_table
from lwdash.tflite.reader import read_tflite


def table_of(data: bytes, layer_names=()):
    table = layer_table(read_tflite(data), layer_names)
    json.dumps(table.rows)
    assert sum(row["bytes"] for row in table.rows) + table.totals()["overhead_bytes"] == len(data)
    return table


def conv_model(*, depthwise: bool = False) -> bytes:
    """3×3 convolution of (8, 8, 4) to (6, 6, 16), or depthwise to (6, 6, 8)."""
    model = Model()
    channels = 8 if depthwise else 16
    shape = (1, 3, 3, 8) if depthwise else (16, 3, 3, 4)
    x = model.tensor("x", (1, 8, 8, 4))
    kernel = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    w = model.tensor("net/conv/Conv2D", shape, data=kernel)
    b = model.tensor("net/conv/Bias", (channels,), data=np.ones(channels, np.float32))
    y = model.tensor("net/conv/Relu", (1, 6, 6, channels))
    if depthwise:
        model.operator("DEPTHWISE_CONV_2D", [x, w, b], [y], table="DepthwiseConv2DOptions", depthMultiplier=2)
    else:
        model.operator("CONV_2D", [x, w, b], [y], table="Conv2DOptions", strideH=1, strideW=1)
    return model.build([x], [y])


def test_convolution_macs_and_parameters():
    row = table_of(conv_model(), ["conv"]).rows[0]
    assert row["macs"] == 6 * 6 * 16 * 3 * 3 * 4
    assert row["parameters"] == 16 * 3 * 3 * 4 + 16
    assert row["weight_bytes"] == 4 * row["parameters"]
    assert row["layer"] == "conv"
    assert (row["input_dtype"], row["output_dtype"], row["bits_per_weight"]) == ("float32", "float32", 32)
    assert row["distinct_values"] == 16 * 3 * 3 * 4
    assert row["sparsity"] == 1 / (16 * 3 * 3 * 4)
    assert row["entropy_bits"] == pytest.approx(np.log2(576))


def test_depthwise_convolution_macs_do_not_sum_over_channels():
    row = table_of(conv_model(depthwise=True)).rows[0]
    assert row["macs"] == 6 * 6 * 8 * 3 * 3
    assert row["parameters"] == 3 * 3 * 8 + 8


def test_transposed_convolution_spreads_each_input_over_a_filter():
    model = Model()
    shape = model.tensor("shape", (4,), "int32", np.array([1, 8, 8, 5], np.int32))
    w = model.tensor("up/kernel", (5, 2, 2, 3), data=np.ones((5, 2, 2, 3), np.float32))
    x, y = model.tensor("x", (1, 4, 4, 3)), model.tensor("y", (1, 8, 8, 5))
    model.operator("TRANSPOSE_CONV", [shape, w, x], [y], table="TransposeConvOptions", strideH=2, strideW=2)
    row = table_of(model.build([x], [y])).rows[0]
    assert row["macs"] == 4 * 4 * 3 * 2 * 2 * 5
    assert (row["parameters"], row["constant_bytes"]) == (5 * 2 * 2 * 3, 16)


def test_matrix_products_and_recurrent_layers_count_every_step():
    model = Model()
    a, b = model.tensor("a", (1, 4, 5, 6)), model.tensor("b", (1, 4, 6, 7))
    y = model.tensor("y", (1, 4, 5, 7))
    model.operator("BATCH_MATMUL", [a, b], [y], table="BatchMatMulOptions")
    assert table_of(model.build([a, b], [y])).rows[0]["macs"] == 4 * 5 * 7 * 6

    model = Model()
    x, y = model.tensor("x", (1, 10, 3)), model.tensor("y", (1, 10, 4))
    w = [model.tensor(f"lstm/w{i}", (4, 3), data=np.ones((4, 3), np.float32)) for i in range(4)]
    r = [model.tensor(f"lstm/r{i}", (4, 4), data=np.ones((4, 4), np.float32) * i) for i in range(4)]
    bias = [model.tensor(f"lstm/b{i}", (4,), data=np.ones(4, np.float32)) for i in range(4)]
    model.operator("UNIDIRECTIONAL_SEQUENCE_LSTM", [x, *w, *r, -1, -1, -1, *bias, -1, -1], [y])
    row = table_of(model.build([x], [y]), ["lstm"]).rows[0]
    assert row["macs"] == 10 * 4 * (4 * 3 + 4 * 4)
    assert row["parameters"] == 4 * (4 * 3 + 4 * 4 + 4)
    assert row["layer"] == "lstm"


def test_macs_are_unknown_where_a_loop_runs_another_graph():
    model = Model()
    x, y = model.tensor("x", (1, 2)), model.tensor("y", (1, 2))
    model.operator("WHILE", [x], [y], table="WhileOptions", condSubgraphIndex=0, bodySubgraphIndex=0)
    table = table_of(model.build([x], [y]))
    assert table.rows[0]["macs"] is None
    assert table.totals()["macs"] is None


def test_int4_weights_take_half_a_byte_and_their_zeros_are_counted():
    values = np.array([[0, 0, 1, -8], [0, 7, 7, 0]], np.int8)
    model = Model()
    x, y = model.tensor("x", (1, 4)), model.tensor("y", (1, 2))
    w = model.tensor("dense/kernel", (2, 4), "int4", packed(values, 4), scale=[0.1, 0.2])
    model.operator("FULLY_CONNECTED", [x, w, -1], [y])
    table = table_of(model.build([x], [y]), ["dense"])
    row = table.rows[0]
    assert (row["bits_per_weight"], row["weight_bytes"], row["parameters"]) == (4, 4, 8)
    assert (row["sparsity"], row["distinct_values"]) == (0.5, 4)
    assert table.totals()["sparsity"] == 0.5


def test_weights_behind_dequantize_belong_to_the_layer_that_uses_them():
    model = Model()
    x, y = model.tensor("x", (1, 2)), model.tensor("y", (1, 1))
    stored = model.tensor("dense/kernel", (1, 2), "int8", np.array([[1, 0]], np.int8), scale=0.5)
    full = model.tensor("dense/kernel_dequant", (1, 2))
    model.operator("DEQUANTIZE", [stored], [full])
    model.operator("FULLY_CONNECTED", [x, full, -1], [y])
    unpack, dense = table_of(model.build([x], [y]), ["dense"]).rows
    assert (unpack["weight_bytes"], unpack["parameters"]) == (0, 0)
    assert (dense["weight_bytes"], dense["bits_per_weight"], dense["sparsity"]) == (2, 8, 0.5)


def test_a_shared_kernel_counts_once():
    model = Model()
    x, h, y = (model.tensor(n, (1, 2)) for n in ("x", "h", "y"))
    w = model.tensor("tied/kernel", (2, 2), data=np.eye(2, dtype=np.float32))
    model.operator("FULLY_CONNECTED", [x, w, -1], [h])
    model.operator("FULLY_CONNECTED", [h, w, -1], [y])
    table = table_of(model.build([x], [y]), ["tied"])
    assert [row["parameters"] for row in table.rows] == [4, 0]
    assert [row["macs"] for row in table.rows] == [4, 4]
    assert [row["shares_weights"] for row in table.rows] == [False, True]
    assert [row["layer"] for row in table.rows] == ["tied", "tied"]


def test_shapes_and_scalars_are_no_parameters():
    model = Model()
    x, y, z = model.tensor("x", (1, 4)), model.tensor("y", (2, 2)), model.tensor("z", (2, 2))
    shape = model.tensor("shape", (2,), "int32", np.array([2, 2], np.int32))
    scale = model.tensor("rescaling/Mul", (), data=np.array(1 / 255, np.float32))
    model.operator("RESHAPE", [x, shape], [y])
    model.operator("MUL", [y, scale], [z])
    table = table_of(model.build([x], [z]))
    assert table.totals()["parameters"] == 0
    assert [row["constant_bytes"] for row in table.rows] == [8, 4]
    assert table.totals()["sparsity"] is None


def test_totals_over_an_integer_model():
    kernel = np.array([[1, 0, 0], [0, -1, 2]])
    data = int8_dense_model(
        kernel, np.array([5, 6]), np.array([0.1, 0.2]),
        input_scale=0.5, input_zero_point=1, output_scale=0.25, output_zero_point=-3,
    )  # fmt: skip
    totals = table_of(data).totals()
    assert (totals["parameters"], totals["macs"], totals["weight_bytes"]) == (8, 6, 6 + 8)
    assert totals["sparsity"] == 0.5


@pytest.mark.parametrize(
    ("tensor_name", "layers", "expected"),
    [
        ("model/conv2d_1/Conv2D", ["conv2d", "conv2d_1"], "conv2d_1"),
        ("model/conv2d/Relu;model/conv2d/BiasAdd", ["conv2d", "relu"], "conv2d"),
        ("functional_1/dense_2/MatMul", ["dense"], "dense"),
        ("functional_1/dense_2/MatMul", ["dense", "dense_2"], "dense_2"),
        ("outer/inner/dense/MatMul", ["inner", "inner/dense"], "inner/dense"),
        ("block/conv/kernel", ["block", "conv_long", "conv"], "block"),
        ("StatefulPartitionedCall:0", ["dense"], None),
        ("dense:0", ["dense"], "dense"),
        ("densely/MatMul", ["dense"], None),
    ],
)
def test_keras_layers_are_found_in_tensor_names(tensor_name, layers, expected):
    model = Model()
    x, y = model.tensor("x", (1, 2)), model.tensor(tensor_name, (1, 2))
    model.operator("RELU", [x], [y])
    assert table_of(model.build([x], [y]), layers).rows[0]["layer"] == expected


def test_the_kernels_name_tells_the_layer_where_fusing_renamed_the_output():
    data = dense_model(np.ones((2, 3)), np.ones(2), layer="first")
    facts = read_tflite(data.replace(b"model/first/out", b"model/other/out"))
    assert layer_table(facts, ["first", "other"]).rows[0]["layer"] == "first"


def test_sparsity_is_over_the_kernels_that_pruning_is_about() -> None:
    def row(kind: str, values: int, zeros: int) -> dict[str, Any]:
        counted = dict.fromkeys(("parameters", "macs", "weight_bytes", "huffman_bytes"), 0)
        return {"type": kind, "kernel_values": values, "kernel_zeros": zeros, **counted}

    depthwise, dense = row("DEPTHWISE_CONV_2D", 100, 0), row("FULLY_CONNECTED", 50, 40)
    ledger = Ledger(0, {}, {})
    assert LayerTable((depthwise, dense), ledger).totals()["sparsity"] == 40 / 50
    assert LayerTable((depthwise,), ledger).totals()["sparsity"] == 0
