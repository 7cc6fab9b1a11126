"""A hundred rows are enough for the default fine-tuning of every technique that trains."""

import functools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lwdash.contract import Training
from lwdash.recipe import parse_recipe
from lwdash.techniques import TECHNIQUES
from lwdash.training import distillation, fine_tuning
from lwdash.training.batch_norm import settle_batch_norm

pytestmark = pytest.mark.tensorflow

RECIPES = {
    "prune": "prune(sparsity=0.6)",
    "cluster": "cluster(clusters=5)",
    "channels": "channels(ratio=0.5)",
    "low_rank": "low_rank(energy=0.8)",
}


def labels_of(rows: np.ndarray) -> np.ndarray:
    """Rings around two points: no linear model tells them apart."""
    return ((rows[:, :2] ** 2).sum(axis=1) > 1.5) + 2 * (np.abs(rows[:, 2:4]).max(axis=1) > 1)


@functools.cache
def network() -> Any:
    """A classifier with batch normalization that has learnt from 2,000 rows."""
    import tf_keras

    tf_keras.utils.set_random_seed(1)
    layers = tf_keras.layers
    x = inputs = tf_keras.Input((5,), name="input")
    for number in range(2):
        x = layers.Dense(32, use_bias=False, name=f"hidden_{number}")(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    model = tf_keras.Model(
        inputs, layers.Dense(4, activation="softmax", name="answer")(layers.Dropout(0.2)(x))
    )
    rows = np.random.default_rng(1).normal(size=(2000, 5)).astype("float32")
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(rows, labels_of(rows), batch_size=32, epochs=12, verbose=0)
    return model


def outputs(model: Any, rows: np.ndarray) -> np.ndarray:
    return np.asarray(model(rows, training=False))


def divergence(model: Any) -> float:
    """Mean KL divergence from the network's outputs on rows that nothing else has seen."""
    rows = np.random.default_rng(3).normal(size=(3000, 5)).astype("float32")
    target, found = (np.maximum(outputs(m, rows), 1e-7) for m in (network(), model))
    return float(np.mean(np.sum(target * np.log(target / found), axis=1)))


def training_of(count: int) -> Training:
    rows = np.random.default_rng(2).normal(size=(count, 5)).astype("float32")
    return Training(
        [rows],
        labels_of(rows),
        [outputs(network(), rows)],
        "classification",
        3,
        lambda doing, share: None,
        outputs_of=lambda values: [outputs(network(), values[0])],
    )


@pytest.mark.parametrize("name", RECIPES)
def test_fine_tuning_with_a_hundred_rows_makes_nothing_worse(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = training_of(100)
    params = parse_recipe(RECIPES[name]).steps[0].params
    tuned = TECHNIQUES[name].apply(network(), params, training)
    monkeypatch.setattr(fine_tuning, "finetune", lambda *_, **__: {})
    if name != "prune":  # which keeps the statistics if it removes weights at once
        monkeypatch.setattr(f"lwdash.techniques.{name}.settle_batch_norm", lambda *_: False)
    without = TECHNIQUES[name].apply(network(), params, training)
    assert divergence(tuned.model) <= divergence(without.model)
    assert tuned.facts["learnt_from"] == "the original model's outputs"
    assert tuned.facts["mixed_rows"] > 1000
    assert tuned.facts["held_out_loss"] <= tuned.facts["held_out_loss_without_fine_tuning"]


@pytest.mark.parametrize("name", RECIPES)
def test_many_rows_leave_no_lagging_batch_norm_statistics(name: str) -> None:
    """A short fine-tuning on labels trains batch normalization by batches; its statistics follow too slowly."""
    training = training_of(1000)
    params = replace(parse_recipe(RECIPES[name]).steps[0].params, epochs=2)
    tuned = TECHNIQUES[name].apply(network(), params, training)
    assert tuned.facts["learnt_from"] == "labels and the original model's outputs"
    assert not settle_batch_norm(tuned.model, distillation.taught(training, params))
