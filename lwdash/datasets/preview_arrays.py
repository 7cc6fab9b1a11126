"""Small versions of arrays for a preview: images of at most 32 × 32 pixels, series of at most 256 values."""

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

MAX_SIDE, MAX_SERIES = 32, 256


def is_image_shape(shape: Sequence[int]) -> bool:
    """(height, width) or (height, width, channels) of an image that is worth drawing."""
    return len(shape) in (2, 3) and min(shape[:2]) > 3 and (len(shape) == 2 or shape[2] in (1, 3, 4))


def encode_preview(values: np.ndarray) -> dict[str, Any]:
    """A JSON-able small version of one value of an array column: every k-th number along its axes.

    "shape", and either "values" or, for pixels, "pixels" (base64 of uint8).
    """
    if is_image_shape(values.shape):
        height, width = (math.ceil(n / MAX_SIDE) for n in values.shape[:2])
        values = values[::height, ::width]
    else:
        flat = values.reshape(-1)
        values = flat[:: math.ceil(len(flat) / MAX_SERIES)]
    if values.dtype == np.uint8:
        pixels = base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")
        return {"shape": list(values.shape), "pixels": pixels}
    numbers = [float(f"{v:.5g}") if math.isfinite(v) else None for v in values.reshape(-1).tolist()]
    return {"shape": list(values.shape), "values": numbers}


def decode_preview(stored: Mapping[str, Any]) -> np.ndarray:
    """The array of `encode_preview`, float64; NaN for missing values."""
    if "pixels" in stored:
        flat = np.frombuffer(base64.b64decode(stored["pixels"]), np.uint8).astype(np.float64)
    else:
        flat = np.array([math.nan if v is None else v for v in stored["values"]], np.float64)
    return flat.reshape(stored["shape"])
