"""Pickles, where a model or its parts should be."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import h5py
import numpy as np
from forge import Payload, dense, forger, keras_file, sequential, weights


@forger("Python pickle")
def pickle_named_h5(folder: Path, trace: Path) -> Path:
    path = folder / "m.h5"
    path.write_bytes(pickle.dumps(Payload(trace)))
    return path


@forger("pickle")
def pickle_inside_a_keras_file(folder: Path, trace: Path) -> Path:
    return keras_file(
        folder / "m.keras", sequential(dense()), more={"model.pkl": pickle.dumps(Payload(trace))}
    )


@forger("PyTorch")
def pytorch_checkpoint(folder: Path, trace: Path) -> Path:
    path = folder / "m.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Payload(trace)))
    return path


@forger("not numbers")
def object_array_in_the_weights(folder: Path, trace: Path) -> Path:
    def change(file: h5py.File) -> None:
        data = np.frombuffer(pickle.dumps(Payload(trace)), "uint8")
        file.create_dataset("layers/dense/vars/2", (1,), dtype=h5py.vlen_dtype(np.uint8))[0] = data

    return keras_file(folder / "m.keras", sequential(dense()), weights(change))
