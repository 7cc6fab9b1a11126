"""Resizing along the last axis or in two dimensions: area and linear interpolation."""

import numpy as np

METHODS = ("area", "linear")


def taps(size: int, target: int, method: str) -> tuple[np.ndarray, np.ndarray]:
    """The inputs of each output and their weights: indices and weights (target, k), weights sum to 1.

    area: output i is the mean of the input over [i·s, (i+1)·s), s = size / target. Cells at the border count
    by the part inside, as in OpenCV's INTER_AREA, for integer and fractional factors. linear: the input at (i
    + ½)·s − ½ between its two neighbours, ends repeated: OpenCV's INTER_LINEAR.
    """
    scale = size / target
    i = np.arange(target)
    if method == "area":
        # Borders as exact fractions i·size / target, so that rounding never adds a small part of a neighbour.
        start, end = i * size, (i + 1) * size
        first = start // target
        count = int((-(-end // target) - first).max())
        cells = first[:, None] + np.arange(count)
        overlap = np.minimum(end[:, None], (cells + 1) * target) - np.maximum(start[:, None], cells * target)
        weights = np.maximum(overlap, 0) / size
    else:
        place = np.clip((i + 0.5) * scale - 0.5, 0, size - 1)
        first = np.floor(place).astype(np.int64)
        cells = first[:, None] + np.arange(2)
        upper = place - first
        weights = np.stack([1 - upper, upper], axis=1)
    return np.minimum(cells, size - 1), weights


def resize_last(values: np.ndarray, target: int, method: str) -> np.ndarray:
    """values (…, n) → float64 (…, target)."""
    if target == values.shape[-1]:
        return values.astype(np.float64)
    cells, weights = taps(values.shape[-1], target, method)
    result = np.zeros((*values.shape[:-1], target))
    for k in range(cells.shape[1]):
        result += values[..., cells[:, k]] * weights[:, k]
    return result


def resize_plane(values: np.ndarray, height: int, width: int, method: str) -> np.ndarray:
    """values (rows, h, w) or (rows, h, w, channels) → the same with (height, width)."""
    moved = np.moveaxis(values, 2, -1)
    moved = resize_last(moved, width, method)
    values = np.moveaxis(moved, -1, 2)
    moved = np.moveaxis(values, 1, -1)
    return np.moveaxis(resize_last(moved, height, method), -1, 1)
