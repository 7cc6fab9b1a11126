"""Up-sampling as one operator: each value repeated along an axis, in a form that all runtimes have.

Keras 3 repeats values by reshaping and tiling, and tf_keras by cutting the tensor into slices. TensorFlow Lite Micro has
no kernel for TILE, and the slices become many operators. RESIZE_NEAREST_NEIGHBOR by a whole factor gives the same
values, in fewer bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any


def as_resize(repeat: Callable[..., Any]) -> Callable[..., Any]:
    """`repeat(x, repeats, axis)` of either library, by a resize where shape and factor are known.

    x: any rank, its shape known after tracing at batch 1. Repeats of whole tensors (axis None) or by a number for each
    element, and other types than floats, are left to `repeat`.
    """

    @wraps(repeat)
    def repeated(x: Any, repeats: Any, axis: int | None = None) -> Any:
        import tensorflow as tf

        x = tf.convert_to_tensor(x)
        is_known = x.shape.rank is not None and x.shape.is_fully_defined()
        if not (is_known and isinstance(repeats, int) and axis is not None and x.dtype == tf.float32):
            return repeat(x, repeats, axis)
        shape = x.shape.as_list()
        axis %= len(shape)
        before, length, after = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])
        images = _resized(tf.reshape(x, (before, length, 1, after)), length * repeats, 1)
        return tf.reshape(images, (*shape[:axis], length * repeats, *shape[axis + 1 :]))

    return repeated


def nearest_in_one(resize: Callable[..., Any]) -> Callable[..., Any]:
    """Keras 3's `UpSampling2D._resize_images` with both axes of a nearest up-sampling in one resize."""

    @wraps(resize)
    def resized(
        layer: Any,
        x: Any,
        height_factor: int,
        width_factor: int,
        data_format: str,
        interpolation: str = "nearest",
    ) -> Any:
        is_known = x.shape.rank is not None and x.shape.is_fully_defined()
        if (
            interpolation != "nearest"
            or data_format != "channels_last"
            or not is_known
            or x.dtype != "float32"
        ):
            return resize(layer, x, height_factor, width_factor, data_format, interpolation)
        return _resized(x, x.shape[1] * height_factor, x.shape[2] * width_factor)

    return resized


def repeated_rows(x: Any, n: int) -> Any:
    """Replacement for tf_keras' `backend.repeat`: (batch, values) → (batch, n, values)."""
    import tensorflow as tf

    return as_resize(tf.repeat)(tf.expand_dims(x, 1), n, 1)


def _resized(images: Any, height: int, width: int) -> Any:
    """Images (batch, rows, columns, channels) at whole multiples of their size; corners are not aligned."""
    import tensorflow as tf

    return tf.raw_ops.ResizeNearestNeighbor(images=images, size=[height, width])
