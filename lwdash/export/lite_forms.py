"""Replacements for functions without a good TensorFlow Lite operator: category counts, 3-D pooling, up-sampling."""

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from lwdash.export.repeated_values import as_resize, nearest_in_one, repeated_rows

Pool = Callable[..., Any]

CATEGORIES = {
    "keras": "keras.src.utils.tf_utils",
    "tf_keras": "tf_keras.src.layers.preprocessing.preprocessing_utils",
}
"""The module of each library whose `dense_bincount` its layers use."""


@contextmanager
def in_lite_forms(library: str) -> Iterator[None]:
    """Context in which models build their graph from operators that LiteRT has, with the same results.

    library: "keras" or "tf_keras", the library of the models.

    Layers that encode categories (CategoryEncoding, Discretization, Hashing): one-hot rows, and their sum or
    maximum, instead of a bincount; codes outside the range are ignored.
    MaxPooling3D and AveragePooling3D: 2-D pools over height and width, then over depth. A window's maximum is
    that of its planes' maxima, its mean that of their means, also at padded borders, where every plane has as
    many values.
    UpSampling1D to 3D and RepeatVector: `repeated_values`.
    soft_shrink: x − clip(x), which has fewer operators than selections, and finer steps in integers.
    """
    from tensorflow.python.ops import gen_nn_ops

    categories = importlib.import_module(CATEGORIES[library])

    pools = {
        name: (getattr(gen_nn_ops, f"{name}_pool"), getattr(gen_nn_ops, f"{name}_pool3d"))
        for name in ("max", "avg")
    }
    forms = [
        (categories, "dense_bincount", _one_hot_counts),
        *_of_library(library),
        *((gen_nn_ops, f"{name}_pool3d", partial(_pooled_in_planes, *both)) for name, both in pools.items()),
    ]
    before = [getattr(module, name) for module, name, _ in forms]
    try:
        for module, name, form in forms:
            setattr(module, name, form)
        yield
    finally:
        for (module, name, _), form in zip(forms, before, strict=True):
            setattr(module, name, form)


def _of_library(library: str) -> list[tuple[Any, str, Any]]:
    """Modules or classes of one library, the names of their functions, and the replacements."""
    if library == "tf_keras":
        from tf_keras.src import backend

        return [
            (backend, "repeat_elements", as_resize(backend.repeat_elements)),
            (backend, "repeat", repeated_rows),
        ]
    from keras.src.backend.tensorflow import nn, numpy
    from keras.src.layers.reshaping.up_sampling2d import UpSampling2D

    return [
        (nn, "soft_shrink", _soft_shrink),
        (numpy, "repeat", as_resize(numpy.repeat)),
        (UpSampling2D, "_resize_images", nearest_in_one(UpSampling2D._resize_images)),
    ]


def _soft_shrink(x: Any, threshold: float = 0.5) -> Any:
    import tensorflow as tf

    return x - tf.clip_by_value(x, -threshold, threshold)


def _one_hot_counts(
    inputs: Any, depth: int, binary_output: bool, dtype: str, count_weights: Any = None
) -> Any:
    """Replacement for both libraries' `dense_bincount`: (n,) → (depth,) or (batch, n) → (batch, depth)."""
    import tensorflow as tf

    rows = tf.one_hot(tf.cast(inputs, tf.int32), depth, dtype=dtype)
    if count_weights is not None:
        rows *= tf.expand_dims(tf.cast(count_weights, dtype), -1)
    return tf.reduce_max(rows, axis=-2) if binary_output else tf.reduce_sum(rows, axis=-2)


def _pooled_in_planes(
    plane: Pool,
    volume: Pool,
    input: Any,
    ksize: Sequence[int],
    strides: Sequence[int],
    padding: str,
    data_format: str = "NDHWC",
    name: str | None = None,
) -> Any:
    """Replacement for TensorFlow's `max_pool3d` and `avg_pool3d`: (batch, depth, height, width, channels), all known."""
    import tensorflow as tf

    if data_format != "NDHWC" or not input.shape.is_fully_defined():
        return volume(input, ksize, strides, padding, data_format=data_format, name=name)
    batch, depth, height, width, channels = input.shape
    planes = tf.reshape(input, (batch * depth, height, width, channels))
    planes = plane(planes, [1, *ksize[2:4], 1], [1, *strides[2:4], 1], padding)
    _, height, width, _ = planes.shape
    lines = tf.reshape(planes, (batch, depth, height * width, channels))
    lines = plane(lines, [1, ksize[1], 1, 1], [1, strides[1], 1, 1], padding)
    return tf.reshape(lines, (batch, lines.shape[1], height, width, channels), name=name)
