"""Output shapes of layers and operations, against shapes worked out by hand."""

from __future__ import annotations

import re
from typing import Any

import pytest

from lwdash.errors import ModelRefused
from lwdash.keras_models.model_facts import LayerFacts, ModelFacts, TensorFacts
from lwdash.keras_models.scan.allowed_classes import LAYERS
from lwdash.keras_models.scan.layer_settings import call_options, layer_settings
from lwdash.keras_models.shapes.layer_shapes import RULES, broadcast, output_shapes
from lwdash.keras_models.shapes.operation_shapes import operation_shape


@pytest.mark.parametrize(
    ("class_name", "config", "inputs", "expected"),
    [
        ("Dense", {"units": 3}, [(None, 7, 4)], [(None, 7, 3)]),
        ("STFTSpectrogram", {"frame_length": 20}, [(None, 64, 2)], [(None, 5, 34)]),
        (
            "STFTSpectrogram",
            {"frame_length": 16, "frame_step": 8, "mode": "stft", "expand_dims": True, "padding": "same"},
            [(None, 60, 3)],
            [(None, 8, 18, 3)],
        ),
        ("MelSpectrogram", {"num_mel_bins": 8, "sequence_stride": 16}, [(None, 64)], [(None, 8, 5)]),
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
        (
            "ConvLSTM1D",
            {"filters": 4, "kernel_size": [3], "padding": "valid", "strides": [1], "return_sequences": True},
            [(None, 6, 12, 2)],
            [(None, 6, 10, 4)],
        ),
        (
            "ConvLSTM2D",
            {
                "filters": 4,
                "kernel_size": [3, 3],
                "padding": "same",
                "strides": [2, 2],
                "data_format": "channels_first",
                "return_state": True,
            },
            [(None, 5, 3, 8, 6)],
            [(None, 4, 4, 3)] * 3,
        ),
        (
            "LocallyConnected1D",
            {"filters": 4, "kernel_size": [3], "strides": [2]},
            [(None, 9, 2)],
            [(None, 4, 4)],
        ),
        ("AdaptiveAveragePooling2D", {"output_size": [3, None]}, [(None, 8, 7, 5)], [(None, 3, 7, 5)]),
        ("CategoryEncoding", {"num_tokens": 7, "output_mode": "one_hot"}, [(None, 1)], [(None, 7)]),
        ("CategoryEncoding", {"num_tokens": 7, "output_mode": "one_hot"}, [(None, 4)], [(None, 4, 7)]),
        ("CategoryEncoding", {"num_tokens": 7, "output_mode": "multi_hot"}, [(None, 4)], [(None, 7)]),
        (
            "IntegerLookup",
            {"output_mode": "multi_hot", "vocabulary": [5, 6, 9], "num_oov_indices": 1, "max_tokens": None},
            [(None, 2)],
            [(None, 4)],
        ),
        ("IntegerLookup", {"output_mode": "int", "vocabulary": None}, [(None, 2)], [(None, 2)]),
        (
            "IntegerLookup",
            {"output_mode": "one_hot", "vocabulary": None, "num_oov_indices": 1},
            [(None, 1)],
            None,
        ),
        (
            "Discretization",
            {"output_mode": "one_hot", "bin_boundaries": [0.0, 1.0]},
            [(None, 1)],
            [(None, 3)],
        ),
        (
            "EinsumDense",
            {"equation": "abc,cde->abde", "output_shape": [None, 2, 8]},
            [(None, 5, 6)],
            [(None, 5, 2, 8)],
        ),
        ("EinsumDense", {"equation": "...x,xy->...y", "output_shape": 3}, [(None, 5, 6)], [(None, 5, 3)]),
        (
            "SpectralNormalization",
            {"layer": {"class_name": "Dense", "config": {"units": 3}}},
            [(None, 5)],
            [(None, 3)],
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
    assert output_shapes(class_name, layer_settings(class_name, config, "a layer"), inputs) == expected


def test_every_layer_that_may_be_in_a_file_has_a_rule() -> None:
    """A Keras 2 file states no shapes: a layer without a rule makes the model's output unknown."""
    aliases = {name for name in LAYERS if re.match(r"(Separable)?Convolution|.*Pool\dD$", name)}
    only_parts = {"AbstractRNNCell", "GRUCell", "LSTMCell", "SimpleRNNCell", "StackedRNNCells"}
    # Keras 3 alone has these or its files state the shapes; a hash and a text are refused for their own reasons.
    stated = {"InputLayer", "ReversibleEmbedding", "HashedCrossing"}
    assert LAYERS - set(RULES) - aliases - only_parts - stated == {"TextVectorization"}


def test_a_lost_shape_names_the_layer_where_it_is_lost() -> None:
    layers = (
        LayerFacts("mel", "MelSpectrogram", 0, None, "mel", sources=("wave",)),
        LayerFacts("dense", "Dense", 9, None, "dense", sources=("mel",)),
    )
    entry = LayerFacts("wave", "InputLayer", 0, (100,), "wave")
    facts = ModelFacts(
        format="h5", keras_version="2", library="tf_keras", name="m", class_name="Functional",
        inputs=(TensorFacts("wave", (100,), "float32"),), outputs=(TensorFacts("dense", None, "float32"),),
        parameters=9, layers=(entry, *layers), loss=None, task=None,
    )  # fmt: skip
    with pytest.raises(ModelRefused, match=r"becomes unknown at the layer 'mel' \(MelSpectrogram\)"):
        _ = facts.ports


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
    assert operation_shape(name, call_options(options), inputs) == expected


def test_broadcast_refuses_what_does_not_go_together() -> None:
    assert broadcast([(None, 3), (None, 4)]) is None
    assert broadcast([(3,), (None, 2, 3)]) == (None, 2, 3)
