"""Runs of files that were made elsewhere: queued with their file, and left out where recipes are read."""

import pytest
from conftest import add_experiment

from lwdash.errors import RecipeError
from lwdash.metrics.technique_families import family
from lwdash.recipe import parse_recipe, storage_form
from storage import run_rows, searches
from storage.file_runs import add_file_run, file_recipe, is_file_recipe
from storage.runs import FIRST_STEP, add_runs
from storage.store import Store

SHA = "c" * 64


def test_a_file_is_queued_with_its_content(store: Store) -> None:
    experiment = add_experiment(store)
    run = run_rows.get_run(
        store.database, add_file_run(store.database, experiment, "a/b (1).tflite", SHA, "s", None)
    )
    assert run is not None
    assert (run.tflite_sha256, run.step, run.is_baseline) == (SHA, FIRST_STEP, False)
    assert run.recipe == "file(b -1-.tflite)"
    assert is_file_recipe(run.recipe)


def test_a_search_does_not_learn_from_files(store: Store) -> None:
    experiment = add_experiment(store)
    add_runs(store.database, experiment, [("float32", True, False), ("int8", False, False)], "s")
    add_file_run(store.database, experiment, "theirs.tflite", SHA, "s", None)
    number = searches.add_search(
        store.database,
        experiment,
        goal="size_bytes",
        budget=3,
        settings={"space": {}, "sampler": "x", "seed": 0},
    )
    search = searches.get_search(store.database, number)
    assert search is not None
    assert list(searches.tried(store.database, search, 10)["recipe"]) == ["float32", "int8"]
    assert searches.recipes_tried(store.database, experiment) == {"float32", "int8"}


def test_the_text_is_no_recipe_and_has_a_family_of_its_own() -> None:
    text = file_recipe("über+int8.tflite")
    assert text == "file(über-int8.tflite)"
    with pytest.raises(RecipeError, match="'file'"):
        parse_recipe(text)
    assert storage_form(text) is None
    assert family(text, False) == "added"
    assert family("int8", False) == "post-training"
    assert file_recipe("///") == "file(model.tflite)"
