"""Live models and arrays as files, which child processes read like any other upload.

The files are the same, byte by byte, whenever the model and the arrays are: a repeated call finds its experiment again.
"""

import json
import zipfile
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from lwdash.errors import DataRefused, ModelRefused

EPOCH = (1980, 1, 1, 0, 0, 0)
"""Time stamp of the members of a zip file: the first that zip files can have."""
SAVED_AT = "1980-01-01@00:00:00"
"""Stored instead of the time at which Keras saved the model."""
PATHS = (str, PathLike)


def model_path(model: Any, folder: Path, name: str, *, has_code: bool = False) -> Path:
    """The file of a model: the given path, or a live Keras model saved in `folder`.

    Models of Keras 3 are saved as .keras, those of tf_keras (Keras 2) as .h5; with custom code as .keras too, since
    tf_keras cannot load custom functions from .h5. Raises ModelRefused.
    """
    if isinstance(model, PATHS):
        return Path(model).expanduser()
    packages = {base.__module__.partition(".")[0] for base in type(model).__mro__}
    if "tf_keras" in packages:
        path = folder / f"{name}{'.keras' if has_code else '.h5'}"
    elif "keras" in packages:
        path = folder / f"{name}.keras"
    else:
        raise ModelRefused(
            "the model must be a Keras model or the path of a model file; received "
            f"{type(model).__module__}.{type(model).__qualname__}"
        )
    try:
        model.save(path)
    except Exception as error:
        raise ModelRefused(
            f"the model cannot be saved ({type(error).__name__}: {error}). Call it once on a batch so that its "
            "weights exist, and give its layers no names with '/'"
        ) from error
    if path.suffix == ".keras":
        _set_times(path)
    return path


def _set_times(path: Path) -> None:
    """Replace all time stamps in a .keras file, so that equal models are equal files."""
    with zipfile.ZipFile(path) as archive:
        members = [(member.filename, archive.read(member)) for member in archive.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members:
            if name == "metadata.json":
                content = json.dumps({**json.loads(content), "date_saved": SAVED_AT}).encode()
            archive.writestr(zipfile.ZipInfo(name, EPOCH), content)


def input_names(model: Any) -> list[str]:
    """The names of a live model's inputs; empty for a path and for a model without named inputs."""
    return (
        [] if isinstance(model, PATHS) else [tensor.name for tensor in getattr(model, "inputs", None) or ()]
    )


def data_path(x: Any, y: Any, folder: Path, name: str, inputs: Sequence[str] = ()) -> Path:
    """The file of the rows: the given path, or arrays saved in `folder` as .npz.

    x: a path; an array (rows, …); several as a mapping by input name, or as a list in the order of `inputs`. y: the
    labels, one row each, or None. Raises DataRefused.
    """
    if isinstance(x, PATHS):
        if y is not None:
            raise DataRefused(
                f"y was given beside the file {x}: the labels are in the file. Name their column with label=…"
            )
        return Path(x).expanduser()
    arrays = _named_arrays(x, inputs)
    if y is not None:
        if "y" in arrays:
            raise DataRefused(
                "an input is named 'y', as the labels are. Write the data into a file, and name it"
            )
        arrays["y"] = _array(y, "y")
    counts = {key: len(value) for key, value in arrays.items()}
    if len(set(counts.values())) != 1:
        found = ", ".join(f"{key} has {count:,}" for key, count in counts.items())
        raise DataRefused(f"all arrays must have the same number of rows, but {found}")
    path = folder / f"{name}.npz"
    np.savez(path, allow_pickle=False, **arrays)
    return path


def _named_arrays(x: Any, inputs: Sequence[str]) -> dict[str, np.ndarray]:
    if isinstance(x, Mapping):
        return {str(key): _array(value, str(key)) for key, value in x.items()}
    is_several = isinstance(x, (list, tuple)) and len(inputs) > 1
    if not is_several:
        return {"x": _array(x, "x")}
    if len(x) != len(inputs):
        raise DataRefused(
            f"the model has {len(inputs)} inputs ({', '.join(inputs)}), but x has {len(x)} arrays"
        )
    return {name: _array(value, name) for name, value in zip(inputs, x, strict=True)}


def _array(value: Any, name: str) -> np.ndarray:
    """The values with one row per sample; float64 as float32, as models compute."""
    if value is None:
        raise DataRefused(
            f"{name} is missing: give an array with one row per sample, or the path of a data file"
        )
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise DataRefused(
            f"{name} is no array: {error}. Give one row per sample, all of one shape"
        ) from error
    if array.dtype.kind == "O" and all(isinstance(item, str) for item in array.reshape(-1)):
        array = array.astype(str)
    if array.dtype.kind not in "biufU":
        raise DataRefused(
            f"{name} must hold numbers{' or texts' if name == 'y' else ''}; received values of type {array.dtype}"
        )
    if array.ndim == 0:
        raise DataRefused(f"{name} must have one row per sample; received the single value {array!r}")
    return array.astype(np.float32) if array.dtype == np.float64 else array
