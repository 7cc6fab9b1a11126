"""Sparsities chosen by layer, on a network whose layers differ much in what they can lose."""

import dataclasses
import functools
import importlib
from typing import Any

import numpy as np
import pytest

from lwdash.contract import Training, Treated
from lwdash.errors import RecipeError
from lwdash.recipe import parse_recipe
from lwdash.techniques import TECHNIQUES
from lwdash.training.layerwise.sparsity_trials import changed_share

pytestmark = pytest.mark.tensorflow


@functools.cache
def network(library_name: str) -> Any:
    """`wide` has twice as many units as it needs: half of them give nothing to the next layer. `narrow` needs all."""
    library = importlib.import_module(library_name)
    library.utils.set_random_seed(3)
    model = library.Sequential(
        [
            library.Input((12,), name="input"),
            library.layers.Dense(6, activation="relu", name="narrow"),
            library.layers.Dense(40, activation="relu", name="wide"),
            library.layers.Dense(4, activation="softmax", name="answer"),
        ]
    )
    kernel, bias = model.get_layer("answer").get_weights()
    model.get_layer("answer").set_weights([3 * kernel * (np.arange(40) < 20)[:, None], bias])
    return model


def training(library_name: str) -> Training:
    rows = np.random.default_rng(5).normal(size=(120, 12)).astype("float32")
    teacher = np.asarray(network(library_name)(rows))
    return Training([rows], None, [teacher], "classification", 7, lambda doing, share: None)


@functools.cache
def treated(text: str, library_name: str = "keras") -> Treated:
    (step,) = parse_recipe(text).steps
    return TECHNIQUES[step.name].apply(network(library_name), step.params, training(library_name))


def kernels(model: Any) -> dict[str, np.ndarray]:
    return {layer.name: np.asarray(layer.get_weights()[0]) for layer in model.layers if layer.get_weights()}


def error(model: Any, library_name: str = "keras") -> float:
    given = training(library_name)
    return float(np.mean((np.asarray(model(given.inputs[0])) - given.teacher[0]) ** 2))


@pytest.mark.parametrize("library_name", ["keras", "tf_keras"])
def test_the_mean_sparsity_is_reached_with_less_error_than_the_same_for_all(library_name: str) -> None:
    done = treated("prune(sparsity=auto, mean_sparsity=0.6, method=obs)", library_name)
    found = kernels(done.model)
    zeros = sum(int((kernel == 0).sum()) for kernel in found.values())
    assert zeros / sum(kernel.size for kernel in found.values()) == pytest.approx(0.6, abs=0.03)
    assert np.mean(found["answer"] == 0) > np.mean(found["narrow"] == 0)
    same = treated("prune(sparsity=0.6, method=obs)", library_name)
    assert error(done.model, library_name) < 0.8 * error(same.model, library_name)


def test_the_recipe_that_is_shown_makes_the_same_model() -> None:
    done = treated("prune(sparsity=auto, mean_sparsity=0.6, method=obs)")
    shown = done.facts["by_layer"]["recipe"]
    assert "auto" not in shown
    assert "layers=[" in shown
    same = treated(shown)
    assert "by_layer" not in same.facts
    for name, kernel in kernels(done.model).items():
        np.testing.assert_array_equal(kernel, kernels(same.model)[name])


def test_a_limit_on_changed_rows_is_kept_and_used() -> None:
    gentle, strong = (
        treated(f"prune(sparsity=auto, max_drop={drop}, method=obs)").facts["by_layer"] for drop in (2, 20)
    )
    assert gentle["changed_rows"] <= 0.02
    assert strong["changed_rows"] <= 0.2
    chosen = [
        next(one["cost"] for one in facts["attempts"] if one["recipe"] == facts["recipe"])
        for facts in (gentle, strong)
    ]
    assert chosen[1] < chosen[0] < 0.8


def test_where_no_choice_keeps_the_limit_it_says_so() -> None:
    import keras

    model = keras.Sequential([keras.Input((12,), name="input"), keras.layers.Dense(4, name="answer")])
    given = dataclasses.replace(training("keras"), task="regression")
    (step,) = parse_recipe("prune(sparsity=auto, max_drop=0, method=obs)").steps
    with pytest.raises(
        RecipeError, match=r"more than 0.00% of the train rows, at least .* Set max_drop higher"
    ):
        TECHNIQUES["prune"].apply(model, step.params, given)


def test_a_model_without_a_layer_that_it_can_solve_for_is_refused() -> None:
    import keras

    model = keras.Sequential([keras.Input((4100,), name="input"), keras.layers.Dense(1, name="answer")])
    rows = np.zeros((2, 4100), "float32")
    given = Training([rows], None, [np.zeros((2, 1), "float32")], "regression", 7, lambda doing, share: None)
    (step,) = parse_recipe("prune(sparsity=auto, method=obs)").steps
    with pytest.raises(RecipeError, match=r"answer.*4,100 inputs per output"):
        TECHNIQUES["prune"].apply(model, step.params, given)


def test_single_layers_have_a_number_of_their_own() -> None:
    done = treated("prune(sparsity=0.5, layers=[narrow=0, answ*=0.9], method=obs)")
    found = {name: float(np.mean(kernel == 0)) for name, kernel in kernels(done.model).items()}
    assert found["narrow"] == 0
    assert found["wide"] == pytest.approx(0.5, abs=0.01)
    assert found["answer"] == pytest.approx(0.9, abs=0.01)
    assert {s.layer: s.reason for s in done.skipped}["narrow/kernel"] == "the recipe gives it a sparsity of 0"
    with pytest.raises(RecipeError, match=r"layers: no layer is named 'narow'.*Did you mean 'narrow'"):
        treated("prune(sparsity=0.5, layers=[narow=0.1], method=obs)")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prune(sparsity=0.5, mean_sparsity=0.4)", "mean_sparsity needs sparsity=auto"),
        ("prune(sparsity=auto, mean_sparsity=0.4, max_drop=2)", "two limits; write one"),
        ("prune(sparsity=auto, layers=[a=0.5])", "write it without layers"),
        ("prune(sparsity=auto, scope=global)", "needs method=auto or method=obs, but got scope=global"),
        ("prune(layers=[a=0.5], method=magnitude)", "layers needs method=auto or method=obs"),
        ("prune(sparsity=auto, structure=2:4)", "removes half of every kernel"),
        ("prune(layers=[a=1])", r"layers must give a a number in \[0, 1\), but got 1"),
        ("prune(layers=[a])", r"must be written \[conv_1=…"),
    ],
)
def test_what_excludes_one_another_is_refused(text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse_recipe(text)


def test_changed_results_are_classes_sides_or_errors() -> None:
    one, other = np.array([[0.6, 0.4], [0.2, 0.8]]), np.array([[0.3, 0.7], [0.1, 0.9]])
    assert changed_share(one, other, "classification") == 0.5
    assert changed_share(np.array([[0.6], [0.2]]), np.array([[0.4], [0.3]]), "binary") == 0.5
    assert changed_share(np.array([[2.0], [-2.0]]), np.array([[0.4], [-3.0]]), "binary") == 0
    assert changed_share(np.array([0.0, 2.0]), np.array([0.5, 1.5]), "regression") == 0.5
