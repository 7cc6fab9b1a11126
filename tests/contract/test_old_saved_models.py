"""SavedModels of TensorFlow 2.4 and older have their Keras metadata inside saved_model.pb: they are Keras models."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lwdash.errors import ModelRefused
from lwdash.keras_models.inspection import inspect_model
from lwdash.keras_models.load import load_model

pytestmark = pytest.mark.tensorflow


def network() -> Any:
    import tf_keras

    layers = tf_keras.layers
    tf_keras.utils.set_random_seed(3)
    inputs = tf_keras.Input((8, 8, 2), name="image")
    inner = tf_keras.Sequential(
        [layers.Conv2D(4, 3, activation="relu", name="conv"), layers.BatchNormalization()], name="inner"
    )
    x = layers.GlobalAveragePooling2D()(inner(inputs))
    model = tf_keras.Model(inputs, layers.Dense(3, activation="softmax", name="out")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def as_of_2_4(folder: Path, change: tuple[str, str] = ("", "")) -> Path:
    """Moves the metadata of a SavedModel into its graph, as TensorFlow 2.4 had it; the zip of that."""
    from tensorflow.core.protobuf import saved_model_pb2
    from tf_keras.protobuf import saved_metadata_pb2

    graph = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    metadata = saved_metadata_pb2.SavedMetadata.FromString((folder / "keras_metadata.pb").read_bytes())
    objects = graph.meta_graphs[0].object_graph_def.nodes
    for node in metadata.nodes:
        objects[node.node_id].user_object.metadata = (
            node.metadata.replace(*change) if change[0] else node.metadata
        )
    (folder / "saved_model.pb").write_bytes(graph.SerializeToString())
    (folder / "keras_metadata.pb").unlink()
    (folder / "fingerprint.pb").unlink(missing_ok=True)
    return Path(shutil.make_archive(str(folder), "zip", folder))


def test_the_model_is_rebuilt_with_its_layers_and_weights(tmp_path: Path) -> None:
    model = network()
    model.save(str(tmp_path / "new"), save_format="tf")
    newer = inspect_model(Path(shutil.make_archive(str(tmp_path / "as it is"), "zip", tmp_path / "new")))
    path = as_of_2_4(tmp_path / "new")
    facts = inspect_model(path)
    assert facts.library == "tf_keras"
    assert facts == newer
    assert {layer.path: layer.parameters for layer in facts.layers}["inner/conv"] == 76
    rows = np.random.default_rng(0).normal(size=(5, 8, 8, 2)).astype("float32")
    loaded = load_model(path, facts)
    np.testing.assert_allclose(loaded.predict(rows, verbose=0), model.predict(rows, verbose=0), atol=1e-6)


def test_its_metadata_is_scanned(tmp_path: Path) -> None:
    network().save(str(tmp_path / "hostile"), save_format="tf")
    path = as_of_2_4(tmp_path / "hostile", ('"class_name": "Dense"', '"class_name": "Lambda"'))
    with pytest.raises(ModelRefused, match="Lambda"):
        inspect_model(path)


def test_a_graph_without_metadata_is_a_function(tmp_path: Path) -> None:
    network().save(str(tmp_path / "exported"), save_format="tf")
    (tmp_path / "exported" / "keras_metadata.pb").unlink()
    facts = inspect_model(Path(shutil.make_archive(str(tmp_path / "exported"), "zip", tmp_path / "exported")))
    assert facts.library == "none"
