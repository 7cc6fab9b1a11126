"""The scan of a zip file (.keras, zipped SavedModel) before anything is unpacked from it."""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from lwdash.errors import ModelRefused

MAX_MEMBERS = 10_000
MAX_EXPANDED_BYTES = 4 << 30
MAX_RATIO = 200
SMALL_BYTES = 1 << 20
LOCAL_HEADER_BYTES = 30
PIECE_BYTES = 1 << 20


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """`path` as a zip. Damage raises ModelRefused, also if it is found later."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        RuntimeError,
        ValueError,
        NotImplementedError,
    ) as fault:
        raise ModelRefused(
            f"the zip is damaged or incomplete: {fault}. Upload the file again, or save the model again"
        ) from fault


def check_contents(archive: zipfile.ZipFile) -> None:
    """Read every member once, a piece at a time, so that the member's checksum reveals any changed byte.

    Call after `check_members`, which bounds the amount to read. Raises zipfile.BadZipFile or zlib.error,
    which `open_zip` converts to ModelRefused.
    """
    for member in archive.infolist():
        read = 0
        with archive.open(member) as content:
            while piece := content.read(PIECE_BYTES):
                read += len(piece)
        if read != member.file_size:
            raise ModelRefused(
                f"the zip is damaged or incomplete: '{member.filename}' has {read:,} bytes, but the zip "
                f"states {member.file_size:,}. Upload the file again, or save the model again"
            )


def check_members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The members of `archive`, after the check that none of them is a trap.

    Raises ModelRefused for too many members, expanded sizes or ratios of a bomb, overlapping members,
    duplicate names, paths that leave the folder, links and other special files, encryption, and compression
    other than deflate.
    """
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise ModelRefused(f"the zip holds {len(members):,} files; a model has at most {MAX_MEMBERS:,}")
    expanded = sum(member.file_size for member in members)
    if expanded > MAX_EXPANDED_BYTES:
        raise ModelRefused(f"the zip expands to {expanded:,} bytes; the limit is {MAX_EXPANDED_BYTES:,}")
    seen: set[str] = set()
    for member in members:
        _check_name(member)
        folded = member.filename.rstrip("/").casefold()
        if folded in seen:
            raise ModelRefused(
                f"the zip holds '{member.filename}' twice, so two readers may read two different models"
            )
        seen.add(folded)
        _check_kind(member)
    _check_overlap(members)
    return members


def _check_name(member: zipfile.ZipInfo) -> None:
    name = member.orig_filename
    if not name or "\x00" in name:
        raise ModelRefused(f"the zip has a member without a proper name: {name!r}")
    if name.startswith(("/", "\\")) or (len(name) > 1 and name[1] == ":"):
        raise ModelRefused(f"the zip has a member with an absolute path: '{name}'")
    if "\\" in name:
        raise ModelRefused(f"the zip has a member with a backslash in its name: '{name}'")
    if ".." in PurePosixPath(name).parts:
        raise ModelRefused(f"the zip has a member that leaves its folder: '{name}'")


def _check_kind(member: zipfile.ZipInfo) -> None:
    name, mode = member.filename, member.external_attr >> 16
    if stat.S_ISLNK(mode):
        raise ModelRefused(f"the zip has a symbolic link: '{name}'")
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ModelRefused(f"the zip has a special file: '{name}'")
    if member.flag_bits & 0x1:
        raise ModelRefused(f"'{name}' in the zip is encrypted")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ModelRefused(f"'{name}' in the zip is compressed by a method that Keras does not use")
    if member.compress_type == zipfile.ZIP_STORED and member.compress_size != member.file_size:
        raise ModelRefused(f"'{name}' in the zip is stored, but its two sizes differ")
    if member.file_size > SMALL_BYTES and member.file_size > MAX_RATIO * max(1, member.compress_size):
        times = member.file_size // max(1, member.compress_size)
        raise ModelRefused(f"'{name}' in the zip expands {times:,} times: a zip bomb")


def _check_overlap(members: list[zipfile.ZipInfo]) -> None:
    end = 0
    for member in sorted(members, key=lambda entry: entry.header_offset):
        if member.header_offset < end:
            raise ModelRefused(f"'{member.filename}' in the zip overlaps another member: a zip bomb")
        end = member.header_offset + LOCAL_HEADER_BYTES + member.compress_size
