"""Live models and arrays become files that are equal whenever the objects are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lwdash.api.input_saving import data_path, input_names, model_path
from lwdash.errors import DataRefused, ModelRefused


@pytest.mark.tensorflow
@pytest.mark.parametrize(("package", "suffix"), [("keras", ".keras"), ("tf_keras", ".h5")])
def test_a_live_model_is_saved_alike_each_time(package: str, suffix: str, tmp_path: Path) -> None:
    library = pytest.importorskip(package)
    layers = library.layers
    model = library.Sequential([layers.Input((6,)), layers.Dense(4, activation="relu"), layers.Dense(2)])
    files = []
    for place in ("first", "second"):
        (tmp_path / place).mkdir()
        files.append(model_path(model, tmp_path / place, "kws"))
    assert [path.name for path in files] == [f"kws{suffix}"] * 2
    assert files[0].read_bytes() == files[1].read_bytes()
    rows = np.linspace(-1, 1, 12, dtype=np.float32).reshape(2, 6)
    loaded = library.models.load_model(files[0], compile=False)
    np.testing.assert_array_equal(loaded.predict(rows, verbose=0), model.predict(rows, verbose=0))
    assert len(input_names(model)) == 1


@pytest.mark.tensorflow
def test_an_unbuilt_model_is_refused_in_words(tmp_path: Path) -> None:
    import keras

    with pytest.raises(ModelRefused, match="cannot be saved"):
        model_path(keras.Sequential([keras.layers.Dense(2)]), tmp_path / "nowhere" / "deeper", "kws")


def test_paths_stay_paths(tmp_path: Path) -> None:
    assert model_path("model.keras", tmp_path, "kws") == Path("model.keras")
    assert data_path(Path("rows.csv"), None, tmp_path, "rows") == Path("rows.csv")
    assert input_names("model.keras") == []
    with pytest.raises(DataRefused, match="label="):
        data_path("rows.csv", [1, 2], tmp_path, "rows")


def test_another_object_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match=r"received builtins\.dict"):
        model_path({}, tmp_path, "kws")


def test_arrays_are_saved_alike_each_time(tmp_path: Path) -> None:
    x, y = np.arange(24.0).reshape(4, 3, 2), ["a", "b", "a", "b"]
    first = data_path(x, y, tmp_path, "first").read_bytes()
    path = data_path(x.tolist(), np.array(y, dtype=object), tmp_path, "second")
    assert path.read_bytes() == first
    with np.load(path, allow_pickle=False) as stored:
        assert stored["x"].dtype == np.float32
        np.testing.assert_array_equal(stored["x"], x)
        assert stored["y"].tolist() == y


def test_several_inputs_are_saved_by_name(tmp_path: Path) -> None:
    a, b = np.zeros((5, 2), np.uint8), np.ones((5, 3))
    for given in ({"image": a, "meta": b}, [a, b]):
        with np.load(data_path(given, [0] * 5, tmp_path, "rows", ["image", "meta"])) as stored:
            assert set(stored) == {"image", "meta", "y"}
            assert stored["image"].dtype == np.uint8


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (None, None, "x is missing"),
        (np.zeros((4, 2)), [1, 2, 3], "x has 4, y has 3"),
        (3.0, None, "one row per sample"),
        ([[1, 2], [3]], None, "all of one shape"),
        (np.array([b"a", b"b"]), None, "received values of type"),
        (np.array([{}, {}], dtype=object), None, "received values of type object"),
        ({"y": np.zeros((2, 2))}, [0, 1], "an input is named 'y'"),
        ([np.zeros((2, 2))], None, "2 inputs"),
    ],
)
def test_unusable_arrays_are_refused_in_words(x: Any, y: Any, words: str, tmp_path: Path) -> None:
    inputs = ["a", "b"] if "inputs" in words else []
    with pytest.raises(DataRefused, match=words):
        data_path(x, y, tmp_path, "rows", inputs)
