"""Trains an example's network and saves it small: weights and loss, without the optimizer's moments.

Only the scripts that make the examples use this module; it needs Keras.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def import_keras(seed: int) -> Any:
    """Keras on TensorFlow with all random generators set to `seed`."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    return keras


def train(
    model: Any, x: np.ndarray, y: np.ndarray, *, epochs: int, batch_size: int, learning_rate: float
) -> None:
    """Fit `model` to class indices `y` with Adam, the learning rate falling along a cosine to zero."""
    import keras

    steps = epochs * -(-len(x) // batch_size)
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    model.compile(keras.optimizers.Adam(schedule), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=epochs, batch_size=batch_size, verbose=0)


def save_without_moments(model: Any, path: Path) -> None:
    """Save `model` as `.keras` with its loss, compiled with plain SGD, which holds no array per weight.

    Adam's two moments would triple the file. SGD is built before saving, or loading would warn.
    """
    import keras

    optimizer = keras.optimizers.SGD(0.001)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    optimizer.build(model.trainable_variables)
    model.save(path)


def accuracy(model: Any, x: np.ndarray, y: np.ndarray) -> float:
    """Share of rows whose arg-max equals the class index, 0–1."""
    return float((model.predict(x, verbose=0).argmax(axis=1) == y).mean())
