"""Rows generated from live models: they have the statistics of the batch normalizations, and are repeatable."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lwdash.datasets.data_inspection import inspect_data
from lwdash.datasets.data_settings import DataSettings
from lwdash.datasets.prepare import prepare
from lwdash.generated_rows import statistics_match
from lwdash.generated_rows.generate import generate_rows, vocabularies, write_rows
from lwdash.generated_rows.start_values import start_values
from lwdash.keras_models.inspection import inspect_model
from lwdash.keras_models.model_facts import ModelFacts

pytestmark = pytest.mark.tensorflow


def saved(model: Any, folder: Path) -> ModelFacts:
    model.save(folder / "net.keras")
    return inspect_model(folder / "net.keras")


def network(library: Any, mean: float, deviation: float) -> Any:
    """A convolution whose batch norm has the statistics of white noise of this mean and deviation, and a nested model."""
    layers = library.layers
    inner = library.Sequential(
        [layers.Input((6, 6, 4)), layers.Conv2D(4, 3), layers.BatchNormalization()], name="inner"
    )
    inputs = library.Input((8, 8, 1), name="image")
    first = layers.Conv2D(4, 3, use_bias=False)
    x = layers.BatchNormalization(momentum=0.0)(first(inputs))
    x = inner(layers.ReLU()(x))
    model = library.Model(inputs, layers.Dense(3, activation="softmax")(layers.Flatten()(x)))
    chance = np.random.default_rng(0)
    rows = (mean + deviation * chance.standard_normal((512, 8, 8, 1))).astype(np.float32)
    model(rows, training=True)
    inner.layers[-1].momentum = 0.0
    model(rows, training=True)
    return model


@pytest.mark.parametrize("name", ["keras", "tf_keras"])
def test_the_scale_of_the_input_is_found_with_the_batch_normalizations(name: str, tmp_path: Path) -> None:
    library = pytest.importorskip(name)
    library.utils.set_random_seed(0)
    model = network(library, mean=5.0, deviation=20.0)
    found = generate_rows(model, saved(model, tmp_path), seed=0)
    rows = found.arrays["image"]
    assert (rows.shape, rows.dtype) == ((264, 8, 8, 1), np.float32)
    assert 10 < rows.std() < 40, "standard normal values were the start"
    assert found.distance is not None
    assert found.distance[1] < 0.1 < found.distance[0]
    assert "2 batch normalizations" in found.method
    assert not any("call" in vars(layer) for layer in model.layers), "no layer stays changed"


def test_of_a_large_network_only_the_first_rows_are_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All have the scale that was found; steps for one batch of 64 rows are what MAX_WORK allows here."""
    import keras

    keras.utils.set_random_seed(0)
    model = network(keras, mean=5.0, deviation=20.0)
    monkeypatch.setattr(statistics_match, "MAX_WORK", (6 * 6 * 4 + 4 * 4 * 4) * 64 * statistics_match.STEPS)
    rows = generate_rows(model, saved(model, tmp_path), seed=0).arrays["image"]
    starts = start_values(264, (8, 8, 1), np.random.default_rng(0))
    alike = [
        float(np.corrcoef(rows[part].ravel(), starts[part].ravel())[0, 1])
        for part in (slice(64), slice(64, None))
    ]
    assert alike[0] < 0.999
    assert alike[1] == pytest.approx(1, abs=1e-5)
    assert rows[64:].std() > 5, "standard normal values were the start"


def test_the_same_seed_gives_the_same_rows_and_another_seed_others(tmp_path: Path) -> None:
    import keras

    model = network(keras, mean=0.0, deviation=1.0)
    facts = saved(model, tmp_path)
    first, again, other = (generate_rows(model, facts, seed=seed).arrays["image"] for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert not np.array_equal(first, other)


def test_ids_are_those_of_the_embedding_and_rows_are_read_as_data(tmp_path: Path) -> None:
    import keras

    words = keras.Input((6,), name="words", dtype="int32")
    sizes = keras.Input((2,), name="sizes")
    text = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(20, 4)(words))
    numbers = keras.layers.Rescaling(1 / 255)(sizes)
    model = keras.Model([words, sizes], keras.layers.Dense(2)(keras.layers.Concatenate()([text, numbers])))
    facts = saved(model, tmp_path)
    assert vocabularies(model, facts) == {"words": 20}
    found = generate_rows(model, facts, seed=0)
    assert found.distance is None
    ids = found.arrays["words"]
    assert (ids.dtype, ids.min(), ids.max()) == (np.int32, 0, 19)
    assert (found.arrays["sizes"].min(), found.arrays["sizes"].max()) == (0.0, 255.0)

    path = tmp_path / "generated-rows.npz"
    write_rows(found.arrays, path)
    data = prepare(path, DataSettings(label=""), *facts.ports, facts=inspect_data(path))
    assert {part: len(rows) for part, rows in data.parts.items()} == {
        "train": 8, "calibration": 128, "evaluation": 128,
    }  # fmt: skip
    inputs, labels = data.part("calibration")
    assert labels is None
    assert np.array_equal(inputs["words"], ids[8:136])
