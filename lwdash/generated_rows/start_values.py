"""Random start values in deviations from the mean: white noise, and smooth noise along the axes of signals and images."""

import numpy as np

SMOOTH_SHARE = 0.25
"""Width of the smoothing as a share of an axis."""


def start_values(rows: int, shape: tuple[int, ...], chance: np.random.Generator) -> np.ndarray:
    """(rows, *shape) float32 of mean 0 and deviation 1. Each row is a mixture of white and smooth noise of its own.

    The last of several axes holds channels and is not smoothed; a single axis holds unrelated values.
    """
    white = chance.standard_normal((rows, *shape)).astype(np.float32)
    if len(shape) < 2:
        return white
    smooth = chance.standard_normal((rows, *shape)).astype(np.float32)
    for axis in range(1, len(shape)):
        width = max(1, round(SMOOTH_SHARE * smooth.shape[axis]))
        smooth = _averaged(smooth, axis, width) * np.sqrt(np.float32(width))
    share = chance.random((rows,) + (1,) * len(shape)).astype(np.float32)
    return np.sqrt(share) * white + np.sqrt(1 - share) * smooth


def _averaged(values: np.ndarray, axis: int, width: int) -> np.ndarray:
    """The mean of `width` neighbours along an axis, whose ends meet."""
    total = np.zeros_like(values)
    for shift in range(width):
        total += np.roll(values, shift, axis)
    return np.asarray(total / np.float32(width))
