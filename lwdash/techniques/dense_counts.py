"""Categories counted by sums of one-hot rows: TensorFlow Lite has no bincount, which Keras counts with."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def counted_densely() -> Iterator[None]:
    """While inside, layers of both Keras that encode categories (CategoryEncoding, Discretization, Hashing) build their
    graph from ONE_HOT and a sum or a maximum. Counts are the same; whole codes outside of the range count nowhere.
    """
    from keras.src.utils import tf_utils
    from tf_keras.src.layers.preprocessing import preprocessing_utils

    modules = (tf_utils, preprocessing_utils)
    before = [module.dense_bincount for module in modules]
    try:
        for module in modules:
            module.dense_bincount = _one_hot_counts
        yield
    finally:
        for module, counting in zip(modules, before, strict=True):
            module.dense_bincount = counting


def _one_hot_counts(
    inputs: Any, depth: int, binary_output: bool, dtype: str, count_weights: Any = None
) -> Any:
    """The libraries' `dense_bincount`: (n,) → (depth,) or (batch, n) → (batch, depth)."""
    import tensorflow as tf

    rows = tf.one_hot(tf.cast(inputs, tf.int32), depth, dtype=dtype)
    if count_weights is not None:
        rows *= tf.expand_dims(tf.cast(count_weights, dtype), -1)
    return tf.reduce_max(rows, axis=-2) if binary_output else tf.reduce_sum(rows, axis=-2)
