"""Held-out rows decide which weights of a fine-tuning are kept, or that none are."""

import dataclasses
import importlib
from typing import Any

import numpy as np
import pytest

from lwdash.contract import Training
from lwdash.recipe import parse_recipe
from lwdash.techniques import TECHNIQUES
from lwdash.training.fine_tuning import finetune
from lwdash.training.held_out import MAX_HELD_OUT, MIN_HELD_OUT, MIN_ROWS, Validation, parts

pytestmark = pytest.mark.tensorflow

LIBRARIES = ["tf_keras", "keras"]
RUINOUS = 3.0
"""A learning rate that makes every epoch worse."""


def network(library_name: str) -> Any:
    """A trained classifier with two layers and batch normalization; its outputs are what `training` teaches."""
    library = importlib.import_module(library_name)
    library.utils.set_random_seed(1)
    inputs = library.Input((6,), name="input")
    x = library.layers.Dense(16, name="hidden")(inputs)
    x = library.layers.ReLU()(library.layers.BatchNormalization(name="norm")(x))
    return library.Model(inputs, library.layers.Dense(3, activation="softmax", name="answer")(x))


def training(model: Any, rows: int = 100) -> Training:
    inputs = np.random.default_rng(2).normal(size=(rows, 6)).astype("float32")
    teacher = np.asarray(model(inputs))
    return Training([inputs], None, [teacher], "classification", 3, lambda doing, share: None)


def tuned(model: Any, given: Training, rate: float, epochs: int = 6) -> dict[str, Any]:
    return finetune(
        model, given, epochs=epochs, learning_rate=rate, batch_size=16, what="test", validation=Validation()
    )


def test_the_parts_are_disjoint_and_few_rows_are_not_divided() -> None:
    model = network("tf_keras")
    for rows, expected in ((MIN_ROWS, MIN_HELD_OUT), (300, 30), (9000, MAX_HELD_OUT)):
        learnt, kept_back = parts(training(model, rows))
        assert kept_back is not None
        assert len(kept_back) == expected
        assert sorted([*learnt, *kept_back]) == list(range(rows))
    assert parts(training(model, MIN_ROWS - 1))[1] is None


@pytest.mark.parametrize("library_name", LIBRARIES)
def test_a_fine_tuning_that_makes_it_worse_is_undone(library_name: str) -> None:
    model = network(library_name)
    before = model.get_weights()
    facts = tuned(model, training(model), RUINOUS)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert facts["kept_epoch"] == 0
    assert facts["fine_tuning"] == "not kept: on 16 held-out rows no better than no fine-tuning"
    assert facts["rows"] == 84


@pytest.mark.parametrize("library_name", LIBRARIES)
def test_the_best_epoch_is_kept(library_name: str) -> None:
    model = network(library_name)
    given = training(model)
    model.get_layer("answer").set_weights([w * 0.2 for w in model.get_layer("answer").get_weights()])
    facts = tuned(model, given, 0.01, epochs=4)
    assert facts["kept_epoch"] > 0
    assert facts["held_out_loss"] < facts["held_out_loss_without_fine_tuning"]
    _, kept_back = parts(given)
    target = given.teacher[0][kept_back]
    loss = np.mean(np.sum(target * np.log(target / np.asarray(model(given.inputs[0][kept_back]))), axis=1))
    assert loss == pytest.approx(facts["held_out_loss"], abs=1e-5)


def test_with_few_rows_the_last_weights_are_kept() -> None:
    model = network("tf_keras")
    facts = tuned(model, training(model, MIN_ROWS - 1), 0.01)
    assert "kept_epoch" not in facts
    assert facts["rows"] == MIN_ROWS - 1


@pytest.mark.parametrize("library_name", LIBRARIES)
@pytest.mark.parametrize("settings", ["", "schedule=constant, ", "scope=global, ", "rounds=2, "])
def test_a_ruinous_pruning_ends_with_the_smallest_weights_removed(settings: str, library_name: str) -> None:
    """And with the sparsity that was asked for, whichever way it is done."""
    model = network(library_name)
    recipe = f"prune(sparsity=0.5, method=magnitude, {settings}learning_rate=0.9)"
    params = parse_recipe(recipe).steps[0].params
    params = dataclasses.replace(params, epochs=6, batch_size=16)
    done = TECHNIQUES["prune"].apply(model, params, training(model))
    assert done.facts["kept_epoch"] == 0
    before, after = (np.concatenate([w.ravel() for w in kernels(m)]) for m in (model, done.model))
    assert np.mean(after == 0) == pytest.approx(0.5, abs=0.01)
    np.testing.assert_array_equal(after[after != 0], before[after != 0])
    for kernel in kernels(model) if "global" not in settings else ():
        kept = np.isin(kernel, after)
        assert np.abs(kernel[~kept]).max() <= np.abs(kernel[kept]).min()


def kernels(model: Any) -> list[np.ndarray]:
    return [model.get_layer(name).get_weights()[0] for name in ("hidden", "answer")]


@pytest.mark.parametrize("library_name", LIBRARIES)
def test_a_ruinous_clustering_keeps_few_values(library_name: str) -> None:
    model = network(library_name)
    params = parse_recipe("cluster(clusters=4, validate=true, learning_rate=0.9)").steps[0].params
    params = dataclasses.replace(params, epochs=4, batch_size=16)
    done = TECHNIQUES["cluster"].apply(model, params, training(model))
    assert done.facts["kept_epoch"] == 0
    for before, after in zip(kernels(model), kernels(done.model), strict=True):
        assert len(np.unique(after)) <= 4
        assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.8


@pytest.mark.parametrize("library_name", LIBRARIES)
def test_obs_follows_the_original_with_its_zeros_and_statistics_fixed(library_name: str) -> None:
    model = network(library_name)
    given = dataclasses.replace(training(model), labels=np.arange(100) % 3)
    at_once, followed = (
        TECHNIQUES["prune"].apply(
            model, parse_recipe(f"prune(sparsity=0.6, method=obs{more})").steps[0].params, given
        )
        for more in ("", ", epochs=30")
    )
    assert followed.facts["learnt_from"] == "the original model's outputs"
    assert followed.facts["kept_epoch"] > 0
    for once, then in zip(kernels(at_once.model), kernels(followed.model), strict=True):
        np.testing.assert_array_equal(once == 0, then == 0)
        assert (once != then).any()
    norms = [done.model.get_layer("norm").get_weights() for done in (at_once, followed)]
    for once, then in zip(*(weights[2:] for weights in norms), strict=True):
        np.testing.assert_array_equal(once, then)
    assert (norms[0][0] != norms[1][0]).any()
