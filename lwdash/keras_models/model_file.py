"""Reads a model file without Keras: its format and version, its config, and the sizes of its weights."""

from __future__ import annotations

import io
import json
import re
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import h5py

from lwdash.errors import ModelRefused
from lwdash.keras_models.scan.hdf5_heaps import check_heaps
from lwdash.keras_models.scan.hdf5_scan import check_finite, dataset_sizes, small_values, text_attribute
from lwdash.keras_models.scan.other_files import HEAD_BYTES, strange_file, strange_folder, strange_zip
from lwdash.keras_models.scan.zip_scan import LOCAL_HEADER_BYTES, check_contents, check_members, open_zip

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
ZIP_MAGIC = b"PK\x03\x04"
MAX_JSON_BYTES = 32 << 20
MAX_JSON_VALUES = 1_000_000
"""Maximum number of values in a config. The largest networks of keras.applications have 30,000; each takes a
microsecond or more to check.
"""
VERSION = re.compile(r"[0-9]{1,4}(\.[A-Za-z0-9+_-]{1,20}){0,5}", re.ASCII)
KERAS_MEMBERS = frozenset({"metadata.json", "config.json", "model.weights.h5"})
ASSETS = "assets/"
JSON_MARKS = (b",", b"[", b"{")
"""The number of values is at most the number of these characters plus one."""
NORMALIZATION = re.compile(r"(^|/)(batch_)?normalization(_\d+)?/vars/\d+$")
NORMALIZATION_LEAF = re.compile(r"/(moving_)?(mean|variance)(:0)?$")
"""The statistics of a normalization, in a `.weights.h5` and in a legacy `.h5`."""


@dataclass(frozen=True)
class ModelFile:
    """The raw contents of a `.keras` or `.h5`.

    sizes: number of elements by dataset path. values: values stored by normalizations, by dataset path.
    """

    format: str
    keras_version: str
    config: dict[str, Any]
    compile_config: dict[str, Any] | None
    sizes: dict[str, int]
    values: dict[str, list[float]] = field(default_factory=dict)


def detect_format(path: Path) -> str:
    """ "keras", "h5" or "savedmodel" from the first bytes and, for a zip, the names in it; never from the
    suffix.

    Raises ModelRefused for any other file and names its probable type.
    """
    if path.is_dir():
        raise ModelRefused(strange_folder(path))
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as fault:
        raise ModelRefused(f"the model file cannot be read: {fault.strerror}") from fault
    if head.startswith(HDF5_MAGIC):
        if zipfile.is_zipfile(path):
            raise ModelRefused("the file is both an HDF5 file and a zip; a model is only one of them")
        return "h5"
    if head.startswith(ZIP_MAGIC):
        with open_zip(path) as archive:
            names = {member.filename for member in check_members(archive)}
        if {"metadata.json", "config.json"} <= names:
            return "keras"
        if any(name.split("/")[-1] == "saved_model.pb" for name in names):
            return "savedmodel"
        raise ModelRefused(strange_zip(names))
    raise ModelRefused(strange_file(head, path))


def read_model_file(path: Path, format: str) -> ModelFile:
    """The contents of a file that `detect_format` identified as "keras" or "h5", after a scan of its container."""
    return _read_keras(path) if format == "keras" else _read_h5(path)


def _read_keras(path: Path) -> ModelFile:
    with open_zip(path) as archive:
        for name in archive.namelist():
            if name not in KERAS_MEMBERS and not name.startswith(ASSETS):
                raise ModelRefused(_strange_member(name))
        if "model.weights.h5" not in archive.namelist():
            raise ModelRefused(
                "the .keras file has no model.weights.h5: save it again with model.save('model.keras')"
            )
        check_contents(archive)
        metadata = read_json(_read(archive, "metadata.json"), "metadata.json")
        config = read_json(_read(archive, "config.json"), "config.json")
        with _member_file(path, archive, "model.weights.h5") as file, _open_hdf5(file) as hdf5:
            sizes = dataset_sizes(hdf5)
            values = small_values(hdf5, sizes, NORMALIZATION)
            check_finite(hdf5, sizes)
    compile_config = config.get("compile_config")
    return ModelFile(
        format="keras",
        keras_version=version_of(metadata.get("keras_version")),
        config=config,
        compile_config=compile_config if isinstance(compile_config, dict) else None,
        sizes=sizes,
        values=values,
    )


def _read_h5(path: Path) -> ModelFile:
    with _open_hdf5(path) as file:
        sizes = dataset_sizes(file)
        values = small_values(file, sizes, NORMALIZATION_LEAF)
        config_text = text_attribute(file, "model_config")
        if config_text is None:
            raise ModelRefused(
                "the .h5 file holds weights only, no model. Save the whole model, with model.save(…) "
                "instead of model.save_weights(…)"
            )
        check_finite(file, sizes)
        version = text_attribute(file, "keras_version")
        if version is None and "model_weights" in file:
            version = text_attribute(file["model_weights"], "keras_version")
        config = read_json(config_text, "model_config")
        training = text_attribute(file, "training_config")
        compile_config = read_json(training, "training_config") if training is not None else None
    return ModelFile(
        format="h5",
        keras_version=version_of(version),
        config=config,
        compile_config=compile_config,
        sizes=sizes,
        values=values,
    )


def version_of(value: Any) -> str:
    """A version "major.minor…". Files of Keras 1 do not state it."""
    if value is None:
        return "1"
    if not isinstance(value, str) or not VERSION.fullmatch(value):
        raise ModelRefused(f"the file's keras_version is {repr(value)[:60]}, not a version")
    return value


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    size = archive.getinfo(name).file_size
    if size > MAX_JSON_BYTES:
        raise ModelRefused(f"'{name}' in the zip has {size:,} bytes; the limit is {MAX_JSON_BYTES:,}")
    return archive.read(name)


def read_json(text: str | bytes, what: str) -> dict[str, Any]:
    """The JSON object in `text`, of bounded size; `what` is its name in error messages."""
    if len(text) > MAX_JSON_BYTES:
        raise ModelRefused(f"the file's {what} has {len(text):,} bytes; the limit is {MAX_JSON_BYTES:,}")
    raw = text.encode("utf-8", "replace") if isinstance(text, str) else text
    values = sum(raw.count(mark) for mark in JSON_MARKS)
    if values > MAX_JSON_VALUES:
        raise ModelRefused(
            f"the file's {what} holds about {values:,} values; the limit is {MAX_JSON_VALUES:,}. Numbers "
            "belong to the weights: save the model again without constants and vocabularies in its config"
        )
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise ModelRefused(f"the file's {what} is not JSON: {fault}") from fault
    if not isinstance(value, dict):
        raise ModelRefused(f"the file's {what} is a {type(value).__name__}, not a JSON object")
    return value


@contextmanager
def _open_hdf5(source: Path | BinaryIO) -> Iterator[h5py.File]:
    try:
        with source.open("rb") if isinstance(source, Path) else nullcontext(source) as raw:
            check_heaps(raw)
        with h5py.File(source, "r") as file:
            yield file
    except (
        OSError,
        RuntimeError,
        LookupError,
        ValueError,
        TypeError,
        ArithmeticError,
        NotImplementedError,
    ) as fault:
        raise ModelRefused(
            f"the HDF5 file is damaged or incomplete: {fault}. Upload the file again, or save the model again"
        ) from fault


@contextmanager
def _member_file(path: Path, archive: zipfile.ZipFile, name: str) -> Iterator[BinaryIO]:
    """A seekable file over a member. A stored member is read in place: a ZipExtFile re-reads from its start to seek."""
    member = archive.getinfo(name)
    if member.compress_type == zipfile.ZIP_STORED:
        with path.open("rb") as whole:
            whole.seek(member.header_offset)
            header = whole.read(LOCAL_HEADER_BYTES)
            start = member.header_offset + LOCAL_HEADER_BYTES
            start += int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
            yield cast(BinaryIO, _Window(whole, start, member.file_size))
    else:
        with tempfile.TemporaryFile() as unpacked, archive.open(name) as compressed:
            while piece := compressed.read(1 << 20):
                unpacked.write(piece)
            yield cast(BinaryIO, unpacked)


class _Window(io.RawIOBase):
    """The bytes `start … start + size` of an open file, as a file."""

    def __init__(self, file: BinaryIO, start: int, size: int):
        self._file, self._start, self._size, self._position = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        count = min(len(buffer), max(0, self._size - self._position))
        self._file.seek(self._start + self._position)
        data = self._file.read(count)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def _strange_member(name: str) -> str:
    if name.endswith((".pkl", ".pickle")):
        return f"the .keras file holds a pickle ('{name}'), which can run code"
    if name.endswith((".npz", ".json", ".weights.h5")):
        return f"the .keras file keeps its weights in '{name}'; save it again with model.save('model.keras')"
    return f"the .keras file holds '{name}', which Keras does not write"
