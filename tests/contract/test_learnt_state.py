"""What a layer learnt by adapt() before training: every copy that a technique makes of it computes the same."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lwdash.contract import Training
from lwdash.keras_models.bridge.model import to_tf_keras
from lwdash.keras_models.bridge.restructure import with_structure_of
from lwdash.keras_models.bridge.transfer import transfer_weights
from lwdash.keras_models.stored_model import read_model, write_model
from lwdash.techniques import low_rank
from lwdash.training.model_copies import clone_live

pytestmark = pytest.mark.tensorflow

RANDOM = np.random.default_rng(0)
UNEVEN = (RANDOM.normal(size=(64, 5)) * [1, 10, 100, 5, 0.1] + [0, 40, 500, 2, 1]).astype("float32")


def normalized(library: Any, *, axis: Any = -1, is_nested: bool = False) -> Any:
    """A model of either Keras that normalizes by what it saw; nested: the layer is inside a model inside."""
    layer = library.layers.Normalization(axis=axis)
    layer.adapt(UNEVEN)
    wide = library.layers.Dense(24, activation="relu", name="wide")
    inputs = library.Input((5,))
    if is_nested:
        first = library.Sequential([library.Input((5,)), layer, wide])
        return library.Sequential([inputs, first, library.layers.Dense(24), library.layers.Dense(2)])
    return library.Model(inputs, library.layers.Dense(2)(library.layers.Dense(24)(wide(layer(inputs)))))


def answers(model: Any, rows: np.ndarray = UNEVEN) -> np.ndarray:
    return np.asarray(model(rows))


@pytest.mark.parametrize("is_nested", [False, True])
@pytest.mark.parametrize("axis", [-1, None])
@pytest.mark.parametrize("copied", [clone_live, lambda model: read_model(write_model(clone_live(model)))])
def test_a_copy_normalizes_by_what_was_learnt(
    copied: Callable[[Any], Any], axis: Any, is_nested: bool
) -> None:
    import keras
    import tf_keras

    for library in (keras, tf_keras):
        model = normalized(library, axis=axis, is_nested=is_nested)
        np.testing.assert_allclose(answers(copied(model)), answers(model), atol=1e-5)


def test_chains_go_back_into_a_model_that_normalizes() -> None:
    import keras

    original = normalized(keras)
    twin = to_tf_keras(original, rows=[UNEVEN]).model
    training = Training(
        inputs=(UNEVEN,),
        teacher=(answers(original),),
        labels=None,
        task="regression",
        seed=1,
        progress=lambda *told: None,
    )
    treated = low_rank.apply(twin, low_rank.Params(energy=0.8, epochs=1), training).model
    rebuilt = with_structure_of(treated, original)
    assert rebuilt is not None
    assert rebuilt is not original
    transfer_weights(treated, rebuilt)
    np.testing.assert_allclose(answers(rebuilt), answers(treated), atol=1e-4)


@pytest.mark.parametrize("kind", ["Discretization", "IntegerLookup"])
def test_edges_and_words_learnt_from_data_are_in_copies(kind: str) -> None:
    import keras

    rows = RANDOM.integers(3, 40, (64, 2)).astype("float32" if kind == "Discretization" else "int64")
    layer = (
        keras.layers.Discretization(num_bins=4) if kind == "Discretization" else keras.layers.IntegerLookup()
    )
    layer.adapt(rows)
    inputs = keras.Input((2,), dtype=str(rows.dtype))
    model = keras.Model(inputs, keras.layers.Flatten()(keras.layers.Embedding(50, 3)(layer(inputs))))
    np.testing.assert_array_equal(answers(clone_live(model), rows), answers(model, rows))
    if kind == "Discretization":
        np.testing.assert_allclose(answers(to_tf_keras(model, rows=[rows]).model, rows), answers(model, rows))
