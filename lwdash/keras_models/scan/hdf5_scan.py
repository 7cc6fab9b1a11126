"""The scan of an HDF5 file: it must not point to other files, or declare more than it holds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import numpy as np

from lwdash.errors import ModelRefused

MAX_OBJECTS = 100_000
MAX_PATH_CHARACTERS = 4096
MAX_DEPTH = 100
MAX_TEXT_BYTES = 32 << 20
PIECE_VALUES = 1 << 20
MAX_DECLARED_BYTES = 4 << 30
SMALL_BYTES = 64 << 20
MAX_RATIO = 200
SMALL_ELEMENTS = 4096
MAX_READ_DATASETS = 400
NUMERIC_KINDS = frozenset("fiub")
BUILT_IN_FILTERS = frozenset({1, 2, 3, 4, 5, 6, 32000})
"""deflate, shuffle, fletcher32, szip, nbit, scale-offset, and h5py's own LZF."""


def dataset_sizes(group: h5py.Group) -> dict[str, int]:
    """Number of elements of every dataset below `group`, by its path. It checks the whole file at the same
    time.

    Raises ModelRefused for external, soft or cyclic links, external or virtual storage, types that are not
    numbers, declared sizes beyond MAX_DECLARED_BYTES or far beyond the stored size. Reads no data.
    """
    sizes: dict[str, int] = {}
    seen: set[int] = set()
    declared = 0
    stack: list[tuple[str, h5py.Group]] = [("", group)]
    while stack:
        prefix, current = stack.pop()
        for key in current:
            path = f"{prefix}{key}".replace("\\", "/")
            if len(path) > MAX_PATH_CHARACTERS or path.count("/") > MAX_DEPTH:
                raise ModelRefused(f"the HDF5 file nests '{path[:100]}…' deeper than Keras does")
            member = _member(current, key, path)
            address = h5py.h5o.get_info(member.id).addr
            if address in seen:
                raise ModelRefused(
                    f"the HDF5 file links '{path}' to an object that it already holds elsewhere (a loop)"
                )
            seen.add(address)
            if len(seen) > MAX_OBJECTS:
                raise ModelRefused(f"the HDF5 file has more than {MAX_OBJECTS} objects")
            if isinstance(member, h5py.Group):
                stack.append((path + "/", member))
            elif isinstance(member, h5py.Dataset):
                declared += _declared_bytes(member, path)
                if declared > MAX_DECLARED_BYTES:
                    raise ModelRefused(
                        f"the HDF5 file declares more than {MAX_DECLARED_BYTES >> 30} GiB of weights "
                        f"(at '{path}')"
                    )
                sizes[path] = int(member.size or 0)
            else:
                raise ModelRefused(f"'{path}' in the HDF5 file is a named type, which no Keras file has")
    return sizes


def small_values(
    file: h5py.Group, sizes: Mapping[str, int], wanted: re.Pattern[str]
) -> dict[str, list[float]]:
    """The numbers in small datasets whose path `wanted` matches, at most MAX_READ_DATASETS of them.

    Call after `dataset_sizes`. Only uncompressed data is read: Keras does not compress weights.
    """
    names = [path for path, size in sizes.items() if 0 < size <= SMALL_ELEMENTS and wanted.search(path)]
    found = {}
    for path in names[:MAX_READ_DATASETS]:
        dataset = file[path]
        if dataset.chunks is None and dataset.dtype.kind == "f":
            found[path] = [float(value) for value in dataset[()].reshape(-1)]
    return found


def check_finite(file: h5py.Group, sizes: Mapping[str, int]) -> None:
    """Raises ModelRefused for weights of the model that are NaN or infinite; call after `dataset_sizes`.

    Reads all weights once, about a million values at a time. Optimizer variables are skipped.
    """
    for path, size in sizes.items():
        if size == 0 or path.startswith(("optimizer/", "optimizer_weights/")):
            continue
        dataset = file[path]
        bad = sum(_count_not_finite(piece) for piece in _pieces(dataset))
        if bad:
            raise ModelRefused(
                f"{bad:,} of the {size:,} weights in '{path}' are not finite (NaN or infinity), so every "
                "output of the model would be NaN. The training diverged: give a model saved before "
                "that, or train it again with a smaller learning rate"
            )


def _pieces(dataset: h5py.Dataset) -> Iterator[np.ndarray]:
    """The values of a dataset along its first axis, in pieces of about PIECE_VALUES."""
    if dataset.ndim == 0:
        yield dataset[()]
        return
    width = max(1, int(dataset.size) // int(dataset.shape[0]))
    rows = max(1, PIECE_VALUES // width)
    if dataset.chunks:  # whole chunks, so that none is decompressed twice
        rows = max(1, rows // dataset.chunks[0]) * dataset.chunks[0]
    for start in range(0, int(dataset.shape[0]), rows):
        yield dataset[start : start + rows]


def _count_not_finite(values: np.ndarray) -> int:
    values = np.asarray(values)
    if values.dtype.kind == "V":  # bfloat16 as two opaque bytes: NaN and infinity have all exponent bits set
        return int(np.count_nonzero((values.view(np.uint16) & 0x7F80) == 0x7F80))
    return int(values.size - np.count_nonzero(np.isfinite(values))) if values.dtype.kind == "f" else 0


def text_attribute(group: h5py.Group, name: str) -> str | None:
    """The text in an attribute, None where there is none. Raises ModelRefused for anything but one text."""
    if name not in group.attrs:
        return None
    attribute = group.attrs.get_id(name)
    if attribute.shape not in ((), (1,)) or attribute.dtype.kind not in "SO":
        raise ModelRefused(f"the HDF5 file's {name} is not a text but an array of {attribute.shape}")
    if attribute.get_storage_size() > MAX_TEXT_BYTES:
        raise ModelRefused(
            f"the HDF5 file's {name} has {attribute.get_storage_size():,} bytes; the limit is {MAX_TEXT_BYTES:,}"
        )
    value = group.attrs[name]
    value = value[0] if isinstance(value, np.ndarray) and value.shape == (1,) else value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if not isinstance(value, str):
        raise ModelRefused(f"the HDF5 file's {name} is not a text but a {type(value).__name__}")
    return value


def _member(group: h5py.Group, key: str, path: str) -> Any:
    link = group.get(key, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        raise ModelRefused(f"'{path}' in the HDF5 file is an external link, to the file '{link.filename}'")
    if isinstance(link, h5py.SoftLink):
        raise ModelRefused(f"'{path}' in the HDF5 file is a soft link, to '{link.path}'")
    if not isinstance(link, h5py.HardLink):
        raise ModelRefused(f"'{path}' in the HDF5 file is a user-defined link")
    return group[key]


def _declared_bytes(dataset: h5py.Dataset, path: str) -> int:
    if dataset.external:
        raise ModelRefused(f"the weights '{path}' are stored in another file ('{dataset.external[0][0]}')")
    if dataset.is_virtual:
        raise ModelRefused(f"the weights '{path}' are a virtual dataset, made from other files")
    kind = dataset.dtype.kind
    # Keras writes bfloat16 as two opaque bytes and notes it in an attribute.
    is_bfloat16 = kind == "V" and dataset.dtype.itemsize == 2 and dataset.dtype.fields is None
    if kind not in NUMERIC_KINDS and not is_bfloat16:
        raise ModelRefused(f"the weights '{path}' are not numbers but '{dataset.dtype}'")
    created = dataset.id.get_create_plist()
    foreign = {created.get_filter(i)[0] for i in range(created.get_nfilters())} - BUILT_IN_FILTERS
    if foreign:  # reading would search for a plug-in (a shared object) and load it
        raise ModelRefused(
            f"the weights '{path}' are compressed by the filter {min(foreign)}, which is not part of HDF5"
        )
    declared = int(dataset.size or 0) * dataset.dtype.itemsize
    stored = dataset.id.get_storage_size()
    if declared > SMALL_BYTES and declared > MAX_RATIO * max(stored, 1):
        raise ModelRefused(
            f"the weights '{path}' declare {declared:,} bytes, but the file stores only {stored:,} for them"
        )
    return declared
