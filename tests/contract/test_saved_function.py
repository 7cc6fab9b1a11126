"""A SavedModel without Keras metadata is exported, quantized and compared; training recipes are refused with the reason."""

import shutil
from pathlib import Path

import pytest
from support.support_matrix import workbench

from lwdash.errors import ConversionFailed, RecipeError
from lwdash.quantize.read_back import float_operators
from lwdash.recipe import parse_recipe

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory):
    import keras

    folder = tmp_path_factory.mktemp("saved")
    keras.utils.set_random_seed(1)
    left, right = keras.Input((6,), name="zebra"), keras.Input((4,), name="ant")
    tensor = keras.layers.Concatenate()([left, right])
    hidden = keras.layers.Dense(8, activation="relu")(tensor)
    outputs = [keras.layers.Dense(3, name="kind")(hidden), keras.layers.Dense(1, name="amount")(hidden)]
    keras.Model([left, right], outputs).export(str(folder / "model"), verbose=False)
    return workbench(Path(shutil.make_archive(str(folder / "model"), "zip", folder / "model")), folder)


@pytest.mark.parametrize("recipe", ["float32", "float16", "dynamic", "int8"])
def test_post_training_recipes_work(bench, recipe: str) -> None:
    assert bench.facts.library == "none"
    made = bench.compress(parse_recipe(recipe), lambda doing, share: None)
    assert made.stages[0].facts["largest_difference"] < 1e-5
    if recipe == "int8":
        assert float_operators(made.tflite, "") == ()
        assert made.stages[-1].facts["sqnr_db"] > 20


@pytest.mark.parametrize("recipe", ["prune(sparsity=0.5, epochs=1)", "int8(backend=tflite)"])
def test_what_needs_a_keras_model_says_so(bench, recipe: str) -> None:
    expected = RecipeError if recipe.startswith("prune") else ConversionFailed
    with pytest.raises(expected, match="no Keras metadata"):
        bench.compress(parse_recipe(recipe), lambda doing, share: None)
