"""Parameters of recipes as columns, and their correlation with metrics."""

import pandas as pd
import pytest

from lwdash.metrics.run_metrics import ACCURACY, SIZES
from lwdash.ui.results.recipe_parameters import correlation_text, effects, with_parameters


def frame(*recipes: str) -> pd.DataFrame:
    runs = pd.DataFrame({"recipe": ["float32", *recipes]})
    runs["is_baseline"] = runs["recipe"] == "float32"
    runs["size_bytes"] = range(len(runs), 0, -1)
    runs["accuracy"] = 0.9
    return runs


def test_numeric_parameters_that_differ_are_columns() -> None:
    runs = frame(
        "prune(sparsity=0.5) + int8", "prune(sparsity=0.7, epochs=3) + int8", "cluster(clusters=8)", "file:x"
    )
    found, described = with_parameters(runs)
    assert list(described) == ["recipe:prune.sparsity"], "epochs that are automatic have no value"
    assert described["recipe:prune.sparsity"].label == "Pruning: sparsity"
    assert list(found["recipe:prune.sparsity"].fillna(-1)) == [-1, 0.5, 0.7, -1, -1]
    assert with_parameters(frame("int8", "int8"))[1] == {}


def test_effects_have_intervals_and_need_enough_runs() -> None:
    runs = frame(*(f"prune(sparsity={0.05 * i:.2f}) + int8" for i in range(1, 13)), *["int8"] * 3)
    table = effects(runs, (SIZES[0], ACCURACY))
    assert list(table.index) == ["Pruning: sparsity", "Pruning (used or not)"]
    sizes = table[SIZES[0].label]
    assert sizes["Pruning: sparsity"] == "−1.00 (−1.00 to −1.00)"
    assert table.loc["Pruning: sparsity", "Runs"] == "12"
    assert table.loc["Pruning: sparsity", ACCURACY.label] == "–", "the accuracy does not vary"
    assert sizes["Pruning (used or not)"].startswith("0.")
    few = effects(frame("prune(sparsity=0.5)", "prune(sparsity=0.6)", "int8"), (SIZES[0],))
    assert set(few[SIZES[0].label]) == {"too few runs"}


def test_a_correlation_that_may_be_none_is_called_not_significant() -> None:
    mixed = pd.Series([1, 5, 2, 8, 3, 7, 4, 6, 9.0])
    assert correlation_text(pd.Series(range(9)), mixed).endswith("not significant")
    assert correlation_text(mixed, mixed) == "1.00 (0.99 to 1.00)"
    assert correlation_text(pd.Series(range(9)), pd.Series([None] * 9)) == "too few runs"


@pytest.mark.parametrize("recipe", ["", "nonsense", "file:abc"])
def test_recipes_that_cannot_be_read_have_no_parameters(recipe: str) -> None:
    assert with_parameters(frame(recipe))[1] == {}
