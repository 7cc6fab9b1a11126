"""A model that cannot be taken is refused when it is inspected, with the remedy that helps."""

import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from lwdash.errors import ModelRefused
from lwdash.keras_models.inspection import inspect_model

pytestmark = pytest.mark.tensorflow


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_hashing_is_refused_though_it_is_standard(library: str, suffix: str, tmp_path: Path) -> None:
    keras = import_module(library)
    inputs = keras.Input((3,), dtype="int64")
    x = keras.layers.Embedding(10, 4)(keras.layers.Hashing(10, name="buckets")(inputs))
    keras.Model(inputs, keras.layers.Dense(2)(x)).save(str(tmp_path / f"model{suffix}"))
    with pytest.raises(ModelRefused, match=r"'buckets' \(Hashing\).*Save the part of the model after it"):
        inspect_model(tmp_path / f"model{suffix}")


def test_a_metric_of_ones_own_in_a_saved_model_is_no_layer(tmp_path: Path) -> None:
    import numpy as np
    import tf_keras

    class Strange(tf_keras.metrics.Metric):  # type: ignore[misc]
        def update_state(self, *arguments: Any, **named: Any) -> None:
            pass

        def result(self) -> float:
            return 0.0

    model = tf_keras.Sequential([tf_keras.Input((4,)), tf_keras.layers.Dense(2)])
    model.compile("adam", "mse", metrics=[Strange(name="strange")])
    model.fit(np.zeros((4, 4)), np.zeros((4, 2)), verbose=0)
    model.save(str(tmp_path / "saved"), save_format="tf")
    path = Path(shutil.make_archive(str(tmp_path / "saved"), "zip", tmp_path / "saved"))
    with pytest.raises(ModelRefused, match=r"metric 'strange'.*compile=False"):
        inspect_model(path)
