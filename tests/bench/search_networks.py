"""Small networks of different kinds, with rows, on which runs are recorded for the replayed search test.

Each is trained here in seconds, on scikit-learn's digits or on rows that a generator makes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.datasets import load_digits, make_classification

from lwdash.examples.heartbeat import heartbeats

SEED = 11
ROWS = 1900
"""Rows of a generated data set: 1,000 to train on, 100 to calibrate on, 800 to evaluate."""

Samples = tuple[np.ndarray, np.ndarray]
"""Inputs (rows, *shape) as float32, and class indices (rows,) as int64."""


@dataclass(frozen=True)
class Network:
    """A function that builds the network from the keras module, a function that makes its rows, and its training."""

    build: Callable[[Any], Any]
    rows: Callable[[], Samples]
    epochs: int = 20
    learning_rate: float = 0.003


def _dense(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((64,), name="pixels"),
            layers.Dense(160, activation="relu", name="hidden_1"),
            layers.Dense(64, activation="relu", name="hidden_2"),
            layers.Dense(10, activation="softmax", name="class"),
        ]
    )


def _convolutional(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            layers.Conv2D(16, 3, padding="same", activation="relu", name="conv_1"),
            layers.MaxPooling2D(2, name="pool_1"),
            layers.Conv2D(32, 3, padding="same", activation="relu", name="conv_2"),
            layers.Flatten(name="flatten"),
            layers.Dense(48, activation="relu", name="hidden"),
            layers.Dense(10, activation="softmax", name="class"),
        ]
    )


def _separable(keras: Any) -> Any:
    """Depthwise and 1×1 convolutions with batch normalization, as networks for microcontrollers have them."""
    layers = keras.layers
    x = inputs = keras.Input((16, 16, 1), name="image")
    x = layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False, name="stem")(x)
    x = layers.ReLU(name="stem_relu")(layers.BatchNormalization(name="stem_norm")(x))
    for number, filters in enumerate((32, 64, 64), 1):
        x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"depthwise_{number}")(x)
        x = layers.ReLU(name=f"relu_a{number}")(layers.BatchNormalization(name=f"norm_a{number}")(x))
        x = layers.Conv2D(filters, 1, use_bias=False, name=f"pointwise_{number}")(x)
        x = layers.ReLU(name=f"relu_b{number}")(layers.BatchNormalization(name=f"norm_b{number}")(x))
    x = layers.GlobalAveragePooling2D(name="average")(x)
    return keras.Model(inputs, layers.Dense(8, activation="softmax", name="class")(x))


def _one_dimensional(keras: Any) -> Any:
    layers = keras.layers
    x = inputs = keras.Input((125, 1), name="beat")
    for number, (filters, size) in enumerate([(12, 9), (24, 7), (32, 5)], 1):
        x = layers.Conv1D(filters, size, strides=2, padding="same", activation="relu", name=f"conv_{number}")(
            x
        )
    x = layers.GlobalAveragePooling1D(name="average")(x)
    x = layers.Dense(24, activation="relu", name="hidden")(x)
    return keras.Model(inputs, layers.Dense(4, activation="softmax", name="class")(x))


def _residual(keras: Any) -> Any:
    layers = keras.layers
    x = inputs = keras.Input((12, 12, 3), name="image")
    x = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu", name="stem")(x)
    for number in (1, 2):
        y = layers.Conv2D(16, 3, padding="same", use_bias=False, name=f"conv_a{number}")(x)
        y = layers.ReLU(name=f"relu_a{number}")(layers.BatchNormalization(name=f"norm_a{number}")(y))
        y = layers.Conv2D(16, 3, padding="same", use_bias=False, name=f"conv_b{number}")(y)
        y = layers.BatchNormalization(name=f"norm_b{number}")(y)
        x = layers.ReLU(name=f"relu_b{number}")(layers.Add(name=f"add_{number}")([x, y]))
    x = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu", name="down")(x)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    return keras.Model(inputs, layers.Dense(9, activation="softmax", name="class")(x))


def _recurrent(keras: Any) -> Any:
    layers = keras.layers
    x = inputs = keras.Input((16, 4), name="sequence")
    x = layers.GRU(24, name="gru")(x)
    x = layers.Dense(32, activation="relu", name="hidden")(x)
    return keras.Model(inputs, layers.Dense(6, activation="softmax", name="class")(x))


def _table(keras: Any) -> Any:
    """Two branches of dense layers for rows of a table, with another activation than ReLU."""
    layers = keras.layers
    inputs = keras.Input((40,), name="columns")
    x = layers.Dense(128, activation="tanh", name="wide")(inputs)
    x = layers.Dense(48, activation="tanh", name="narrow")(x)
    y = layers.Dense(24, activation="relu", name="side")(inputs)
    x = layers.Concatenate(name="both")([x, y])
    return keras.Model(inputs, layers.Dense(7, activation="softmax", name="class")(x))


def _digits() -> Samples:
    pixels, labels = load_digits(return_X_y=True)
    return (pixels / 16).astype(np.float32), labels.astype(np.int64)


def _digit_images() -> Samples:
    pixels, labels = _digits()
    return pixels.reshape(-1, 8, 8, 1), labels


def _gratings() -> Samples:
    """Waves in eight directions, of any length and phase, seen through a spot and noise."""
    chance = np.random.default_rng(SEED)
    labels = chance.integers(8, size=ROWS)
    y, x = np.mgrid[0:16, 0:16] - 7.5
    angle = (labels + chance.normal(0, 0.18, ROWS)) * np.pi / 8
    length, phase = chance.uniform(4, 8, ROWS), chance.uniform(0, 2 * np.pi, ROWS)
    along = np.cos(angle)[:, None, None] * x + np.sin(angle)[:, None, None] * y
    centre = chance.normal(0, 2.5, (2, ROWS, 1, 1))
    spot = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / 50)
    waves = np.sin(2 * np.pi * along / length[:, None, None] + phase[:, None, None])
    images = spot * waves + chance.normal(0, 0.3, waves.shape)
    return images[..., None].astype(np.float32), labels.astype(np.int64)


def _beats() -> Samples:
    beats, names = heartbeats(ROWS, SEED)
    return beats[:, ::4, None], np.unique(names, return_inverse=True)[1].astype(np.int64)


def _shapes() -> Samples:
    """A disc, a square or a cross in one of three colours, of any size, at any place, in noise."""
    chance = np.random.default_rng(SEED)
    labels = chance.integers(9, size=ROWS)
    y, x = np.mgrid[0:12, 0:12]
    at = chance.uniform(4, 8, (2, ROWS, 1, 1))
    size = chance.uniform(2.0, 3.8, (ROWS, 1, 1))
    dx, dy = np.abs(x - at[0]), np.abs(y - at[1])
    thin = (np.minimum(dx, dy) < 1) & (np.maximum(dx, dy) < size)
    shapes = np.stack([np.hypot(dx, dy) < size, np.maximum(dx, dy) < 0.85 * size, thin])
    mask = shapes[labels % 3, np.arange(ROWS)].astype(float)
    colour = np.eye(3)[labels // 3] * 0.6 + chance.uniform(0, 0.5, (ROWS, 3))
    images = mask[..., None] * colour[:, None, None, :] + chance.normal(0, 0.22, (ROWS, 12, 12, 3))
    return images.astype(np.float32), labels.astype(np.int64)


def _sequences() -> Samples:
    """Four channels that sway together: the class is the order in which two of them rise."""
    chance = np.random.default_rng(SEED)
    labels = chance.integers(6, size=ROWS)
    time = np.arange(16)
    delays = np.array([(0, 3, 6, 9), (9, 6, 3, 0), (0, 6, 3, 9), (6, 0, 9, 3), (3, 9, 0, 6), (9, 0, 6, 3)])
    begin = delays[labels] + chance.normal(0, 1.3, (ROWS, 4))
    rises = 1 / (1 + np.exp(-(time[None, :, None] - begin[:, None, :])))
    sway = np.sin(time[None, :, None] / 3 + chance.uniform(0, 6, (ROWS, 1, 1)))
    values = rises + 0.4 * sway + chance.normal(0, 0.3, rises.shape)
    return values.astype(np.float32), labels.astype(np.int64)


def _columns() -> Samples:
    values, labels = make_classification(
        ROWS, 40, n_informative=16, n_redundant=8, n_classes=7, class_sep=2.2, random_state=SEED
    )
    return values.astype(np.float32), labels.astype(np.int64)


NETWORKS: Mapping[str, Network] = {
    "dense": Network(_dense, _digits),
    "convolutional": Network(_convolutional, _digit_images),
    "separable": Network(_separable, _gratings, epochs=30),
    "one_dimensional": Network(_one_dimensional, _beats, epochs=30),
    "residual": Network(_residual, _shapes, epochs=30),
    "recurrent": Network(_recurrent, _sequences),
    "table": Network(_table, _columns),
}
