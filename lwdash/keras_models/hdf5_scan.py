"""The scan of an HDF5 file: nothing in it may point outside, or claim more than it holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import h5py

from lwdash.errors import ModelRefused

MAX_OBJECTS = 200_000
MAX_DECLARED_BYTES = 4 << 30
SMALL_BYTES = 64 << 20
MAX_RATIO = 200
SMALL_ELEMENTS = 4096
MOST_READ = 400
NUMERIC_KINDS = frozenset("fiub")
BUILT_IN_FILTERS = frozenset({1, 2, 3, 4, 5, 6, 32000})
"""deflate, shuffle, fletcher32, szip, nbit, scale-offset, and h5py's own LZF."""


def dataset_sizes(group: h5py.Group) -> dict[str, int]:
    """Number of elements of every dataset below `group`, by its path; checks the whole file on the way.

    Raises ModelRefused for external, soft or cyclic links, external or virtual storage, types that are not
    numbers, declared sizes beyond MAX_DECLARED_BYTES or far beyond what is stored. Reads no data:
    milliseconds for any file size.
    """
    sizes: dict[str, int] = {}
    seen: set[int] = set()
    declared = 0
    stack: list[tuple[str, h5py.Group]] = [("", group)]
    while stack:
        prefix, current = stack.pop()
        for key in current:
            path = f"{prefix}{key}".replace("\\", "/")
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
    """The numbers in small datasets whose path `wanted` finds, at most MOST_READ of them.

    Call after `dataset_sizes`. Only what lies in the file as it is gets read: Keras does not compress weights.
    """
    names = [path for path, size in sizes.items() if 0 < size <= SMALL_ELEMENTS and wanted.search(path)]
    found = {}
    for path in names[:MOST_READ]:
        dataset = file[path]
        if dataset.chunks is None and dataset.dtype.kind == "f":
            found[path] = [float(value) for value in dataset[()].reshape(-1)]
    return found


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
    # Keras writes bfloat16 as two opaque bytes and says so in an attribute.
    is_bfloat16 = kind == "V" and dataset.dtype.itemsize == 2 and dataset.dtype.fields is None
    if kind not in NUMERIC_KINDS and not is_bfloat16:
        raise ModelRefused(f"the weights '{path}' are not numbers but '{dataset.dtype}'")
    created = dataset.id.get_create_plist()
    foreign = {created.get_filter(i)[0] for i in range(created.get_nfilters())} - BUILT_IN_FILTERS
    if foreign:  # reading would look for a plug-in, a shared object, and load it
        raise ModelRefused(
            f"the weights '{path}' are compressed by the filter {min(foreign)}, which is no part of HDF5"
        )
    declared = int(dataset.size or 0) * dataset.dtype.itemsize
    stored = dataset.id.get_storage_size()
    if declared > SMALL_BYTES and declared > MAX_RATIO * max(stored, 1):
        raise ModelRefused(
            f"the weights '{path}' declare {declared:,} bytes, but the file stores {stored:,} for them"
        )
    return declared
