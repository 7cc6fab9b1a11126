"""What the trained techniques keep, on networks trained here and rows they have not seen; figures of one process.

A LeNet-5 on scikit-learn's 1,797 digits: `prune + cluster` against Deep Compression's accounting. A 1-D network of
5,000 parameters on synthetic heartbeats: `qat` against `int8`. PCQAT: the zeros that `prune` made.
"""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lwdash.compress.workbench import Compressed, Workbench
from lwdash.datasets.dataset import Dataset
from lwdash.examples.heartbeat import heartbeats
from lwdash.examples.train_example import import_keras, train
from lwdash.keras_models.inspection import inspect_model
from lwdash.measure.accuracy import Quality, judge
from lwdash.measure.deep_compression import deep_compression
from lwdash.measure.runner import Runner
from lwdash.measure.verdict import WORSE, Verdict, compare_right_rows
from lwdash.recipe import parse_recipe
from lwdash.tflite.reader import read_tflite

TASK = "classification"
PARTS = ("train", "calibration", "evaluation")


class Memory:
    """Stages kept while this process lives."""

    def __init__(self, folder: Path):
        self.folder, self.facts = folder, {}

    def get(self, key: str) -> tuple[Path, dict[str, Any]] | None:
        return (self.folder / key, self.facts[key]) if key in self.facts else None

    def put(self, key: str, kind: str, data: bytes | Path, facts: Mapping[str, Any], seconds: float) -> None:
        (self.folder / key).write_bytes(data.read_bytes() if isinstance(data, Path) else data)
        self.facts[key] = json.loads(json.dumps(facts))

    def making(self, key: str) -> AbstractContextManager[None]:
        return nullcontext()


class Bench:
    """A trained network with its rows: recipes in, judged files out."""

    def __init__(
        self, build: Any, rows: np.ndarray, labels: np.ndarray, shares: tuple[float, float], folder: Path
    ):
        keras = import_keras(seed=20)
        order = np.random.default_rng(20).permutation(len(rows))
        ends = np.cumsum([round(share * len(rows)) for share in shares])
        parts = {name: np.sort(part) for name, part in zip(PARTS, np.split(order, ends), strict=True)}
        model = build(keras)
        chosen = parts["train"]
        train(model, rows[chosen], labels[chosen], epochs=40, batch_size=32, learning_rate=0.003)
        path = folder / "model.keras"
        model.save(path)
        facts = inspect_model(path)
        self.parameters: int = model.count_params()
        self.rows = Dataset({facts.inputs[0].name: rows}, labels, None, parts, (), task=TASK)
        self.evaluation, self.labels = self.rows.part("evaluation")
        self._workbench = Workbench(
            model_path=path,
            model_sha256="",
            facts=facts,
            dataset=self.rows,
            dataset_key="",
            task=TASK,
            seed=0,
            cache=Memory(folder),
        )

    def compress(self, recipe: str) -> Compressed:
        return self._workbench.compress(parse_recipe(recipe), lambda doing, share: None)

    def judged(self, tflite: bytes) -> Quality:
        outputs = next(iter(Runner(tflite).run(self.evaluation).values()))
        return judge(TASK, outputs, self.labels, self.evaluation)

    def compared(self, tflite: bytes, other: bytes) -> Verdict:
        ours, theirs = (self.judged(data).row_scores for data in (tflite, other))
        assert ours is not None
        assert theirs is not None
        return compare_right_rows(ours == 1, theirs == 1)


def lenet_5(keras: Any) -> Any:
    """Caffe's LeNet-5 (20 and 50 filters of 5 × 5, 500 units) for images of 8 × 8."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            layers.Conv2D(20, 5, padding="same", activation="relu", name="conv1"),
            layers.MaxPooling2D(2, name="pool1"),
            layers.Conv2D(50, 5, padding="same", activation="relu", name="conv2"),
            layers.MaxPooling2D(2, name="pool2"),
            layers.Flatten(name="flatten"),
            layers.Dense(500, activation="relu", name="ip1"),
            layers.Dense(10, activation="softmax", name="ip2"),
        ]
    )


def small_1d(keras: Any) -> Any:
    """About 5,000 parameters, with batch normalization, for a second of an electrocardiogram."""
    layers = keras.layers
    x = inputs = keras.Input((500, 1), name="beat")
    for number, (filters, size) in enumerate([(12, 9), (20, 7), (24, 5)], 1):
        x = layers.Conv1D(filters, size, strides=2, padding="same", use_bias=False, name=f"conv_{number}")(x)
        x = layers.ReLU(name=f"relu_{number}")(layers.BatchNormalization(name=f"norm_{number}")(x))
    x = layers.GlobalAveragePooling1D(name="average")(x)
    x = layers.Dense(16, activation="relu", name="hidden")(x)
    return keras.Model(inputs, layers.Dense(4, activation="softmax", name="answer")(x))


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    from sklearn.datasets import load_digits

    found = load_digits()
    images = (found.images[..., None] / 16).astype("float32")
    return Bench(lenet_5, images, found.target.astype("int64"), (0.5, 0.1), tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def curves(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    beats, kinds = heartbeats(4000, 3)
    rows = beats.reshape(len(beats), -1, 1).astype("float32")
    labels = np.unique(kinds, return_inverse=True)[1]
    return Bench(small_1d, rows, labels, (0.4, 0.1), tmp_path_factory.mktemp("curves"))


@pytest.mark.parametrize(
    "recipe",
    [
        "prune(sparsity=0.9) + cluster(clusters=16)",
        "prune(sparsity=0.9, scope=global) + cluster(clusters=16)",
        "prune(sparsity=0.93, scope=global) + cluster(clusters=16, depthwise=true)",
    ],
)
def test_deep_compression_of_a_lenet_5(digits: Bench, recipe: str) -> None:
    """As far as these rows see no loss: the last recipe with 8 clusters has 45×, but 6 of 719 rows fewer right (p = 3 %)."""
    made = digits.compress(recipe)
    total = deep_compression(read_tflite(made.tflite))["total"]
    verdict = digits.compared(made.tflite, made.baseline)
    before, after = digits.judged(made.baseline).accuracy, digits.judged(made.tflite).accuracy
    print(
        f"LeNet-5, {digits.parameters:,} parameters, {recipe}: {total['float_bytes']:,} B → {total['pqh_bytes']:,} B, "
        f"{total['pqh_rate']:.1f}× (without Huffman {total['pq_rate']:.1f}×); accuracy {before:.2%} → {after:.2%}, "
        f"{verdict.text}"
    )
    assert total["pqh_rate"] >= 20
    assert verdict.verdict != WORSE


def test_qat_is_no_worse_than_int8(curves: Bench) -> None:
    plain, trained = curves.compress("int8"), curves.compress("qat")
    verdict = curves.compared(trained.tflite, plain.tflite)
    scores = [curves.judged(data).accuracy for data in (plain.baseline, plain.tflite, trained.tflite)]
    print(
        f"1-D network, {curves.parameters:,} parameters: float32 {scores[0]:.2%}, int8 {scores[1]:.2%}, "
        f"qat {scores[2]:.2%}; qat against int8: {verdict.text}"
    )
    assert 4_000 <= curves.parameters <= 6_000
    assert verdict.verdict != WORSE


@pytest.mark.parametrize("which", ["curves", "digits"])
def test_pcqat_keeps_the_zeros(which: str, request: pytest.FixtureRequest) -> None:
    bench = request.getfixturevalue(which)
    made = bench.compress("prune(sparsity=0.8) + cluster(clusters=16) + qat")
    stages = {stage.name.partition("(")[0]: stage for stage in made.stages}
    audit = [finding for finding in stages["int8"].facts["audit"] if finding["zeros_kept"] is not None]
    kept = sum(f["zeros"] * f["zeros_kept"] for f in audit) / sum(f["zeros"] for f in audit)
    verdict = bench.compared(made.tflite, made.baseline)
    print(
        f"{which}, {stages['qat'].facts['form']}: {kept:.2%} of {sum(f['zeros'] for f in audit):,} zeros kept; "
        f"distinct values before, in the file and in its fullest channel "
        f"{[(f['kernel'], f['distinct'], f['distinct_stored'], f['distinct_in_channel']) for f in audit]}; {verdict.text}"
    )
    assert stages["qat"].facts["form"] == "PCQAT"
    assert all(finding["is_found"] for finding in audit)
    assert kept >= 0.95
