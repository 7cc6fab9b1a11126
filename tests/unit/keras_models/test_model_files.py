"""Which files are told apart, and what is said of those that are no model."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from lwdash.errors import ModelRefused
from lwdash.keras_models.inspection import inspect_model, library_of
from lwdash.keras_models.model_facts import ModelFacts
from lwdash.keras_models.network import read_network, walk
from lwdash.keras_models.weight_counts import count_archive, count_legacy, snake_case


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"label,t0\n1,2\n", "not a model"),
        (b"\x1c\x00\x00\x00TFL3" + bytes(20), "already converted"),
        (gzip.compress(b"x", mtime=0), "gzipped"),
        (b"\x93NUMPY\x01\x00", "NumPy"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n",
            "Git LFS pointer.*git lfs pull",
        ),
        (b"\n<!DOCTYPE html><html>", r"web page \(HTML\).*Download the file itself"),
        (b"<HTML><head>", "web page"),
        (b"<?xml version='1.0'?>", "XML"),
        (b"\x08\x07\x12\x07pytorch\x1a\x03" + bytes(40), r"ONNX.*model\.save"),
        (b"\x08\x01\x12\x9a\x05\n\x40", "graph of a SavedModel.*zip the whole folder"),
        (b"\n\x30\n\x01x\x12\x0bPlaceholder" + bytes(20), "frozen TensorFlow graph"),
        (b"\x7fELF\x02\x01", "ELF"),
        (b"MZ\x90\x00", "Windows program"),
        (bytes(5000), "zeros only.*interrupted"),
        (bytes(3), "zeros only"),
        (bytes(2000) + b"x", "not a model: it begins with"),
        (b"\x80\x04\x95\x10", "Python pickle, which can run code"),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02", "PyTorch checkpoint"),
        (b'\x10\x00\x00\x00\x00\x00\x00\x00{"a":1}', "safetensors"),
        (b"7z\xbc\xaf\x27\x1c", "7z archive: unpack"),
        (b"\x08", "not a model"),
        (b"PAR1", "Parquet table, not a model: give samples in the next step"),
        (b"PK\x03\x04 and no more", "damaged"),
        (b"\x89HDF\r\n\x1a\n and no more", "damaged"),
    ],
)
def test_files_that_are_no_model_are_named(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "upload"
    path.write_bytes(content)
    with pytest.raises(ModelRefused, match=words):
        inspect_model(path)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["model.keras"], "unpack it"),
        (["arr_0.npy"], "NumPy"),
        (["keras_metadata.pb"], "no saved_model.pb"),
        (["photo.png"], "neither a .keras file"),
        (["model/config.json", "model/metadata.json", "model/model.weights.h5"], "in a folder.*itself"),
        (["net.tflite"], "already converted"),
        (["net.onnx"], "ONNX model 'net.onnx'"),
        (["xl/workbook.xml"], "Excel workbook.*CSV"),
        (["archive/data.pkl", "archive/version"], "PyTorch checkpoint"),
        (["config.json", "metadata.json"], r"no model\.weights\.h5"),
        (["config.json", "metadata.json", "model.weights.npz"], r"save it again with model\.save"),
        (["a/saved_model.pb", "b/saved_model.pb"], "2 SavedModels"),
    ],
)
def test_zips_that_are_no_model_are_explained(tmp_path: Path, names: list[str], words: str) -> None:
    path = tmp_path / "upload.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "{}")
    with pytest.raises(ModelRefused, match=words):
        inspect_model(path)


def test_a_folder_is_told_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "exported").mkdir()
    with pytest.raises(ModelRefused, match="'exported' is a folder, not a file"):
        inspect_model(tmp_path / "exported")
    (tmp_path / "exported" / "saved_model.pb").write_bytes(b"")
    with pytest.raises(
        ModelRefused, match=r"folder of a SavedModel: zip it .`zip -r exported\.zip exported`"
    ):
        inspect_model(tmp_path / "exported")


def test_a_missing_file_is_a_refusal(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="cannot be read"):
        inspect_model(tmp_path / "nothing")


def test_weights_alone_are_no_model(tmp_path: Path) -> None:
    path = tmp_path / "w.h5"
    with h5py.File(path, "w") as file:
        file["dense/kernel:0"] = np.zeros(3)
    with pytest.raises(ModelRefused, match=r"weights only.*model\.save"):
        inspect_model(path)


def h5(
    path: Path,
    config: dict[str, Any],
    groups: dict[str, list[str]] | None = None,
    version: str | None = "2.4.0",
) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        if version:
            file.attrs["keras_version"] = version
        for layer, weights in (groups or {}).items():
            for weight in weights:
                file[f"model_weights/{layer}/{weight}"] = np.zeros((2, 3), "float32")
    return path


def sequential(*layers: dict[str, Any]) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"name": "old", "layers": list(layers)}}


def entry(class_name: str, name: str, **config: Any) -> dict[str, Any]:
    return {
        "class_name": class_name,
        "config": {"name": name, "trainable": True, "dtype": "float32", **config},
    }


def test_an_old_sequential_states_its_input_in_its_first_layer(tmp_path: Path) -> None:
    config = sequential(entry("Dense", "one", units=3, batch_input_shape=[None, 2], activation="softmax"))
    facts = inspect_model(h5(tmp_path / "m.h5", config, {"one": ["one/kernel:0"]}))
    assert (facts.inputs[0].name, facts.inputs[0].shape) == ("one_input", (2,))
    assert facts.outputs[0].shape == (3,)
    assert facts.task == "classification"


def test_a_sequential_of_keras_2_2_is_a_bare_list_of_layers(tmp_path: Path) -> None:
    config = {
        "class_name": "Sequential",
        "config": [entry("Dense", "one", units=3, batch_input_shape=[None, 2])],
    }
    facts = inspect_model(h5(tmp_path / "m.h5", config, {"one": ["one/kernel:0"]}, version=None))
    assert (facts.keras_version, facts.library, facts.parameters) == ("1", "tf_keras", 6)


def test_a_sequential_without_any_input_shape_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match=r"without an input shape.*save it again"):
        inspect_model(h5(tmp_path / "m.h5", sequential(entry("Dense", "one", units=3))))


def test_a_subclassed_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match=r"'MyModel' is not a standard.*subclassed model.*model\.export"):
        inspect_model(h5(tmp_path / "m.h5", {"class_name": "MyModel", "config": {"name": "m"}}))


def test_an_input_of_text_is_refused_with_the_layer_to_begin_after(tmp_path: Path) -> None:
    word = entry("InputLayer", "word", batch_input_shape=[None, 1], dtype="string")
    word["config"]["dtype"] = "string"
    config = sequential(word, entry("StringLookup", "lookup"), entry("Dense", "one", units=3))
    with pytest.raises(ModelRefused, match=r"'word' takes text.*part of the model after the layer 'lookup'"):
        inspect_model(h5(tmp_path / "m.h5", config, {"one": ["one/kernel:0"]}))


def test_a_version_that_is_none_is_refused(tmp_path: Path) -> None:
    config = sequential(entry("Dense", "one", units=3, batch_input_shape=[None, 2]))
    with pytest.raises(ModelRefused, match="keras_version is 'latest'"):
        inspect_model(h5(tmp_path / "m.h5", config, version="latest"))


def test_a_config_with_a_dangling_layer_is_refused_in_words(tmp_path: Path) -> None:
    config = {"class_name": "Functional", "config": {"name": "m", "layers": [{"class_name": "Dense"}]}}
    with pytest.raises(ModelRefused, match=r"layer 'dense' \(Dense\) has no config"):
        inspect_model(h5(tmp_path / "m.h5", config))


@pytest.mark.parametrize(
    ("version", "library"),
    [("1.2.2", "tf_keras"), ("2.15.0", "tf_keras"), ("3.0.0", "keras"), ("10.1", "keras")],
)
def test_the_library_follows_from_the_version(version: str, library: str) -> None:
    assert library_of(version) == library


@pytest.mark.parametrize(
    ("class_name", "group"),
    [
        ("Conv2D", "conv2d"),
        ("Conv2DTranspose", "conv2d_transpose"),
        ("LSTM", "lstm"),
        ("PReLU", "p_re_lu"),
        ("GRUCell", "gru_cell"),
    ],
)
def test_groups_are_named_as_keras_names_them(class_name: str, group: str) -> None:
    assert snake_case(class_name) == group


def test_archive_groups_are_numbered_by_class_whatever_the_names() -> None:
    network = read_network(
        sequential(
            entry("Dense", "zebra", units=1, batch_input_shape=[None, 2]),
            sequential_named("inner", entry("Dense", "deep", units=1, batch_input_shape=[None, 2])),
            entry("Dense", "ant", units=1),
        )
    )
    sizes = {
        "layers/dense/vars/0": 1,
        "layers/dense_1/vars/0": 10,
        "layers/sequential/layers/dense/vars/0": 100,
        "layers/dense/seed_generator/vars/0": 1000,
        "optimizer/vars/0": 10000,
    }
    assert [path for path, node in walk(network) if node.class_name == "Dense"] == [
        "zebra",
        "inner/deep",
        "ant",
    ]
    counts = count_archive(network, sizes)
    assert {path: counts[path] for path in ("zebra", "inner/deep", "ant")} == {
        "zebra": 1,
        "inner/deep": 100,
        "ant": 10,
    }
    old = {path.replace("layers", "_layer_checkpoint_dependencies"): size for path, size in sizes.items()}
    assert count_archive(network, old) == counts


def sequential_named(name: str, *layers: dict[str, Any]) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"name": name, "layers": list(layers)}}


def test_legacy_groups_are_named_after_layers_slashes_included() -> None:
    network = read_network(
        sequential(
            entry("Dense", "block/one", units=1, batch_input_shape=[None, 2]),
            entry("Dense", "block", units=1),
        )
    )
    sizes = {
        "model_weights/block/one/block/one/kernel:0": 5,
        "model_weights/block/block/kernel:0": 7,
        "model_weights/top_level_model_weights/x": 99,
        "optimizer_weights/block/m": 11,
    }
    counts = count_legacy(network, sizes)
    assert (counts["block/one"], counts["block"]) == (5, 7)


def test_facts_survive_json(tmp_path: Path) -> None:
    config = sequential(entry("Dense", "one", units=3, batch_input_shape=[None, 2]))
    facts = inspect_model(h5(tmp_path / "m.h5", config, {"one": ["one/kernel:0"]}))
    assert ModelFacts.from_dict(json.loads(json.dumps(facts.to_dict()))) == facts
