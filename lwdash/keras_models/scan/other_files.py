"""Recognizes files that are not Keras models, by first bytes or members, and states what to give instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from pathlib import Path

HEAD_BYTES = 1024
WANTED = "A .keras, .h5 or zipped SavedModel is needed"
SAVE = "save the whole Keras model, with model.save('model.keras'), and give that file"
ZEROS_READ = 1 << 20

MAGIC: tuple[tuple[bytes, str], ...] = (
    (
        b"version https://git-lfs.github.com/",
        "the file is a Git LFS pointer, not the model: Git has fetched only its address. Run `git lfs "
        "pull` in the repository, and give the resulting file",
    ),
    (
        b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.",
        f"the file is a PyTorch checkpoint. Only Keras models are read: {SAVE}",
    ),
    *(
        (
            b"\x80" + bytes([protocol]),
            f"the file is a Python pickle, which can run code when it is read. If it was made "
            f"from a Keras model, {SAVE}",
        )
        for protocol in range(1, 6)
    ),
    (
        b"ccopy_reg\n",
        f"the file is a Python pickle, which can run code when it is read. If it was made from a Keras "
        f"model, {SAVE}",
    ),
    (b"\x93NUMPY", f"the file is a NumPy array, not a model. {WANTED}"),
    (b"\x1f\x8b", f"the file is gzipped: unpack it first. {WANTED}"),
    (b"BZh", f"the file is compressed by bzip2: unpack it first. {WANTED}"),
    (b"\xfd7zXZ\x00", f"the file is compressed by xz: unpack it first. {WANTED}"),
    (b"\x28\xb5\x2f\xfd", f"the file is compressed by zstd: unpack it first. {WANTED}"),
    (b"7z\xbc\xaf\x27\x1c", f"the file is a 7z archive: unpack it first. {WANTED}"),
    (b"Rar!", f"the file is a RAR archive: unpack it first. {WANTED}"),
    (b"PK\x05\x06", f"the file is an empty zip. {WANTED}"),
    (b"GGUF", "the file is a GGUF model of a large language model, not a Keras model"),
    (b"PAR1", "the file is a Parquet table, not a model: give samples in the next step"),
    (b"ARROW1", "the file is an Arrow table, not a model: give samples in the next step"),
    (b"SQLite format 3", f"the file is an SQLite database, not a model. {WANTED}"),
    (b"%PDF", f"the file is a PDF, not a model. {WANTED}"),
    (b"MATLAB", f"the file is a MATLAB file, not a model. {WANTED}"),
    (b"\x7fELF", f"the file is a program or library (ELF), not a model. {WANTED}"),
    (b"MZ", f"the file is a Windows program or library, not a model. {WANTED}"),
    *(
        (magic, f"the file is a program or library of macOS, not a model. {WANTED}")
        for magic in (b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
    ),
    *(
        (magic, f"the file is an image, not a model. {WANTED}")
        for magic in (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM")
    ),
    *(
        (magic, f"the file is a recording, not a model. {WANTED}")
        for magic in (b"RIFF", b"ID3", b"fLaC", b"OggS")
    ),
)
"""First bytes of a file → message."""

ONNX = f"the file is an ONNX model. Only Keras models are read: {SAVE}"
PARTS: tuple[tuple[Callable[[bytes], bool], str], ...] = (
    (
        lambda head: head[4:8] == b"TFL3",
        "the file is a .tflite, already converted: upload the Keras model that it was made from",
    ),
    (
        lambda head: bool(re.match(rb"\s*(<!doctype html|<html|<head)", head, re.IGNORECASE)),
        "the file is a web page (HTML), not the model: a page that asks for a sign-in or shows the file was saved instead "
        'of it. Download the file itself ("raw", "download"), and give that',
    ),
    (lambda head: head.lstrip()[:5] == b"<?xml", f"the file is XML, not a model. {WANTED}"),
    (lambda head: head[257:262] == b"ustar", f"the file is a tar archive: unpack it first. {WANTED}"),
    (
        lambda head: head[8:10] == b'{"' and int.from_bytes(head[:8], "little") < 1 << 32,
        f"the file is a safetensors file: weights without the network. If there is a Keras model, {SAVE}",
    ),
    (
        lambda head: head[:3] == b"\x08\x01\x12",
        "the file is the graph of a SavedModel (saved_model.pb) without its weights: zip the whole folder that it is in, "
        "and give the zip",
    ),
    (
        lambda head: re.match(rb"\x08[\x03-\x14][\x12\x1a\x3a\x42]", head) is not None,
        ONNX,
    ),
    (
        lambda head: (
            head[:1] == b"\x0a" and any(word in head for word in (b"Placeholder", b"\x05Const", b"\x06NoOp"))
        ),
        f"the file is a frozen TensorFlow graph (.pb), which has no layers any more. Give the model that it was made "
        f"from: {SAVE}",
    ),
    (
        lambda head: head.lstrip()[:1] in (b"{", b"["),
        "the file is JSON: what model.to_json() gives is the structure without the weights. Save the whole model, "
        "with model.save('model.keras')",
    ),
    (
        lambda head: all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head[:16]),
        "the file is text, a CSV perhaps, not a model: give the samples in the next step",
    ),
)
"""Tests of the first bytes, in this order → message."""


def strange_file(head: bytes, path: Path) -> str:
    """Message why the file that begins with `head` (HEAD_BYTES) is not a model."""
    if not head:
        return "the file is empty"
    if not any(head) and not _first_bytes_differ(path):
        return (
            "the file holds zeros only: a download or copy was interrupted, or a disk was full. Fetch or "
            "save the model again"
        )
    for magic, text in MAGIC:
        if head.startswith(magic):
            return text
    for test, text in PARTS:
        if test(head):
            return text
    return f"the file is not a model: it begins with {head[:8]!r}. {WANTED}"


def _first_bytes_differ(path: Path) -> bool:
    with path.open("rb") as file:
        return any(file.read(ZEROS_READ))


def strange_folder(path: Path) -> str:
    """Message why a folder is not a model file."""
    if (path / "saved_model.pb").exists():
        return (
            f"'{path.name}' is the folder of a SavedModel: zip it (`zip -r {path.name}.zip {path.name}`), and give the "
            "zip"
        )
    return f"'{path.name}' is a folder, not a file. {WANTED}"


def strange_zip(names: Collection[str]) -> str:
    """Message why the zip with members of these `names` is not a model."""
    leaves = {name.rsplit("/", 1)[-1].lower() for name in names}
    if any(name.endswith("data.pkl") for name in names):
        return f"the file is a PyTorch checkpoint (a zip with a pickle). Only Keras models are read: {SAVE}"
    if any(name.endswith(".npy") for name in names):
        return "the file is a NumPy archive, not a Keras model"
    if "workbook.xml" in leaves:
        return "the file is an Excel workbook, not a model: save the samples as CSV, and give them in the next step"
    if any(name.endswith(("variables.index", "keras_metadata.pb")) for name in names):
        return "the zip looks like a SavedModel, but it has no saved_model.pb: zip the whole folder again"
    if {"metadata.json", "config.json"} <= leaves:
        return (
            "the zip holds the parts of a .keras file in a folder: a .keras file that was unpacked and zipped again. Give "
            "the .keras file itself"
        )
    for suffix, text in ZIPPED:
        found = next((leaf for leaf in sorted(leaves) if leaf.endswith(suffix)), None)
        if found:
            return text.format(found)
    return "the zip is neither a .keras file (config.json, metadata.json) nor a SavedModel (saved_model.pb)"


ZIPPED: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        (".keras", ".h5", ".hdf5"),
        "the zip contains a model file ('{}'): unpack it and upload the file itself",
    ),
    ((".tflite",), "the zip contains '{}', already converted: upload the Keras model that it was made from"),
    ((".onnx",), f"the zip contains the ONNX model '{{}}'. Only Keras models are read: {SAVE}"),
    (
        (".pt", ".pth", ".safetensors"),
        f"the zip contains '{{}}' of PyTorch. Only Keras models are read: {SAVE}",
    ),
    (
        ("model.json",),
        "the zip contains '{}', a model of TensorFlow.js: upload the Keras model that it was made from",
    ),
)
"""Suffixes of members → message about the first of them."""
