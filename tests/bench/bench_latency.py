"""How repeatable a speed-up is: the same pair measured ten times while another process keeps one core busy."""

import subprocess
import sys
from collections.abc import Iterator

import keras
import numpy as np
import pytest

from lwdash.measure.latency import compare_latency
from lwdash.techniques import TECHNIQUES

REPEATS = 10
LARGEST_SPREAD = 0.05
"""Relative standard deviation of the ten speed-ups."""
CLASSES = 10


def ecg() -> keras.Model:
    layers = keras.layers
    return keras.Sequential([
        keras.Input((500, 1)), layers.Conv1D(16, 7, strides=2, activation="relu"), layers.MaxPooling1D(),
        layers.Conv1D(32, 5, activation="relu"), layers.GlobalAveragePooling1D(),
        layers.Dense(CLASSES, activation="softmax"),
    ])  # fmt: skip


def image() -> keras.Model:
    layers = keras.layers
    return keras.Sequential([
        keras.Input((64, 64, 3)), layers.Conv2D(16, 3, strides=2, activation="relu"),
        layers.DepthwiseConv2D(3, activation="relu"), layers.Conv2D(32, 1, activation="relu"),
        layers.DepthwiseConv2D(3, strides=2, activation="relu"), layers.Conv2D(64, 1, activation="relu"),
        layers.GlobalAveragePooling2D(), layers.Dense(CLASSES, activation="softmax"),
    ])  # fmt: skip


def wide() -> keras.Model:
    layers = keras.layers
    return keras.Sequential([
        keras.Input((640,)), layers.Dense(1024, activation="relu"), layers.Dense(1024, activation="relu"),
        layers.Dense(640),
    ])  # fmt: skip


@pytest.fixture
def busy_core() -> Iterator[None]:
    """Another process that never rests."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    yield
    process.kill()
    process.wait()


@pytest.mark.parametrize("network", [ecg, image, wide])
def test_a_speedup_is_repeatable(network, busy_core: None) -> None:
    keras.utils.set_random_seed(0)
    model = network()
    shape = tuple(model.inputs[0].shape[1:])
    name = model.inputs[0].name
    data = TECHNIQUES["float32"].apply(model, [name], [shape])
    rows = {name: np.random.default_rng(0).normal(size=(32, *shape)).astype(np.float32)}
    technique = TECHNIQUES["int8"]
    packed = technique.apply(data, technique.Params(), rows).data
    found = [compare_latency(packed, data, rows) for _ in range(REPEATS)]
    speedups = np.array([one.speedup for one in found])
    absolute = np.array([one.ms_p50 for one in found])
    spread = float(speedups.std(ddof=1) / speedups.mean())
    covered = sum(
        one.speedup_ci is not None and one.speedup_ci[0] <= float(np.median(speedups)) <= one.speedup_ci[1]
        for one in found
    )
    print(
        f"{network.__name__}: speed-up {speedups.mean():.2f}×, spread {spread:.1%} (latency itself "
        f"{absolute.std(ddof=1) / absolute.mean():.1%} of {absolute.mean():.3f} ms), intervals cover the median in "
        f"{covered} of {REPEATS}"
    )
    assert spread <= LARGEST_SPREAD
