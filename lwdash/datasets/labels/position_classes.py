"""Labels with a class for each position of a row: each time step of a sequence, each pixel of an image.

A file holds them as one value per position, first axis slowest: T values of a sequence (T,), H·W of an image
(H, W). The functions take plain arrays, so that every reader of files can use them.
"""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from lwdash.datasets.labels.classes import ClassMapping, canonical, map_classes
from lwdash.datasets.labels.label_columns import label_text
from lwdash.datasets.sample_shapes import fitting_shape
from lwdash.datasets.split import strata_of_numbers

Shape = Sequence[int | None]

_CLASSES, _YES_NO_TASKS = "classification", ("binary", "multi-label")


def position_axes(output: Shape, task: str | None) -> tuple[int | None, ...]:
    """The axes along which an output of this shape has a class for each position; () where a row has one
    class.

    Classes are on the last axis: (T, C) → (T,), (H, W, C) → (H, W). A sigmoid output has one class per
    position:
    (H, W, 1) and (H, W) → (H, W).
    """
    if len(output) < 2:
        return ()
    if task in _YES_NO_TASKS or (task == _CLASSES and output[-1] == 1):
        return tuple(output[:-1] if output[-1] == 1 else output)
    return tuple(output[:-1]) if task == _CLASSES else ()


def label_shape(axes: Shape, values: int, inputs: Sequence[Shape] = ()) -> tuple[int, ...] | None:
    """The shape of a row's labels from the number of values; None where it does not match the axes.

    inputs: shapes of the model's inputs, all lengths known. Open axes take their length from an input, if
    that matches.
    """
    if not axes:
        return None
    for shape in inputs:
        own = tuple(n for n in shape[: len(axes)] if n is not None)
        agrees = all(want in (None, have) for want, have in zip(axes, own, strict=False))
        if len(own) == len(axes) and agrees and math.prod(own) == values:
            return own
    return fitting_shape((values,), axes)


def code_positions(
    values: Sequence[np.ndarray], classes: int, *, column: str, chosen: Sequence[str] | None
) -> tuple[list[np.ndarray], ClassMapping]:
    """Output indices int32 of each array, in the same shape, and the class mapping.

    values: (rows, positions) text or float64, one array per file. classes, column, chosen: as for
    `map_classes`.
    """
    counts: Counter[str] = Counter()
    coded = []
    for array in values:
        distinct, index = np.unique(array, return_inverse=True)
        texts = [canonical(v) if isinstance(v, str) else label_text(float(v)) for v in distinct.tolist()]
        coded.append((texts, index.reshape(array.shape)))
        counts.update(dict(zip(texts, np.bincount(index.reshape(-1)).tolist(), strict=True)))
    mapping = map_classes(counts, classes, column=column, chosen=chosen)
    place = {text: k for k, text in enumerate(mapping.classes)}
    arrays = [np.array([place[t] for t in texts], np.int32)[index] for texts, index in coded]
    return arrays, mapping


def position_strata(labels: np.ndarray) -> np.ndarray:
    """Strata (rows,) for splitting rows: by the share of a row that is not of the most frequent class."""
    flat = labels.reshape(len(labels), -1)
    most = int(np.bincount(flat.reshape(-1)).argmax())
    return strata_of_numbers((flat != most).mean(axis=1))


def axes_text(axes: Shape) -> str:
    """'each of 16 steps', 'each of 32 × 32 pixels'."""
    lengths = " × ".join("any number" if n is None else str(n) for n in axes)
    return f"each of {lengths} {'steps' if len(axes) == 1 else 'pixels' if len(axes) == 2 else 'places'}"
