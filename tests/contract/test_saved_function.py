"""A SavedModel without Keras metadata is exported, quantized and compared; training recipes are refused with the reason."""

import importlib
import shutil
from pathlib import Path
from typing import Any

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


def saved_for(rows: int, model: Any, shape: tuple[int, ...], folder: Path) -> Path:
    """A SavedModel of a function whose signature takes exactly `rows` rows."""
    import tensorflow as tf

    specification = tf.TensorSpec((rows, *shape), tf.float32, name="x")
    module = tf.Module()
    module.model = model
    module.serve = tf.function(lambda x: {"y": model(x)}, input_signature=[specification])
    tf.saved_model.save(module, str(folder / "model"), signatures={"serving_default": module.serve})
    return Path(shutil.make_archive(str(folder / "model"), "zip", folder / "model"))


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
def test_a_function_of_several_rows_becomes_a_file_of_one(library: str, tmp_path: Path) -> None:
    """Reshapes, initial states and lists of such a graph hold the number of rows."""
    keras = importlib.import_module(library)
    keras.utils.set_random_seed(1)
    layers = keras.layers
    inputs = keras.Input((7, 4))
    second = layers.LSTM(7) if library == "keras" else layers.GlobalMaxPooling1D()
    both = [layers.Flatten()(layers.Conv1D(5, 3)(inputs)), second(inputs)]
    model = keras.Model(inputs, layers.Dense(3)(layers.Concatenate()(both)))
    bench = workbench(saved_for(7, model, (7, 4), tmp_path), tmp_path)
    made = bench.compress(parse_recipe("int8"), lambda doing, share: None)
    facts = made.stages[0].facts
    assert facts["largest_difference"] < 1e-5
    assert facts["canonical_form"]["changes"] == [
        "The model was saved for 7 rows at once, the file takes one row at a time."
    ]
    assert made.stages[-1].facts["sqnr_db"] > 20


def test_a_function_whose_rows_depend_on_each_other_is_refused_with_the_remedy(tmp_path: Path) -> None:
    import tensorflow as tf

    path = saved_for(8, lambda x: x - tf.reduce_mean(x, axis=0, keepdims=True), (4,), tmp_path)
    with pytest.raises(
        ConversionFailed, match=r"takes 8 rows at once.*depend on the other rows.*tf\.TensorSpec"
    ):
        workbench(path, tmp_path).compress(parse_recipe("float32"), lambda doing, share: None)
