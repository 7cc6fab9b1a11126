"""What a model itself does to its inputs, read from files that the real Keras 2 and Keras 3 have written."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from lwdash.keras_models.inspection import inspect_model
from lwdash.keras_models.model_facts import InputScaling

pytestmark = pytest.mark.tensorflow


def rescaling(keras: ModuleType) -> Any:
    return [keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="first")]


def divided(keras: ModuleType) -> Any:
    return [lambda x: x / 255.0, lambda x: x - 0.5]


def adapted(keras: ModuleType) -> Any:
    layer = keras.layers.Normalization(name="first")
    layer.adapt(np.array([[0.0, 10.0], [4.0, 30.0]] * 20, np.float32)[:, None, :])
    return [keras.layers.Reshape((3, 2)), layer]


def stated(keras: ModuleType) -> Any:
    return [keras.layers.Normalization(axis=None, mean=40.0, variance=16.0, name="first")]


def batch_norm(keras: ModuleType) -> Any:
    layer = keras.layers.BatchNormalization(epsilon=0.0, name="first")
    layer.build((None, 3, 2))
    layer.set_weights([np.full(2, v, np.float32) for v in (0.5, 7.0, 3.0, 4.0)])
    return [keras.layers.GaussianNoise(0.1), layer]


def nested(keras: ModuleType) -> Any:
    inside = keras.Sequential([keras.Input((3, 2)), *adapted(keras)], name="inside")
    return [inside]


def augmented(keras: ModuleType) -> Any:
    """Rows that are varied in training come out as they went in, also from a model of their own."""
    varied = [keras.layers.Reshape((3, 2, 1)), keras.layers.RandomContrast(0.1), keras.layers.RandomFlip()]
    inside = keras.Sequential([keras.Input((3, 2)), *varied], name="augment")
    return [inside, keras.layers.RandomBrightness(0.1), *rescaling(keras)]


def embedding(keras: ModuleType) -> Any:
    return [keras.layers.Reshape((6,)), keras.layers.Embedding(10, 4)]


CASES: dict[Callable[[ModuleType], Any], InputScaling] = {
    rescaling: InputScaling("x", ("first",), (1 / 127.5,), (-1.0,)),
    divided: InputScaling("x", (), (1 / 255,), (-0.5,)),
    adapted: InputScaling("x", ("first",), (0.5, 0.1), (-1.0, -2.0), is_learnt=True),
    stated: InputScaling("x", ("first",), (0.25,), (-10.0,), is_learnt=True),
    batch_norm: InputScaling("x", ("first",), (0.5, 0.5), (-1.5, -1.5), is_learnt=True),
    augmented: InputScaling("x", ("first",), (1 / 127.5,), (-1.0,)),
    nested: InputScaling("x", ("inside/first",), (0.5, 0.1), (-1.0, -2.0), is_learnt=True),
    embedding: InputScaling("x", (), is_told=False),
}


FILES = [
    (case, library, suffix)
    for case in CASES
    for library in ("keras", "tf_keras")
    for suffix in (".keras", ".h5")
    # Keras 3 itself does not write its augmentations to .h5.
    if (case, library, suffix) != (augmented, "keras", ".h5")
]


@pytest.mark.parametrize(
    ("case", "library", "suffix"), FILES, ids=lambda part: getattr(part, "__name__", part)
)
def test_what_the_first_layers_do_is_read(
    tmp_path: Path, library: str, suffix: str, case: Callable[[ModuleType], Any]
) -> None:
    keras = pytest.importorskip(library)
    inputs = x = keras.Input((3, 2), name="x")
    for layer in case(keras):
        x = layer(x)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(x)))
    path = tmp_path / f"model{suffix}"
    model.save(path)
    scaling = inspect_model(path).scaling
    assert scaling is not None
    told, wanted = scaling[0], CASES[case]
    if suffix == ".h5" and case is nested:
        assert not told.is_told, (
            "a legacy file names the weights of nested models in many ways: they are not read"
        )
        return
    assert (told.input, told.is_learnt, told.is_told) == ("x", wanted.is_learnt, wanted.is_told)
    if case is not divided:  # its layers have automatic names
        assert told.layers == wanted.layers
    else:
        assert len(told.layers) == 2
    assert told.scale == pytest.approx(wanted.scale, rel=1e-5)
    assert told.offset == pytest.approx(wanted.offset, rel=1e-5)
