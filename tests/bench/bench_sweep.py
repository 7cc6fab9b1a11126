"""A sweep of 20 post-training recipes through the product, against a plain notebook loop on the same recipes and rows.

The loop loads the model, converts each recipe with TFLiteConverter and evaluates the file row by row: accuracy alone. The
product makes the same formats. Its headline metrics are size, accuracy with its verdict, and latency; everything is that
and the layers, the operators and what each stage lost. Both are whole processes, imports and all, one after the other.
"""

import csv
import json
import os
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

from lwdash.examples.train_example import accuracy, import_keras, train
from lwdash.recipe import parse_recipe

ROWS = 1000
RECIPES = [
    "float16",
    "dynamic",
    *(
        f"int8(io={io}, per_channel={per_channel}, rows={rows})"
        for io in ("int8", "uint8", "float32")
        for per_channel in ("true", "false")
        for rows in (50, 100, 200)
    ),
]
TARGETS = {
    "headline metrics from nothing": 5,
    "everything from nothing": 3,
    "headline metrics with the float export kept": 10,
    "everything with the float export kept": 5,
}
"""How many times faster than the loop."""
CLASSES = 12
SHAPE = (49, 10, 1)
LOOP = """
import json, re, sys
import numpy as np
import tensorflow as tf
import keras

model = keras.models.load_model(sys.argv[1])
calibration, rows, labels = (np.load(sys.argv[2])[k] for k in ("calibration", "rows", "labels"))
accuracies = {}
for recipe in json.loads(sys.argv[3]):
    name, settings = recipe.split("(")[0], dict(re.findall(r"(\\w+)=(\\w+)", recipe))
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if name == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if name == "int8":
        count = int(settings["rows"])
        converter.representative_dataset = lambda: ([row[None]] for row in calibration[:count])
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = getattr(tf, settings["io"])
        converter._experimental_disable_per_channel = settings.get("per_channel") == "false"
    interpreter = tf.lite.Interpreter(model_content=converter.convert())
    interpreter.allocate_tensors()
    enters, leaves = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scale, zero = enters["quantization"]
    right = 0
    for row, label in zip(rows, labels):
        given = row[None]
        if scale:
            info = np.iinfo(enters["dtype"])
            given = np.clip(np.round(given / scale) + zero, info.min, info.max)
        interpreter.set_tensor(enters["index"], given.astype(enters["dtype"]))
        interpreter.invoke()
        right += interpreter.get_tensor(leaves["index"])[0].argmax() == label
    accuracies[recipe] = right / len(rows)
print(json.dumps(accuracies))
"""


@dataclass(frozen=True)
class Sweep:
    """Seconds until all headline metrics were stored, and until the process had ended; what it printed."""

    headline_s: float
    everything_s: float
    found: dict[str, Any]


@dataclass(frozen=True)
class Site:
    """Files of one network with its data, for both."""

    folder: Path
    parameters: int

    def product(self, home: str, recipes: list[str]) -> "Sweep":
        """One `lwdash run --json`. The host's locks are this bench's own."""
        files = [self.folder / name for name in ("model.keras", "train.csv", "evaluation.csv")]
        command = [sys.executable, "-m", "lwdash", "run", files[0], "--data", files[1], "--eval", files[2]]
        asked = [word for recipe in recipes for word in ("--recipe", recipe)]
        locks = self.folder / "locks"
        locks.mkdir(exist_ok=True)
        database = self.folder / home / "lwdash.sqlite"
        started, headline_at = time.perf_counter(), 0.0
        known = _measured(database)
        answer = self.folder / "answer.json"
        with answer.open("w") as file:  # a pipe would be full before the process ends
            process = subprocess.Popen(
                [*map(str, command), "--label", "label", *asked, "--json"],
                cwd=ROOT,
                env=environment({"LWDASH_HOME": str(self.folder / home), "TMPDIR": str(locks)}),
                stdout=file,
                stderr=subprocess.DEVNULL,
            )
        while process.poll() is None:
            if not headline_at and _measured(database) - known >= len(recipes):
                headline_at = time.perf_counter()
            time.sleep(0.02)
        everything_s = time.perf_counter() - started
        found = json.loads(answer.read_text())
        assert process.returncode == 0, found
        return Sweep((headline_at or time.perf_counter()) - started, everything_s, found)

    def loop(self) -> tuple[float, dict[str, float]]:
        seconds, answer = timed(
            [
                sys.executable,
                "-c",
                LOOP,
                str(self.folder / "model.keras"),
                str(self.folder / "rows.npz"),
                json.dumps(RECIPES),
            ],
            {},
        )
        return seconds, json.loads(answer.splitlines()[-1])


def _measured(database: Path) -> int:
    """How many runs, the baseline aside, have their headline metrics."""
    if not database.exists():
        return 0
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)
    try:
        query = "select count(*) from runs where kind = 'recipe' and state = 'succeeded' and not is_baseline"
        return int(connection.execute(query).fetchone()[0])
    except sqlite3.OperationalError:  # the tables are being made
        return 0
    finally:
        connection.close()


def environment(variables: dict[str, str]) -> dict[str, str]:
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **variables}


def timed(command: list[str], variables: dict[str, str]) -> tuple[float, str]:
    started = time.perf_counter()
    done = subprocess.run(
        command, cwd=ROOT, env=environment(variables),
        capture_output=True, text=True, timeout=3600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return time.perf_counter() - started, done.stdout


def ds_cnn(keras: Any) -> Any:
    """The keyword spotter of MLPerf Tiny (Zhang et al., arXiv 1711.07128): 24,908 parameters, 2.7 million MACs."""
    layers = keras.layers
    x = inputs = keras.Input(SHAPE, name="sound")
    x = layers.Conv2D(64, (10, 4), strides=2, padding="same", name="conv")(x)
    x = layers.ReLU(name="relu")(layers.BatchNormalization(momentum=0.9, name="norm")(x))
    for block in range(1, 5):
        x = layers.DepthwiseConv2D(3, padding="same", name=f"depthwise_{block}")(x)
        x = layers.ReLU(name=f"relu_{block}a")(
            layers.BatchNormalization(momentum=0.9, name=f"norm_{block}a")(x)
        )
        x = layers.Conv2D(64, 1, name=f"pointwise_{block}")(x)
        x = layers.ReLU(name=f"relu_{block}b")(
            layers.BatchNormalization(momentum=0.9, name=f"norm_{block}b")(x)
        )
    x = layers.GlobalAveragePooling2D(name="average")(x)
    return keras.Model(inputs, layers.Dense(CLASSES, activation="softmax", name="word")(x))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Rows are one pattern a class with noise on it: learnt in a few epochs, and not without mistakes."""
    folder = tmp_path_factory.mktemp("sweep")
    chance = np.random.default_rng(20)
    labels = chance.integers(0, CLASSES, 2 * ROWS)
    patterns = chance.normal(0, 1, (CLASSES, *SHAPE))
    sounds = (patterns[labels] + chance.normal(0, 1.3, (len(labels), *SHAPE))).round(2).astype("float32")
    evaluated, rest = slice(0, ROWS), slice(ROWS, None)
    model = ds_cnn(import_keras(seed=20))
    train(model, sounds[rest], labels[rest], epochs=6, batch_size=32, learning_rate=0.003)
    learnt = accuracy(model, sounds[evaluated], labels[evaluated])
    assert 0.8 < learnt < 1, learnt
    model.save(folder / "model.keras")
    for name, rows in {"evaluation": evaluated, "train": rest}.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["label", *(f"x{i}" for i in range(np.prod(SHAPE)))])
            writer.writerows(
                [label, *(f"{value:.2f}" for value in sound.ravel())]
                for label, sound in zip(labels[rows], sounds[rows], strict=True)
            )
    np.savez(folder / "rows.npz", calibration=sounds[rest], rows=sounds[evaluated], labels=labels[evaluated])
    return Site(folder, model.count_params())


def test_a_sweep_against_a_notebook_loop(site: Site) -> None:
    assert len(RECIPES) == 20
    loop_s, accuracies = site.loop()
    fresh = site.product("fresh", RECIPES)
    site.product("cached", ["float32"])
    cached = site.product("cached", RECIPES)
    seconds = {
        "headline metrics from nothing": fresh.headline_s,
        "everything from nothing": fresh.everything_s,
        "headline metrics with the float export kept": cached.headline_s,
        "everything with the float export kept": cached.everything_s,
    }
    ratios = {what: loop_s / taken for what, taken in seconds.items()}
    print(
        f"\n{len(RECIPES)} recipes, {site.parameters:,} parameters, {ROWS:,} rows: notebook loop {loop_s:.1f} s; "
        + ", ".join(f"{what} {seconds[what]:.1f} s ({ratios[what]:.1f}×)" for what in TARGETS)
    )
    for result in (fresh, cached):
        for run in result.found["runs"]:
            assert run["state"] == "succeeded", run["error"]
            assert None not in [
                run[key] for key in ("accuracy", "speedup", "sqnr_db", "verdict", "huffman_bytes")
            ]
            asked = next(recipe for recipe in RECIPES if str(parse_recipe(recipe)) == run["recipe"])
            assert abs(run["accuracy"] - accuracies[asked]) < 0.02, asked
    missed = [
        f"{ratios[what]:.1f}× {what}, not {least}×" for what, least in TARGETS.items() if ratios[what] < least
    ]
    if missed:
        pytest.xfail(f"slower than the targets: {'; '.join(missed)}")
