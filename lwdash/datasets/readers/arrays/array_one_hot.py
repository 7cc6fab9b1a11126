"""Arrays of labels with an axis for the classes, one 1 along it: as class numbers."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from lwdash.datasets.data_facts import MAX_CLASSES
from lwdash.datasets.readers.arrays.array_files import StoredArray
from lwdash.datasets.readers.table import BLOCK_VALUES
from lwdash.datasets.spilled_arrays import release_pages


def class_numbers(array: StoredArray) -> StoredArray | None:
    """The array with class numbers in place of its last axis, None if that axis is not one-hot.

    Labels (rows, classes) with at most `MAX_CLASSES` classes stay as they are: the label column finder reads them,
    and they may be yes/no labels.
    """
    if len(array.shape) < 2 or array.shape[-1] < 2 or array.dtype.kind not in "fiub":
        return None
    if len(array.shape) == 2 and array.shape[-1] <= MAX_CLASSES:
        return None
    found: list[np.ndarray] = []
    for values in _blocks(array):
        if not ((values == 0) | (values == 1)).all() or not (values.sum(axis=-1) == 1).all():
            return None
        found.append(values.argmax(axis=-1).astype(np.int32))
    if not found:
        return None
    numbers = np.concatenate(found)
    return replace(array, shape=numbers.shape, dtype=numbers.dtype, open=lambda: numbers)


def _blocks(array: StoredArray) -> Iterator[np.ndarray]:
    values = array.open()
    size = max(1, BLOCK_VALUES // max(1, values[:1].size))
    for start in range(0, len(values), size):
        yield np.array(values[start : start + size])
        release_pages(values)
