"""Arrays too large for memory: rows go to an unnamed temporary file and are mapped from it."""

import mmap
import tempfile
from typing import IO

import numpy as np

MEMORY_BYTES = 384 << 20


class RowStore:
    """Rows that arrive in blocks (rows, …) of one shape and dtype, and become one array.

    They stay in memory up to 384 MB, divided among the stores that are filled together. Beyond that they are
    written to a file, and `array` is mapped from it.
    """

    def __init__(self, shared_by: int = 1):
        self._blocks: list[np.ndarray] = []
        self._file: IO[bytes] | None = None
        self._memory_bytes, self._bytes, self._rows = MEMORY_BYTES // shared_by, 0, 0

    def add(self, block: np.ndarray) -> None:
        self._rows += len(block)
        self._bytes += block.nbytes
        self._blocks.append(block)
        if self._bytes > self._memory_bytes:
            self._spill()

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="lwdash-rows-")  # noqa: SIM115 (lives as long as the array)
        while self._blocks:
            block = self._blocks.pop(0)
            self._shape, self._dtype = block.shape[1:], block.dtype
            np.ascontiguousarray(block).tofile(self._file)

    def array(self) -> np.ndarray:
        """All rows, (rows, …); the store is empty afterwards."""
        if self._file is not None:
            self._spill()
            self._file.flush()
            return np.memmap(self._file, self._dtype, "r+", 0, (self._rows, *self._shape))
        first = self._blocks[0]
        result = np.empty((self._rows, *first.shape[1:]), first.dtype)
        start = 0
        while self._blocks:
            # Popped one by one, so that blocks are freed while the result fills.
            block = self._blocks.pop(0)
            result[start : start + len(block)] = block
            start += len(block)
        return result


def empty_rows(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An array to be filled, in memory or mapped from a temporary file, as in `RowStore`."""
    size = int(np.prod(shape)) * dtype.itemsize
    if size <= MEMORY_BYTES:
        return np.empty(shape, dtype)
    file = tempfile.TemporaryFile(prefix="lwdash-rows-")  # noqa: SIM115
    file.truncate(size)
    return np.memmap(file, dtype, "r+", 0, shape)


def release_pages(array: np.ndarray) -> None:
    """Remove the pages of a mapped array from this process's memory; they stay in its file. No effect on
    other arrays.

    Without this, a pass over a mapped array counts as memory, row for row, up to the job's limit.
    """
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)
