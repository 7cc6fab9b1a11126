"""Files of a few kilobytes that ask for gigabytes, or for hours, once somebody builds what they describe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from forge import Json, dense, forger, h5_file, keras_file, sequential, weights


def layer(class_name: str, **config: Any) -> Json:
    named = {"name": "huge", "trainable": True, "dtype": "float32", **config}
    return {"module": "keras.layers", "class_name": class_name, "config": named, "registered_name": None}


@forger("layer 'dense'.*2,147,483,647 weights, but the file holds only 10 numbers")
def dense_layer_of_eight_gigabytes(folder: Path, trace: Path) -> Path:
    return keras_file(folder / "m.keras", sequential(dense(units=2**31 - 1)))


@forger("layer 'huge'.*1,000,000,000,000 weights")
def embedding_of_terabytes(folder: Path, trace: Path) -> Path:
    entry = layer("Embedding", input_dim=10**6, output_dim=10**6)
    return h5_file(folder / "m.h5", sequential(entry, dense(), version=2))


@forger("layer 'huge' .LSTM. declares at least 10,000,000,000 weights")
def wrapped_cell_of_gigabytes(folder: Path, trace: Path) -> Path:
    inner = layer("LSTM", units=100_000)
    return keras_file(folder / "m.keras", sequential(layer("Bidirectional", layer=inner), dense()))


@forger("layer 'huge' .Conv2D. declares at least")
def kernel_of_gigabytes(folder: Path, trace: Path) -> Path:
    entry = layer("Conv2D", filters=8, kernel_size=[100_000, 100_000])
    return keras_file(folder / "m.keras", sequential(entry, dense()))


@forger("layer 'huge' .RepeatVector. gives 40,000,000,000 numbers for one row")
def output_of_gigabytes(folder: Path, trace: Path) -> Path:
    return keras_file(folder / "m.keras", sequential(layer("RepeatVector", n=10**10), dense()))


@forger("30,001 layers; the limit is 20,000")
def too_many_layers(folder: Path, trace: Path) -> Path:
    chain = [layer("Activation", activation="linear") | {} for _ in range(30_000)]
    for number, entry in enumerate(chain):
        entry["config"] = {**entry["config"], "name": f"a{number}"}
    return keras_file(folder / "m.keras", sequential(*chain))


@forger("calls its layers more than 300,000 times")
def models_that_call_each_other_twice(folder: Path, trace: Path) -> Path:
    """Sixteen levels, eight calls of the level below in each: 8^16 calls in a config of a few kilobytes."""
    model = functional("inner0", dense(), calls=1)
    for level in range(1, 17):
        model = functional(f"inner{level}", model, calls=8)
    return h5_file(folder / "m.h5", model)


def functional(name: str, inner: Json, calls: int) -> Json:
    """A Functional of Keras 2 that calls `inner` on its own output, `calls` times over."""
    inner_name = inner["config"]["name"]
    first = {
        "class_name": "InputLayer",
        "config": {"name": "x", "batch_input_shape": [None, 2], "dtype": "float32"},
        "name": "x",
        "inbound_nodes": [],
    }
    nodes = [[["x", 0, 0, {}]], *([[inner_name, n, 0, {}]] for n in range(calls - 1))]
    entry = {**inner, "name": inner_name, "inbound_nodes": nodes}
    config = {
        "name": name,
        "layers": [first, entry],
        "input_layers": [["x", 0, 0]],
        "output_layers": [[inner_name, calls - 1, 0]],
    }
    return {"class_name": "Functional", "config": config}


@forger("by the filter 32008, which is not part of HDF5")
def hdf5_filter_that_is_a_plug_in(folder: Path, trace: Path) -> Path:
    """Reading it makes the library look for a shared object and load it."""

    def change(file: h5py.File) -> None:
        created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        created.set_chunk((2,))
        created.set_filter(32008, h5py.h5z.FLAG_OPTIONAL, (0, 0))
        space = h5py.h5s.create_simple((2,))
        h5py.h5d.create(file["layers/dense/vars"].id, b"2", h5py.h5t.NATIVE_FLOAT, space, created)

    return keras_file(folder / "m.keras", sequential(dense()), weights(change))


@forger("are not numbers")
def hdf5_references_as_weights(folder: Path, trace: Path) -> Path:
    def change(file: h5py.File) -> None:
        del file["model_weights/dense/dense/bias:0"]
        references = np.array([file.ref, file.ref], dtype=h5py.ref_dtype)
        file["model_weights/dense/dense"].create_dataset("bias:0", data=references, dtype=h5py.ref_dtype)

    return h5_file(folder / "m.h5", sequential(dense(), version=2), change)
