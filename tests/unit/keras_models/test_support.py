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


@pytest.mark.parametrize(
    "class_name", ["Conv1D", "DepthwiseConv2D", "GRU", "Bidirectional", "MultiHeadAttention"]
)
def test_qat_treats_all_layers_with_kernels(class_name: str) -> None:
    entry = one("qat", layer("a", class_name, parameters=10))
    assert entry.treated
    assert ("inside of it" in str(entry.reason)) == (class_name in ("GRU", "Bidirectional"))


def test_of_layers_without_kernels_qat_rounds_the_outputs() -> None:
    entry = one("qat", layer("a", "LayerNormalization", parameters=4))
    assert (entry.treated, entry.reason) == (
        False,
        "it has no kernel that lwdash knows; its outputs are rounded",
    )
    assert support([layer("a", "Flatten")])["qat"] == ()


def test_the_input_is_not_listed() -> None:
    assert support([layer("in", "InputLayer")]) == {"prune": (), "cluster": (), "qat": ()}
