"""Damaged files, and configs whose values are of another type or size than any Keras writes."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from forge import Json, dense, forger, h5_file, keras_file, sequential, weights
from forge_saved_model import field, saved_model
from forge_sizes import functional, layer


def metadata_of(path: Path, version: Any) -> Path:
    """The .keras file `path` with another version in its metadata."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**parts, "metadata.json": json.dumps({"keras_version": version})}.items():
            archive.writestr(name, data)
    return path


def damaged(path: Path, member: str, start: int, data: bytes) -> Path:
    """`path` with some bytes of the compressed `member` overwritten."""
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        offset = archive.getinfo(member).header_offset + 30 + len(member) + start
    content[offset : offset + len(data)] = data
    path.write_bytes(content)
    return path


@forger("the zip is damaged or incomplete: Error -3 while decompressing.*save the model again")
def deflated_zip_with_a_damaged_config(folder: Path, trace: Path) -> Path:
    honest = keras_file(folder / "honest.keras", sequential(dense()))
    path = folder / "m.keras"
    with zipfile.ZipFile(honest) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    honest.unlink()
    return damaged(path, "config.json", 3, bytes(range(100, 137)))


@forger("the zip is damaged or incomplete: Bad CRC-32 for file 'model.weights.h5'")
def one_flipped_byte_of_a_weight(folder: Path, trace: Path) -> Path:
    path = keras_file(folder / "m.keras", sequential(dense()))
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo("model.weights.h5").file_size
    return damaged(path, "model.weights.h5", size - 3, b"\x41")


@forger("takes the output of call 1000000000000 of the layer 'dense'")
def call_number_of_a_trillion(folder: Path, trace: Path) -> Path:
    model = functional("m", dense(), calls=1)
    model["config"]["output_layers"] = [["dense", 10**12, 0]]
    return h5_file(folder / "m.h5", model)


@forger("output_layers, where the names of its layers are expected")
def output_of_a_layer_that_is_not_there(folder: Path, trace: Path) -> Path:
    model = functional("m", dense(), calls=1)
    model["config"]["output_layers"] = [["dense_9", 0, 0]]
    return h5_file(folder / "m.h5", model)


@forger(r"layer 'dense'.*its function is not a name but \['relu'\]")
def function_that_is_a_list(folder: Path, trace: Path) -> Path:
    function = {
        "module": "builtins",
        "class_name": "function",
        "config": ["relu"],
        "registered_name": "function",
    }
    return keras_file(folder / "m.keras", sequential(dense(activation=function)))


@forger("layer 'huge' .TFOpLambda. is refused: it calls the TensorFlow function '{'a': 1}'")
def tensorflow_function_that_is_a_dict(folder: Path, trace: Path) -> Path:
    return h5_file(folder / "m.h5", sequential(layer("TFOpLambda", function={"a": 1}), version=2))


@forger("layer 'input' .InputLayer. is refused: its batch_shape has to be a list of axis lengths.*nan")
def length_that_is_not_a_number(folder: Path, trace: Path) -> Path:
    config = sequential(dense())
    config["config"]["layers"][0]["config"]["batch_shape"] = [None, float("nan")]
    return keras_file(folder / "m.keras", config)


@forger("layer 'dense' .Dense. is refused: its units has to be a positive whole number, but the file has 2.5")
def half_a_unit(folder: Path, trace: Path) -> Path:
    return keras_file(folder / "m.keras", sequential(dense(units=2.5)))


@forger("keras_version is '3a.²', not a version")
def version_that_is_none(folder: Path, trace: Path) -> Path:
    return metadata_of(keras_file(folder / "m.keras", sequential(dense())), "3a.²")


@forger("keras_version is '1e308', not a version")
def version_that_is_a_float(folder: Path, trace: Path) -> Path:
    return metadata_of(keras_file(folder / "m.keras", sequential(dense())), "1e308")


@forger("^.{,1010}$")
def zip_member_with_a_name_of_kilobytes(folder: Path, trace: Path) -> Path:
    return keras_file(folder / "m.keras", sequential(dense()), more={"\x1b[31m" + "x" * 40_000: b""})


@forger("the name of a layer .Dense. of the model 'sequential' has to be a text")
def name_with_half_a_character(folder: Path, trace: Path) -> Path:
    return keras_file(folder / "m.keras", sequential(dense(name="\ud800")))


@forger("config.json holds about [0-9,]+ values; the limit is 1,000,000")
def config_of_millions_of_values(folder: Path, trace: Path) -> Path:
    entry = dense(note=[[]] * 1_100_000)
    return keras_file(folder / "m.keras", sequential(entry))


@forger(r"2 of the 8 weights in 'layers/dense/vars/0' are not finite .*The training diverged")
def weights_that_are_nan(folder: Path, trace: Path) -> Path:
    def change(file: h5py.File) -> None:
        file["layers/dense/vars/0"][0, :] = np.nan

    return keras_file(folder / "m.keras", sequential(dense()), weights(change))


@forger("layer 'huge' .Cropping1D. would output an array of shape .-6, 2.")
def more_cropped_than_there_is(folder: Path, trace: Path) -> Path:
    config = sequential(layer("Cropping1D", cropping=[5, 5]))
    config["config"]["layers"][0]["config"]["batch_shape"] = [None, 4, 2]
    return keras_file(folder / "m.keras", config)


@forger("model_config is not a text")
def config_of_a_terabyte_of_zeros(folder: Path, trace: Path) -> Path:
    def change(file: h5py.File) -> None:
        file.attrs["model_config"] = np.zeros((4, 100), "float32")

    return h5_file(folder / "m.h5", sequential(dense(), version=2), change)


@forger("the texts stored at byte [0-9,]+ are inconsistent")
def texts_of_length_zero(folder: Path, trace: Path) -> Path:
    """The HDF5 library goes on from a free space of 0 bytes to itself, for ever."""

    def change(file: h5py.File) -> None:
        file.attrs.create("keras_version", "2.15.0", dtype=h5py.string_dtype())

    path = h5_file(folder / "m.h5", sequential(dense(), version=2), change)
    data = bytearray(path.read_bytes())
    first = data.index(b"GCOL") + 16
    size = int.from_bytes(data[first + 8 : first + 16], "little")
    free = first + 16 + -(-size // 8) * 8
    while int.from_bytes(data[free : free + 2], "little"):
        free += 16 + -(-int.from_bytes(data[free + 8 : free + 16], "little") // 8) * 8
    data[free + 8 : free + 16] = bytes(8)
    path.write_bytes(data)
    return path


@forger("deeper than Keras does")
def groups_without_end(folder: Path, trace: Path) -> Path:
    def change(file: h5py.File) -> None:
        file.create_group("model_weights/" + "/".join("g" * 200))

    return h5_file(folder / "m.h5", sequential(dense(), version=2), change)


@forger("nests the attributes of an operator more than 50 deep")
def saved_model_with_attributes_in_attributes(folder: Path, trace: Path) -> Path:
    function = field(10, field(1, "f"))
    for _ in range(60):
        function = field(10, field(1, "f") + field(2, field(2, function)))
    operator = (
        field(1, "y") + field(2, "StatefulPartitionedCall") + field(5, field(1, "f") + field(2, function))
    )
    return saved_model(folder / "m.zip", (operator,))


@forger("lengths have to be at least 1")
def saved_model_whose_output_is_of_length_zero(folder: Path, trace: Path) -> Path:
    shape = field(3, field(2, field(1, 4)) + field(2, field(1, 0)))
    entry = field(2, field(1, "y") + field(2, field(1, "y:0") + field(2, 1) + shape))
    signature = field(5, field(1, "zz") + field(2, entry))
    path = saved_model(folder / "m.zip", (), more=signature)
    with zipfile.ZipFile(path) as archive:
        graph = archive.read("model/saved_model.pb").replace(b"serving_default", b"__ignored_by_us")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/saved_model.pb", graph)
        archive.writestr("model/variables/variables.index", b"")
    return path


def in_a_circle(*class_names: str) -> Json:
    """A Functional whose layers after the first take from each other in a circle."""
    names = [f"l{number}" for number in range(len(class_names))]
    layers: list[Json] = [
        {
            "class_name": "InputLayer",
            "config": {"name": "x", "batch_input_shape": [None, 2], "dtype": "float32"},
            "name": "x",
            "inbound_nodes": [],
        }
    ]
    for position, (name, class_name) in enumerate(zip(names, class_names, strict=True)):
        config = {
            "name": name,
            "trainable": True,
            "target_shape": [2],
            "function": "math.multiply",
            "rate": 0.1,
        }
        calls = [[[names[position - 1], 0, 0, {"y": 2.0}]]]
        calls += [[["x", 0, 0, {}]]] if position == 0 else []
        layers.append({"class_name": class_name, "config": config, "name": name, "inbound_nodes": calls})
    config = {
        "name": "circle",
        "layers": layers,
        "input_layers": [["x", 0, 0]],
        "output_layers": [[names[-1], 0, 0]],
    }
    return {"class_name": "Functional", "config": config}
