"""Applies pre-processing steps to rows: first the steps on single rows, then the steps that need the train rows."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from lwdash.datasets.preprocessing.language import (
    Axes,
    Cast,
    Channel,
    Columns,
    Divide,
    Reshape,
    Resize,
    Scale,
    Step,
)
from lwdash.datasets.preprocessing.resize import resize_last, resize_plane
from lwdash.datasets.preprocessing.sample_steps import ImageFile, Normalize, SoundFile
from lwdash.datasets.spilled_arrays import release_pages
from lwdash.errors import DataRefused

CHUNK_BYTES = 16 << 20
Statistics = list[tuple[np.ndarray, np.ndarray]]


def split_steps(steps: Sequence[Step]) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """The steps that work on a single row, and the rest from the first step that needs statistics of the train part."""
    for position, step in enumerate(steps):
        if isinstance(step, Scale) and step.needs_train:
            return tuple(steps[:position]), tuple(steps[position:])
    return tuple(steps), ()


def apply_step(
    step: Step, values: np.ndarray, statistic: tuple[np.ndarray, np.ndarray] | None = None
) -> np.ndarray:
    """values float64 (rows, …) → float64 (rows, …). statistic: (offset, width) for a scale with statistics of
    the train part.
    """
    shape = values.shape[1:]
    if isinstance(step, Columns | Cast | ImageFile | SoundFile):
        return values
    if isinstance(step, Normalize):
        return _normalized(step, values)
    if isinstance(step, Divide):
        return values / step.by
    if isinstance(step, Reshape):
        if math.prod(step.shape) != math.prod(shape):
            raise DataRefused(
                f"pre-processing: {step} needs {math.prod(step.shape)} values per row, but there are "
                f"{math.prod(shape)} {_shape(shape)}. Change the shape, or add a resize or columns step "
                "before it."
            )
        if step.order == "rows":
            return values.reshape(len(values), *step.shape)
        axes = (0, *range(len(step.shape), 0, -1))
        return values.reshape(len(values), *step.shape[::-1]).transpose(axes)
    if isinstance(step, Axes):
        if len(step.order) != len(shape):
            raise DataRefused(
                f"pre-processing: {step} names {len(step.order)} axes, but a row has {len(shape)} here: "
                f"{_shape(shape)}."
            )
        return values.transpose(0, *(axis + 1 for axis in step.order))
    if isinstance(step, Channel):
        return values[..., None] if step.place == "last" else values[:, None]
    if isinstance(step, Resize):
        return _resize(step, values)
    return _scale(step, values, statistic)


def _normalized(step: Normalize, values: np.ndarray) -> np.ndarray:
    channels = values.shape[-1]
    if len(step.mean) not in (1, channels):
        raise DataRefused(
            f"pre-processing: {step} has {len(step.mean)} means, but a row is {_shape(values.shape[1:])} here, "
            f"with {channels} channels on its last axis. Give one mean and one deviation, or one per channel."
        )
    return (values - np.array(step.mean)) / np.array(step.std)


def _resize(step: Resize, values: np.ndarray) -> np.ndarray:
    shape = values.shape[1:]
    if len(step.size) == 1:
        if len(shape) != 1:
            raise DataRefused(
                f"pre-processing: {step} works along a row of numbers, but a row is {_shape(shape)} here. "
                "Put it before reshape and channel, or give two lengths, e.g. resize(32x32)."
            )
        return resize_last(values, step.size[0], step.method)
    if len(shape) not in (2, 3):
        raise DataRefused(
            f"pre-processing: {step} needs rows with a height and a width, but a row is {_shape(shape)} "
            "here. Put a reshape before it, e.g. reshape(28x28) + resize(32x32)."
        )
    return resize_plane(values, step.size[0], step.size[1], step.method)


def _scale(step: Scale, values: np.ndarray, statistic: tuple[np.ndarray, np.ndarray] | None) -> np.ndarray:
    if step.method == "range":
        offset: np.ndarray | float = step.source_low
        width: np.ndarray | float = step.source_high - step.source_low
    elif step.per == "row":
        axes = tuple(range(1, values.ndim))
        if step.method == "minmax":
            offset = values.min(axis=axes, keepdims=True)
            width = values.max(axis=axes, keepdims=True) - offset
        else:
            offset, width = values.mean(axis=axes, keepdims=True), values.std(axis=axes, keepdims=True)
        width = np.where(width == 0, 1.0, width)
    else:
        assert statistic is not None, (
            "statistics of the train part are computed before a column scale is applied"
        )
        offset, width = statistic
    result = (values - offset) / width
    if step.method == "zscore" or (step.low, step.high) == (0, 1):
        return result
    return result * (step.high - step.low) + step.low


def apply_steps(
    steps: Sequence[Step], values: np.ndarray, statistics: Statistics | None = None
) -> np.ndarray:
    """All `steps` on float64 values (rows, …). statistics: one pair for each step that needs the train part,
    in order."""
    pairs = iter(statistics or ())
    for step in steps:
        statistic = next(pairs) if isinstance(step, Scale) and step.needs_train else None
        values = apply_step(step, values, statistic)
    return values


def output_shape(steps: Sequence[Step], row: Sequence[int]) -> tuple[int, ...]:
    """Shape of a row of shape `row` after `steps`; raises DataRefused where a step does not match its input shape."""
    values = np.zeros((1, *row))
    for step in steps:
        if isinstance(step, Scale):
            continue
        values = apply_step(step, values)
    return values.shape[1:]


def learn_statistics(steps: Sequence[Step], rows: np.ndarray, train: np.ndarray) -> Statistics:
    """Offset and width for each step of `steps` that needs the train part, from rows[train] alone.

    per=column: arrays of the shape of a row; per=all: arrays of shape (). The deviation is the population's
    (ddof 0). A width of 0 (constant column) is stored as 1. A z-score takes two passes over the rows, for
    precision.
    """
    learnt: Statistics = []
    for position, step in enumerate(steps):
        if not (isinstance(step, Scale) and step.needs_train):
            continue
        before, axis = steps[:position], 0 if step.per == "column" else None
        if step.method == "minmax":
            ends = [(c.min(axis=axis), c.max(axis=axis)) for c in _chunks(before, rows, train, learnt)]
            offset = np.minimum.reduce([low for low, _ in ends])
            width = np.maximum.reduce([high for _, high in ends]) - offset
        else:
            sums = [
                (c.sum(axis=axis), len(c) if axis == 0 else c.size)
                for c in _chunks(before, rows, train, learnt)
            ]
            count = sum(n for _, n in sums)
            offset = np.sum([total for total, _ in sums], axis=0) / count
            squares = [((c - offset) ** 2).sum(axis=axis) for c in _chunks(before, rows, train, learnt)]
            width = np.sqrt(np.sum(squares, axis=0) / count)
        learnt.append((np.asarray(offset), np.where(width == 0, 1.0, width)))
    return learnt


def _chunks(
    steps: Sequence[Step], rows: np.ndarray, picked: np.ndarray, learnt: Statistics
) -> Iterator[np.ndarray]:
    """rows[picked] after `steps`, float64, a chunk at a time."""
    size = chunk_rows(rows)
    for start in range(0, len(picked), size):
        yield apply_steps(steps, rows[picked[start : start + size]].astype(np.float64), learnt)
        release_pages(rows)


def chunk_rows(rows: np.ndarray) -> int:
    """Number of rows in a chunk of about 16 MB in float64."""
    return max(1, CHUNK_BYTES // max(1, math.prod(rows.shape[1:]) * 8))


def _shape(shape: Sequence[int]) -> str:
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"
