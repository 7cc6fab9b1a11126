"""Plain scripts to compare recipes with: TFMOT's training on labels by `fit`, and TFLiteConverter.

They take as many training steps as the defaults of the technique, with the settings of TFMOT's guides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Made = Any
"""A Keras model, or the bytes of a .tflite."""
Reference = Callable[[Any, np.ndarray, np.ndarray], Made]
"""(Keras model, inputs, labels) → the compressed network."""


def _fitted(
    model: Any, rows: np.ndarray, labels: np.ndarray, steps: int, rate: float, *callbacks: Any
) -> None:
    import tf_keras

    epochs = max(1, round(steps / -(-len(rows) // 32)))
    model.compile(tf_keras.optimizers.legacy.Adam(rate), "sparse_categorical_crossentropy")
    model.fit(rows, labels, batch_size=32, epochs=epochs, verbose=0, callbacks=list(callbacks))


def pruned(sparsity: float, steps: int) -> Reference:
    def make(model: Any, rows: np.ndarray, labels: np.ndarray) -> Made:
        from tensorflow_model_optimization.sparsity import keras as tfmot

        schedule = tfmot.PolynomialDecay(0.0, sparsity, 0, steps // 2, frequency=20)
        wrapped = tfmot.prune_low_magnitude(model, pruning_schedule=schedule)
        _fitted(wrapped, rows, labels, steps, 0.001, tfmot.UpdatePruningStep())
        return tfmot.strip_pruning(wrapped)

    return make


def clustered(clusters: int, steps: int) -> Reference:
    def make(model: Any, rows: np.ndarray, labels: np.ndarray) -> Made:
        from tensorflow_model_optimization.clustering import keras as tfmot

        start = tfmot.CentroidInitialization.KMEANS_PLUS_PLUS
        wrapped = tfmot.cluster_weights(model, number_of_clusters=clusters, cluster_centroids_init=start)
        _fitted(wrapped, rows, labels, steps, 0.00001)
        return tfmot.strip_clustering(wrapped)

    return make


def trained_for_8_bits(steps: int) -> Reference:
    def make(model: Any, rows: np.ndarray, labels: np.ndarray) -> Made:
        from tensorflow_model_optimization.quantization import keras as tfmot

        wrapped = tfmot.quantize_model(model)
        _fitted(wrapped, rows, labels, steps, 0.00001)
        return _converted(wrapped)

    return make


def in_8_bits(*, per_channel: bool) -> Reference:
    def make(model: Any, rows: np.ndarray, labels: np.ndarray) -> Made:
        return _converted(model, rows, per_channel=per_channel)

    return make


def _converted(model: Any, rows: np.ndarray | None = None, *, per_channel: bool = True) -> bytes:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if rows is not None:
        converter.representative_dataset = lambda: ([row[None]] for row in rows)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter._experimental_disable_per_channel = not per_channel
    data: bytes = converter.convert()
    return data


REFERENCES: dict[str, tuple[str, Reference]] = {
    "TFMOT, 50 % zeros": ("prune(sparsity=0.5)", pruned(0.5, 400)),
    "TFMOT, 80 % zeros": ("prune(sparsity=0.8)", pruned(0.8, 1000)),
    "TFMOT, 16 clusters": ("cluster(clusters=16)", clustered(16, 300)),
    "TFMOT, 8 clusters": ("lowbit(bits=3)", clustered(8, 1000)),
    "TFMOT, 4 clusters": ("lowbit(bits=2)", clustered(4, 1000)),
    "TFLiteConverter, int8": ("int8", in_8_bits(per_channel=True)),
    "TFLiteConverter, int8, one scale": ("int8(per_channel=false)", in_8_bits(per_channel=False)),
    "TFMOT, trained for int8": ("qat + int8", trained_for_8_bits(500)),
}
"""Name → the recipe that it is compared with, and the script."""
