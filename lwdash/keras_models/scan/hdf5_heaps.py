"""A check of the text heaps in an HDF5 file, before the HDF5 library reads them.

The library walks a heap from object to object by their stated sizes, and loops forever at a size of 0.
Format:
HDF5 file format specification, III.E "Disk Format: Level 1E - Global Heap".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from lwdash.errors import ModelRefused

SIGNATURE = b"GCOL\x01\0\0\0"
HEADER = struct.Struct("<8sQ")
OBJECT = struct.Struct("<HHIQ")
ALIGNMENT = 8
PIECE_BYTES = 4 << 20
MAX_HEAPS = 10_000
LENGTH_SIZES = {0: (13, 14), 1: (13, 14), 2: (9, 10), 3: (9, 10)}
"""Position where the superblock of each version states the bytes of an address and of a length; Keras writes
8 for each.
"""


def check_heaps(file: BinaryIO) -> None:
    """Raises ModelRefused for a heap whose objects do not fill it one after another.

    Reads the file once. Text heaps are found by their signature; the library refuses a heap without one.
    """
    file.seek(0)
    head = file.read(16)
    places = LENGTH_SIZES.get(head[8]) if len(head) == 16 else None
    if places is None or any(head[place] != 8 for place in places):
        raise ModelRefused(
            "the HDF5 file is damaged or incomplete: its header states lengths that Keras does not "
            "write. Upload the file again, or save the model again"
        )
    for number, start in enumerate(_heaps(file)):
        if number >= MAX_HEAPS or not _is_whole(file, start):
            raise ModelRefused(
                f"the HDF5 file is damaged: the texts stored at byte {start:,} are inconsistent. Upload "
                "the file again, or save the model again"
            )


def _heaps(file: BinaryIO) -> Iterator[int]:
    """Positions of heap signatures in the file."""
    position, rest = 0, b""
    while True:
        file.seek(position)
        piece = file.read(PIECE_BYTES)
        if not piece:
            return
        data = rest + piece
        found = data.find(SIGNATURE)
        while found >= 0:
            yield position - len(rest) + found
            found = data.find(SIGNATURE, found + 1)
        rest = data[-(len(SIGNATURE) - 1) :]
        position += len(piece)


def _is_whole(file: BinaryIO, start: int) -> bool:
    file.seek(start)
    header = file.read(HEADER.size)
    if len(header) < HEADER.size:
        return False
    left = HEADER.unpack(header)[1] - HEADER.size
    position = start + HEADER.size
    while left >= OBJECT.size:
        file.seek(position)
        content = file.read(OBJECT.size)
        if len(content) < OBJECT.size:
            return False
        index, _, _, size = OBJECT.unpack(content)
        # Object 0 is the free space, whose size includes its header.
        taken = size if index == 0 else OBJECT.size + (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
        if not OBJECT.size <= taken <= left:
            return False
        position, left = position + taken, left - taken
    return True
