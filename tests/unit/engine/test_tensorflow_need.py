"""Runs that need TensorFlow: those that train, and those of a model that was never exported."""

from conftest import add_experiment

from lwdash.engine.tensorflow_need import may_need_tensorflow, runs_may_need_tensorflow
from lwdash.recipe import parse_recipe
from storage import runs
from storage.store import Store

MODEL = "a" * 64
AFTER_TRAINING = [parse_recipe("int8"), parse_recipe("float16 + coded")]


def with_runs(store: Store, *recipes: str) -> list[int]:
    experiment = add_experiment(store)
    entries = [(recipe, recipe == "float32", "prune" in recipe) for recipe in recipes]
    return runs.add_runs(store.database, experiment, entries, "submission")


def export(store: Store, run_id: int) -> None:
    claim = runs.claim(store.database, run_id, "compress", 1, "host:1")
    assert claim is not None
    runs.finish_compress(
        store.database,
        claim,
        tflite_sha256="c" * 64,
        baseline_sha256="c" * 64,
        stored_sha256=None,
        compressed={},
    )


def test_a_model_that_was_exported_needs_it_for_training_only(sqlite_store: Store) -> None:
    baseline, _ = with_runs(sqlite_store, "float32", "int8")
    assert may_need_tensorflow(sqlite_store, MODEL, AFTER_TRAINING)
    export(sqlite_store, baseline)
    assert not may_need_tensorflow(sqlite_store, MODEL, AFTER_TRAINING)
    assert may_need_tensorflow(sqlite_store, MODEL, [*AFTER_TRAINING, parse_recipe("prune + int8")])
    assert may_need_tensorflow(sqlite_store, "b" * 64, AFTER_TRAINING)


def test_queued_runs_are_judged_by_their_recipes(sqlite_store: Store) -> None:
    baseline, int8, prune, file = with_runs(
        sqlite_store, "float32", "int8", "prune + int8", "file(other.tflite)"
    )
    assert runs_may_need_tensorflow(sqlite_store, [int8])
    export(sqlite_store, baseline)
    assert not runs_may_need_tensorflow(sqlite_store, [baseline, int8])
    assert runs_may_need_tensorflow(sqlite_store, [int8, prune])
    assert runs_may_need_tensorflow(sqlite_store, [file])
