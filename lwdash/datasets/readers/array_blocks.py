"""Parts that readers share: blocks made by several threads, plain number types, values that are missing."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from lwdash.datasets.readers.csv_problems import INFINITE, MISSING, Problem
from lwdash.datasets.readers.table import Block

T = TypeVar("T")
MAX_THREADS = 4
_SHOWN = 5


def cores() -> int:
    """Number of cores that this process may use, at most 4: each thread holds a block."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(MAX_THREADS, found))


def blocks_in_threads(makers: Iterator[Callable[[], Block]], then: Callable[[Block], T]) -> Iterator[T]:
    """`then(make())` for each of `makers`, in order; as many at once as there are cores."""
    waiting: deque[Future[T]] = deque()
    workers = cores()
    with ThreadPoolExecutor(workers, "reader") as pool:
        try:
            for make in makers:
                waiting.append(pool.submit(lambda make=make: then(make())))  # type: ignore[misc]
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def plain_numbers(values: np.ndarray) -> np.ndarray:
    """Numbers in this machine's byte order; booleans as 0 and 1, long doubles as float64."""
    if values.dtype.kind == "b":
        return values.astype(np.uint8)
    if values.dtype.kind == "f" and values.dtype.itemsize > 8:
        return values.astype(np.float64)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def array_problems(block: Block, index: int, name: str) -> None:
    """Add the missing and infinite values of a column to the block's problems, with row and place."""
    values = block.arrays[index] if index in block.arrays else block.numbers[:, index]
    if values.dtype.kind != "f":
        return
    with np.errstate(all="ignore"):
        if np.isfinite(values.sum(dtype=np.float64)):
            return
        bad = ~np.isfinite(values)
    if not bad.any():
        return
    for kind, cells in ((MISSING, np.isnan(values)), (INFINITE, np.isinf(values))):
        found = np.argwhere(cells)
        for place in found[:_SHOWN].tolist():
            inside = f"{name}[{', '.join(map(str, place[1:]))}]" if place[1:] else name
            value = "NaN" if kind == MISSING else str(values[tuple(place)])
            block.problems.add(Problem(kind, int(block.lines[place[0]]), inside, value))
        if len(found) > _SHOWN:
            block.problems.counts[kind] += len(found) - _SHOWN
    width = block.numbers.shape[1]
    counts = np.zeros(width, np.int64)
    counts[index] = np.count_nonzero(bad.reshape(len(values), -1).any(axis=1))
    block.bad = counts if block.bad is None else block.bad + counts
