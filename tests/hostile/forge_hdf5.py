"""Hostile HDF5 files: links, storage elsewhere, sizes that are not there."""

from __future__ import annotations

from pathlib import Path

import h5py
from forge import dense, forger, h5_file, keras_file, sequential, weights


@forger("external link, to the file")
def hdf5_external_link(folder: Path, trace: Path) -> Path:
    def change(file: h5py.File) -> None:
        del file["model_weights/dense/dense/kernel:0"]
        file["model_weights/dense/dense/kernel:0"] = h5py.ExternalLink(str(trace), "/data")

    return h5_file(folder / "m.h5", sequential(dense(), version=2), change)


@forger("soft link")
def hdf5_soft_link(folder: Path, trace: Path) -> Path:
    def change(file: h5py.File) -> None:
        file["model_weights/more"] = h5py.SoftLink("/model_weights/dense")

    return h5_file(folder / "m.h5", sequential(dense(), version=2), change)


@forger("a loop")
def hdf5_hard_link_loop(folder: Path, trace: Path) -> Path:
    def change(file: h5py.File) -> None:
        file["model_weights/dense/again"] = file["model_weights"]

    return h5_file(folder / "m.h5", sequential(dense(), version=2), change)


@forger("stored in another file")
def hdf5_external_storage(folder: Path, trace: Path) -> Path:
    def change(file: h5py.File) -> None:
        del file["model_weights/dense/dense/bias:0"]
        file["model_weights/dense/dense"].create_dataset(
            "bias:0", (2,), "float32", external=[(str(trace), 0, 8)]
        )

    return h5_file(folder / "m.h5", sequential(dense(), version=2), change)


@forger("virtual dataset")
def hdf5_virtual_dataset(folder: Path, trace: Path) -> Path:
    def change(file: h5py.File) -> None:
        layout = h5py.VirtualLayout((2,), "float32")
        layout[:] = h5py.VirtualSource(str(trace), "data", (2,))
        file.create_virtual_dataset("layers/dense/vars/2", layout)

    return keras_file(folder / "m.keras", sequential(dense()), weights(change))


@forger("declares more than")
def hdf5_that_declares_gigabytes_in_pieces(folder: Path, trace: Path) -> Path:
    def change(file: h5py.File) -> None:
        for index in range(100):
            file.create_dataset(f"model_weights/dense/part{index}", (15 << 20,), "float32")

    return h5_file(folder / "m.h5", sequential(dense(), version=2), change)


@forger("declare 17,179,869,184 bytes")
def hdf5_that_declares_one_huge_dataset(folder: Path, trace: Path) -> Path:
    def change(file: h5py.File) -> None:
        file.create_dataset(
            "layers/dense/vars/2", (4 << 30,), "float32", chunks=(1 << 20,), compression="gzip"
        )

    return keras_file(folder / "m.keras", sequential(dense()), weights(change))


@forger("damaged or incomplete")
def hdf5_cut_off(folder: Path, trace: Path) -> Path:
    path = h5_file(folder / "m.h5", sequential(dense(), version=2))
    path.write_bytes(path.read_bytes()[:-900])
    return path
