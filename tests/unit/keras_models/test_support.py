"""Which layers the techniques treat, and the reasons given for the others."""

from __future__ import annotations

import pytest

from lwdash.keras_models.model_facts import LayerFacts, Support
from lwdash.keras_models.support import support


def layer(
    name: str, class_name: str, *sources: str, parameters: int = 0, activation: str | None = None
) -> LayerFacts:
    return LayerFacts(name, class_name, parameters, (4,), name, activation, sources)


def one(technique: str, *layers: LayerFacts) -> Support:
    """What is said of the last of `layers`."""
    return next(entry for entry in support(layers)[technique] if entry.path == layers[-1].path)


@pytest.mark.parametrize(
    "class_name",
    [
        "Conv1D",
        "Conv2D",
        "Dense",
        "Embedding",
        "LSTM",
        "GRU",
        "MultiHeadAttention",
        "Bidirectional",
        "TimeDistributed",
    ],
)
def test_kernels_are_pruned_and_clustered(class_name: str) -> None:
    subject = layer("a", class_name, parameters=10)
    assert one("prune", subject).treated
    assert one("cluster", subject).treated


def test_the_depthwise_half_of_a_separable_convolution_is_said_to_stay() -> None:
    assert "pointwise" in str(one("prune", layer("a", "SeparableConv1D", parameters=10)).reason)


@pytest.mark.parametrize(
    ("class_name", "reason"),
    [
        ("DepthwiseConv2D", "depthwise=true"),
        ("BatchNormalization", "no kernel"),
        ("Normalization", "no kernel"),
        ("PReLU", "slopes"),
        ("AdditiveAttention", "AdditiveAttention has no kernel that lwdash can prune"),
    ],
)
def test_what_is_not_pruned_has_a_reason(class_name: str, reason: str) -> None:
    entry = one("prune", layer("a", class_name, parameters=10))
    assert not entry.treated
    assert reason in str(entry.reason)


def test_layers_without_weights_are_no_matter_for_pruning() -> None:
    assert support([layer("a", "Flatten"), layer("b", "Dense", parameters=3)])["prune"] == (
        Support("b", True),
    )


@pytest.mark.parametrize("class_name", ["Conv1D", "DepthwiseConv1D", "MaxPooling1D", "UpSampling1D"])
def test_1d_layers_are_quantized_by_rewriting(class_name: str) -> None:
    entry = one("qat", layer("a", class_name, parameters=10, activation="relu"))
    assert entry.treated
    assert class_name.replace("1D", "2D") in str(entry.reason)


@pytest.mark.parametrize(
    ("class_name", "reason"),
    [
        ("LSTM", "recurrent"),
        ("MaxPooling3D", "MaxPooling3D"),
        ("Multiply", "Multiply"),
        ("LayerNormalization", "LayerNormalization"),
        ("Rescaling", "preprocessing"),
        ("ops.Add", "operation"),
        ("TFOpLambda", "operation"),
    ],
)
def test_what_qat_leaves_in_float_has_a_reason(class_name: str, reason: str) -> None:
    entry = one("qat", layer("a", class_name))
    assert not entry.treated
    assert reason in str(entry.reason)


def test_an_unknown_activation_keeps_a_layer_in_float() -> None:
    entry = one("qat", layer("a", "Dense", activation="relu6", parameters=3))
    assert (entry.treated, entry.reason) == (False, "TFMOT does not quantize the activation 'relu6'")
    assert one("qat", layer("a", "ReLU", activation="relu6")).treated


def test_batch_normalization_is_folded_right_after_a_linear_convolution_only() -> None:
    convolution = layer("conv", "Conv2D", parameters=9, activation="linear")
    after = layer("bn", "BatchNormalization", "conv", parameters=4)
    assert one("qat", convolution, after) == Support("bn", True, "folded into 'conv'")

    activated = layer("conv", "Conv2D", parameters=9, activation="relu")
    assert "has the activation 'relu'" in str(one("qat", activated, after).reason)

    elsewhere = layer("flat", "Flatten", "conv")
    assert "also used elsewhere" in str(one("qat", convolution, elsewhere, after).reason)

    pooled = layer("pool", "MaxPooling2D", "conv")
    late = layer("bn", "BatchNormalization", "pool", parameters=4)
    assert "after MaxPooling2D" in str(one("qat", convolution, pooled, late).reason)


def test_the_entrance_of_a_nested_model_is_looked_through() -> None:
    convolution = layer("conv", "Conv2D", parameters=9, activation="linear")
    entrance = layer("inner/in", "InputLayer", "conv")
    assert one(
        "qat", convolution, entrance, layer("inner/bn", "BatchNormalization", "inner/in", parameters=4)
    ).treated


def test_the_input_is_not_listed() -> None:
    assert support([layer("in", "InputLayer")]) == {"prune": (), "cluster": (), "qat": ()}
