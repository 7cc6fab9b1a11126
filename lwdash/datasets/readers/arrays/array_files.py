"""Arrays of a .npy or .npz file, mapped from disk. Nothing is unpickled, and no array is in memory as a whole."""

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from lwdash.datasets.readers.archives.sample_archive import visible_members
from lwdash.datasets.readers.arrays.array_roles import PART_WORDS
from lwdash.datasets.spilled_arrays import empty_rows
from lwdash.errors import DataRefused

NPY_MAGIC = b"\x93NUMPY"
ZIP_MAGIC = b"PK\x03\x04"
SUFFIX = ".npy"
MAX_MEMBERS = 1000
MAX_UNPACKED_BYTES = 16 << 30
MAX_RATIO, RATIO_FREE_BYTES = 250, 256 << 20
"""A compressed array may be this many times as large as its file; smaller arrays may have any ratio."""
_PIECE_BYTES = 4 << 20
_MAX_HEADER_CHARACTERS = 10_000
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, struct.error)
"""NotImplementedError: a compression that zipfile does not know; RuntimeError: an encrypted member."""
_BAD_HEADER = (
    ValueError,
    SyntaxError,
    TypeError,
    KeyError,
    OverflowError,
    RecursionError,
    tokenize.TokenError,
)


@dataclass(frozen=True)
class StoredArray:
    """One array of a file: its header, and how it is opened. `dtype.hasobject`: it is pickled, and never opened.

    member: its name in an archive, where that is longer than `name`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    open: Callable[[], np.ndarray]
    member: str = ""

    @property
    def is_pickled(self) -> bool:
        return self.dtype.hasobject


def is_array_file(head: bytes, path: Path) -> bool:
    """True for .npy files, and for zip archives most of whose members are .npy files."""
    if head.startswith(NPY_MAGIC):
        return True
    if not head.startswith(ZIP_MAGIC):
        return False
    try:
        names = [info.filename for info in visible_members(path)]
    except (*_DAMAGE, ValueError):
        return False
    found = sum(name.endswith(SUFFIX) for name in names)
    return 2 * found >= len(names) > 0


def stored_arrays(path: Path) -> list[StoredArray]:
    """The arrays of the file, in file order; their headers only are read. A .npy file has one, named "data".

    Raises DataRefused for damaged files, and for archives that unpack to far more than they are.
    """
    with path.open("rb") as file:
        if file.read(len(NPY_MAGIC)) == NPY_MAGIC:
            return [_of_npy(path)]
    try:
        members = [info for info in visible_members(path) if info.filename.endswith(SUFFIX)]
        _refuse_bombs(members, path)
        outer = _common_folder([info.filename for info in members])
        with zipfile.ZipFile(path) as archive:
            return [_of_member(path, archive, info, outer) for info in members]
    except (*_DAMAGE, ValueError) as error:
        raise _damaged(path, error) from None


def _of_npy(path: Path) -> StoredArray:
    try:
        with path.open("rb") as file:
            shape, fortran, dtype = _header(file, path.name)
            start, size = file.tell(), path.stat().st_size
    except (*_DAMAGE, ValueError) as error:
        raise _damaged(path, error) from None
    _check_size(path, path.name, shape, dtype, size - start)
    return StoredArray("data", shape, dtype, lambda: _mapped(path, start, shape, dtype, fortran))


def _common_folder(names: Sequence[str]) -> str:
    """The folder around all members, with its slash; empty where there is none, or where it names a part."""
    first = {name.partition("/")[0] if "/" in name else "" for name in names}
    folder = first.pop() if len(first) == 1 else ""
    return f"{folder}/" if folder and folder.lower() not in PART_WORDS else ""


def _of_member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, outer: str = "") -> StoredArray:
    name = info.filename.removesuffix(SUFFIX).removeprefix(outer)
    with archive.open(info) as file:
        shape, fortran, dtype = _header(file, f"{path.name}, array '{name}'")
        header_bytes = file.tell()
    _check_size(path, f"{path.name}, array '{name}'", shape, dtype, info.file_size - header_bytes)

    def open_array() -> np.ndarray:
        if info.compress_type == zipfile.ZIP_STORED:
            return _mapped(path, _data_offset(path, info) + header_bytes, shape, dtype, fortran)
        return _unpacked(path, info, header_bytes, shape, dtype, fortran)

    return StoredArray(name, shape, dtype, open_array, outer + name)


def _header(file: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether the first axis changes fastest, and type."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise DataRefused(
            f"{name} is of .npy format {version}, which is unknown. Save it with numpy.save again."
        )
    # Version 3 differs from 2 in the encoding of field names only.
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, fortran, dtype = read(file, max_header_size=_MAX_HEADER_CHARACTERS)
    except _BAD_HEADER as error:
        raise DataRefused(
            f"{name} has a damaged header ({str(error)[:100]}). Save it with numpy.save again."
        ) from None
    if any(length < 0 for length in shape):
        raise DataRefused(f"{name} states the shape {shape}. Save it with numpy.save again.")
    return shape, fortran, dtype


def _check_size(path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype, held: int) -> None:
    if dtype.hasobject:
        return
    needed = dtype.itemsize
    for length in shape:
        needed *= length
    if needed != held:
        raise DataRefused(
            f"{name} is damaged or incomplete: its header states {shape} of {dtype}, {needed:,} bytes, but {held:,} bytes "
            "follow. Save or upload it again."
        )


def _refuse_bombs(members: list[zipfile.ZipInfo], path: Path) -> None:
    if len(members) > MAX_MEMBERS:
        raise DataRefused(
            f"{path.name} holds {len(members):,} arrays; at most {MAX_MEMBERS:,} are read. Put the samples into one array."
        )
    names = [info.filename for info in members]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataRefused(f"{path.name} holds '{twice}' twice. Save it with numpy.savez again.")
    total = sum(info.file_size for info in members)
    if total > MAX_UNPACKED_BYTES:
        raise DataRefused(
            f"{path.name} unpacks to {total / 2**30:,.1f} GB; at most {MAX_UNPACKED_BYTES >> 30} GB are read. Give "
            "fewer rows, or a smaller type."
        )
    for info in members:
        if info.file_size > RATIO_FREE_BYTES and info.file_size > MAX_RATIO * max(1, info.compress_size):
            raise DataRefused(
                f"{path.name}, array '{info.filename.removesuffix('.npy')}' unpacks from {info.compress_size:,} to "
                f"{info.file_size:,} bytes, more than samples do. If they are samples, save them without compression "
                "(numpy.savez)."
            )


def _data_offset(path: Path, info: zipfile.ZipInfo) -> int:
    """The place of a stored member's first byte in the archive."""
    with path.open("rb") as file:
        file.seek(info.header_offset + 26)
        name_bytes, extra_bytes = struct.unpack("<HH", file.read(4))
    return info.header_offset + 30 + int(name_bytes) + int(extra_bytes)


def _mapped(path: Path, start: int, shape: tuple[int, ...], dtype: np.dtype, fortran: bool) -> np.ndarray:
    if 0 in shape:
        return np.empty(shape, dtype)
    try:
        return np.memmap(path, dtype, "r", start, shape, "F" if fortran else "C")
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from None


def _unpacked(
    path: Path, info: zipfile.ZipInfo, start: int, shape: tuple[int, ...], dtype: np.dtype, fortran: bool
) -> np.ndarray:
    """The array of a compressed member, in memory if it is small, otherwise mapped from an unnamed file."""
    size = info.file_size - start
    target = empty_rows((max(1, size),), np.dtype(np.uint8))
    try:
        with zipfile.ZipFile(path) as archive, archive.open(info) as file:
            file.read(start)
            done = 0
            while piece := file.read(_PIECE_BYTES):
                target[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
                done += len(piece)
    except (*_DAMAGE, ValueError) as error:
        raise _damaged(path, error) from None
    if done != size:
        raise _damaged(path, ValueError(f"'{info.filename}' ends early"))
    return target[:size].view(dtype).reshape(shape, order="F" if fortran else "C")


def _damaged(path: Path, error: Exception) -> DataRefused:
    return DataRefused(
        f"{path.name} is a damaged or incomplete NumPy file ({str(error)[:200]}). Save or upload it again."
    )
