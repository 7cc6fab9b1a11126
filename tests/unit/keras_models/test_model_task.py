"""What a model is for, from its loss, last activation and shapes."""

from __future__ import annotations

from typing import Any

import pytest

from lwdash.keras_models.model_facts import LayerFacts, TensorFacts
from lwdash.keras_models.model_task import likely_task, loss_name, output_activation


def tensors(*shape: int | None) -> tuple[TensorFacts, ...]:
    return (TensorFacts("t", shape, "float32"),)


@pytest.mark.parametrize(
    ("compiled", "name"),
    [
        ({"loss": "sparse_categorical_crossentropy"}, "sparse_categorical_crossentropy"),
        ({"loss": "mse"}, "mean_squared_error"),
        (
            {"loss": {"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}}},
            "sparse_categorical_crossentropy",
        ),
        ({"loss": {"class_name": "function", "config": "binary_crossentropy"}}, "binary_crossentropy"),
        ({"loss": {"class_name": "KLDivergence", "config": {}}}, "kl_divergence"),
        ({"loss": {"class_name": "MeanSquaredError", "config": {}}}, "mean_squared_error"),
        ({"loss": {"kind": "categorical_crossentropy", "amount": "mse"}}, "categorical_crossentropy"),
        ({"loss": ["mae", "mse"]}, "mean_absolute_error"),
        ({"loss": None}, None),
        ({}, None),
        (None, None),
    ],
)
def test_loss_is_named_however_it_was_given(compiled: dict[str, Any] | None, name: str | None) -> None:
    assert loss_name(compiled) == name


@pytest.mark.parametrize(
    "loss", [{"kind": "sparse_categorical_crossentropy", "box": "mse"}, {"box": "mse"}, ["mse", "bce"]]
)
def test_the_loss_is_the_first_outputs_own(loss: Any) -> None:
    """A loss of classes, first in a dictionary, made classes of box coordinates."""
    assert loss_name({"loss": loss}, ["box", "kind"]) == "mean_squared_error"


@pytest.mark.parametrize(
    ("loss", "activation", "inputs", "outputs", "task"),
    [
        ("sparse_categorical_crossentropy", "linear", tensors(140, 1), tensors(5), "classification"),
        (None, "softmax", tensors(140, 1), tensors(5), "classification"),
        ("binary_crossentropy", "sigmoid", tensors(8), tensors(1), "binary"),
        (None, "sigmoid", tensors(8), tensors(1), "binary"),
        ("binary_crossentropy", "sigmoid", tensors(8), tensors(4), "multi-label"),
        ("mean_squared_error", "linear", tensors(8), tensors(1), "regression"),
        ("mean_squared_error", "linear", tensors(640), tensors(640), "reconstruction"),
        ("binary_crossentropy", "sigmoid", tensors(28, 28, 1), tensors(28, 28, 1), "reconstruction"),
        (None, "linear", tensors(8), tensors(3), None),
        ("mean_squared_error", "linear", tensors(8), (TensorFacts("t", None, "float32"),), None),
    ],
)
def test_task_follows_from_loss_activation_and_shapes(
    loss: str | None,
    activation: str,
    inputs: tuple[TensorFacts, ...],
    outputs: tuple[TensorFacts, ...],
    task: str | None,
) -> None:
    assert likely_task(loss, activation, inputs, outputs) == task


def test_output_activation_looks_through_reshapes() -> None:
    layers = (
        LayerFacts("dense", "Dense", 3, (4,), "dense", "sigmoid"),
        LayerFacts("shape", "Reshape", 0, (2, 2), "shape", None, ("dense",)),
    )
    assert output_activation(layers, "shape") == "sigmoid"
