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


@pytest.mark.parametrize(("cell", "rows"), [("LSTM", 7), ("GRU", 5), ("SimpleRNN", 8)])
def test_recurrent_functions_of_keras_2_become_files_of_one_row(cell: str, rows: int, tmp_path: Path) -> None:
    """Initial states take the number of rows from a known shape. 7 is also the number of steps, 5 divides the features."""
    import tf_keras

    layers = tf_keras.layers
    inputs = tf_keras.Input((7, 4))
    x = layers.Bidirectional(getattr(layers, cell)(5, return_sequences=True))(inputs)
    both = [layers.Flatten()(x), getattr(layers, cell)(6)(x)]
    model = tf_keras.Model(inputs, layers.Dense(3)(layers.Concatenate()(both)))
    path = saved_for(rows, model, (7, 4), tmp_path)
    made = workbench(path, tmp_path).compress(parse_recipe("float32"), lambda doing, share: None)
    assert made.stages[0].facts["largest_difference"] < 1e-5


def test_a_function_that_keeps_its_state_is_refused_with_the_remedy(tmp_path: Path) -> None:
    import tf_keras

    inputs = tf_keras.Input((7, 4), batch_size=8)
    model = tf_keras.Model(inputs, tf_keras.layers.LSTM(5, stateful=True)(inputs))
    path = saved_for(8, model, (7, 4), tmp_path)
    with pytest.raises(ConversionFailed, match=r"takes 8 rows.*keeps a state.*stateful=False"):
        workbench(path, tmp_path).compress(parse_recipe("float32"), lambda doing, share: None)


def test_a_function_whose_rows_depend_on_each_other_is_refused_with_the_remedy(tmp_path: Path) -> None:
    import tensorflow as tf

    path = saved_for(8, lambda x: x - tf.reduce_mean(x, axis=0, keepdims=True), (4,), tmp_path)
    with pytest.raises(
        ConversionFailed, match=r"takes 8 rows at once.*depend on the other rows.*tf\.TensorSpec"
    ):
        workbench(path, tmp_path).compress(parse_recipe("float32"), lambda doing, share: None)
