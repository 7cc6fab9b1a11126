"""Output shapes of layers and operations, against shapes worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from lwdash.keras_models.layer_shapes import broadcast, output_shapes
from lwdash.keras_models.operation_shapes import operation_shape


@pytest.mark.parametrize(
    ("class_name", "config", "inputs", "expected"),
    [
        ("Dense", {"units": 3}, [(None, 7, 4)], [(None, 7, 3)]),
        (
            "Conv1D",
            {"filters": 8, "kernel_size": [5], "strides": [2], "padding": "valid"},
            [(None, 20, 1)],
            [(None, 8, 8)],
        ),
        (
            "Conv1D",
            {"filters": 8, "kernel_size": [3], "strides": [1], "padding": "causal", "dilation_rate": [2]},
            [(None, 9, 1)],
            [(None, 9, 8)],
        ),
        (
            "Conv2D",
            {
                "filters": 8,
                "kernel_size": [3, 3],
                "strides": [1, 1],
                "padding": "valid",
                "dilation_rate": [2, 2],
            },
            [(None, 10, 10, 1)],
            [(None, 6, 6, 8)],
        ),
        (
            "Conv2D",
            {"filters": 8, "kernel_size": [3, 3], "strides": [2, 2], "padding": "same"},
            [(None, 9, None, 1)],
            [(None, 5, None, 8)],
        ),
        (
            "Conv2D",
            {
                "filters": 8,
                "kernel_size": [3, 3],
                "strides": [1, 1],
                "padding": "valid",
                "data_format": "channels_first",
            },
            [(None, 3, 8, 8)],
            [(None, 8, 6, 6)],
        ),
        (
            "DepthwiseConv2D",
            {"kernel_size": [3, 3], "strides": [1, 1], "padding": "same", "depth_multiplier": 2},
            [(None, 8, 8, 3)],
            [(None, 8, 8, 6)],
        ),
        (
            "Conv2DTranspose",
            {"filters": 4, "kernel_size": [3, 3], "strides": [2, 2], "padding": "valid"},
            [(None, 4, 4, 1)],
            [(None, 9, 9, 4)],
        ),
        (
            "MaxPooling2D",
            {"pool_size": [2, 2], "strides": None, "padding": "valid"},
            [(None, 7, 8, 3)],
            [(None, 3, 4, 3)],
        ),
        ("GlobalAveragePooling1D", {"keepdims": True}, [(None, 7, 3)], [(None, 1, 3)]),
        ("Flatten", {}, [(None, 2, 3, 4)], [(None, 24)]),
        ("Flatten", {}, [(None, None, 4)], [(None, None)]),
        ("Reshape", {"target_shape": [-1, 4]}, [(None, 2, 6)], [(None, 3, 4)]),
        ("Permute", {"dims": [2, 1]}, [(None, 5, 6)], [(None, 6, 5)]),
        ("RepeatVector", {"n": 3}, [(None, 5)], [(None, 3, 5)]),
        ("ZeroPadding2D", {"padding": [[1, 2], [3, 4]]}, [(None, 5, 5, 1)], [(None, 8, 12, 1)]),
        ("ZeroPadding1D", {"padding": [1, 2]}, [(None, 5, 1)], [(None, 8, 1)]),
        ("Cropping1D", {"cropping": [1, 1]}, [(None, 5, 1)], [(None, 3, 1)]),
        ("UpSampling2D", {"size": [2, 3]}, [(None, 5, 5, 1)], [(None, 10, 15, 1)]),
        ("Embedding", {"output_dim": 8}, [(None, 20)], [(None, 20, 8)]),
        ("Concatenate", {"axis": -1}, [(None, 2), (None, 3)], [(None, 5)]),
        ("Add", {}, [(None, 4, 1), (None, 4, 3)], [(None, 4, 3)]),
        ("Dot", {"axes": 2}, [(None, 3, 4), (None, 5, 4)], [(None, 3, 5)]),
        (
            "LSTM",
            {"units": 8, "return_sequences": True, "return_state": True},
            [(None, 5, 2)],
            [(None, 5, 8), (None, 8), (None, 8)],
        ),
        ("MultiHeadAttention", {"output_shape": None}, [(None, 5, 6), (None, 7, 8)], [(None, 5, 6)]),
        (
            "TimeDistributed",
            {"layer": {"class_name": "Dense", "config": {"units": 3}}},
            [(None, 5, 4)],
            [(None, 5, 3)],
        ),
        (
            "Bidirectional",
            {"layer": {"class_name": "LSTM", "config": {"units": 3}}, "merge_mode": "concat"},
            [(None, 5, 4)],
            [(None, 6)],
        ),
        ("SomethingNew", {}, [(None, 5)], None),
        ("Dense", {"units": 3}, [None], None),
        ("Concatenate", {"axis": -1}, [(None, 2), None], None),
        ("Conv1D", {"filters": 8}, [(None, 20, 1)], None),
    ],
)
def test_layer_rules(
    class_name: str, config: dict[str, Any], inputs: list[Any], expected: list[Any] | None
) -> None:
    assert output_shapes(class_name, config, inputs) == expected


@pytest.mark.parametrize(
    ("name", "options", "inputs", "expected"),
    [
        ("math.multiply", {"y": 2.0}, [(None, 8)], (None, 8)),
        ("math.reduce_mean", {"axis": 1}, [(None, 8, 4)], (None, 4)),
        ("Mean", {"axis": [1, 2], "keepdims": True}, [(None, 8, 4)], (None, 1, 1)),
        ("reshape", {"shape": [-1, 2, 2]}, [(None, 4)], (None, 2, 2)),
        ("Reshape", {"newshape": [-1, 2, -1]}, [(None, 4, 3)], (None, 2, 6)),
        ("concat", {"axis": -1}, [(None, 2, 2), (None, 2, 3)], (None, 2, 5)),
        ("Transpose", {"axes": [0, 2, 1]}, [(None, 2, 5)], (None, 5, 2)),
        ("expand_dims", {"axis": -1}, [(None, 5)], (None, 5, 1)),
        ("Squeeze", {"axis": 2}, [(None, 5, 1)], (None, 5)),
        (
            "getitem",
            {"slice_spec": [{"start": None, "stop": None, "step": None}, -1]},
            [(None, 8, 4)],
            (None, 4),
        ),
        (
            "getitem",
            {
                "slice_spec": [
                    {"start": None, "stop": None, "step": None},
                    {"start": 2, "stop": None, "step": 3},
                ]
            },
            [(None, 8, 4)],
            (None, 2, 4),
        ),
        ("GetItem", {"key": [{"class_name": "__ellipsis__", "config": {}}, 0]}, [(None, 8, 4)], (None, 8)),
        ("image.resize", {"size": [4, 4]}, [(None, 8, 8, 3)], None),
    ],
)
def test_operation_rules(name: str, options: dict[str, Any], inputs: list[Any], expected: Any) -> None:
    assert operation_shape(name, options, inputs) == expected


def test_broadcast_refuses_what_does_not_go_together() -> None:
    assert broadcast([(None, 3), (None, 4)]) is None
    assert broadcast([(3,), (None, 2, 3)]) == (None, 2, 3)
