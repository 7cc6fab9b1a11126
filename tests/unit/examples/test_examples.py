"""The committed examples are small, honest (unseen rows) and as README.md describes them."""

import csv
import gzip
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lwdash.examples import EXAMPLES, Example, find_example
from lwdash.examples.heartbeat import CLASSES, heartbeats

README = (Path(__file__).parents[3] / "lwdash/examples/README.md").read_text(encoding="utf-8")


def read_rows(example: Example) -> tuple[list[str], list[list[str]]]:
    raw = example.data_path.read_bytes()
    text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8")
    header, *rows = csv.reader(io.StringIO(text))
    return header, rows


def read_arrays(example: Example) -> tuple[np.ndarray, np.ndarray]:
    header, rows = read_rows(example)
    assert header[0] == example.label
    return np.array([row[1:] for row in rows], np.float32), np.array([row[0] for row in rows])


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.name)
def test_files_are_small_enough_to_commit(example):
    assert example.model_path.stat().st_size <= 200_000
    assert example.data_path.stat().st_size <= 600_000


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.name)
def test_model_file_ends_in_softmax_and_states_its_loss(example):
    with zipfile.ZipFile(example.model_path) as archive:
        config = json.loads(archive.read("config.json"))
    assert config["config"]["layers"][-1]["config"]["activation"] == "softmax"
    assert config["compile_config"]["loss"] == "sparse_categorical_crossentropy"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.name)
def test_readme_and_description_state_the_real_sizes(example):
    _, rows = read_rows(example)
    for size in (example.model_path.stat().st_size, example.data_path.stat().st_size):
        assert f"{size:,} B" in README
    assert f"{len(rows):,} rows" in README
    assert f"{len(rows):,} rows" in example.description


def test_digits_are_raw_grey_levels_under_row_and_column_names():
    header, rows = read_rows(find_example("digits"))
    assert header == ["label", *(f"p{row}{column}" for row in range(8) for column in range(8))]
    values = np.array(rows, int)
    assert values[:, 1:].min() == 0
    assert values[:, 1:].max() == 16
    assert sorted(set(values[:, 0])) == list(range(10))


def test_no_digit_of_the_csv_was_trained_on():
    pytest.importorskip("sklearn")
    from lwdash.examples.make_digits import split_digits

    x_train, _, x_csv, y_csv = split_digits()
    written, labels = read_arrays(find_example("digits"))
    np.testing.assert_array_equal(written.reshape(-1, 8, 8), x_csv)
    np.testing.assert_array_equal(labels.astype(int), y_csv)
    trained = {image.tobytes() for image in x_train}
    assert not [image for image in x_csv if image.tobytes() in trained]


def test_heartbeats_are_those_of_the_documented_generator():
    from lwdash.examples.make_heartbeats import CSV_SEED, TRAIN_SEED

    written, labels = read_arrays(find_example("heartbeats"))
    made, kinds = heartbeats(len(written), CSV_SEED)
    # Another machine's exp() may round one value to the neighbouring step.
    np.testing.assert_allclose(written, made, atol=0.0101)
    np.testing.assert_array_equal(labels, kinds)
    assert not np.allclose(heartbeats(5, TRAIN_SEED)[0], made[:5], atol=0.05)


def test_text_labels_sorted_give_the_order_of_the_models_outputs():
    _, labels = read_arrays(find_example("heartbeats"))
    assert tuple(np.unique(labels)) == CLASSES
    for kind in CLASSES:
        assert f"{kind} {(labels == kind).sum()}" in README


@pytest.mark.tensorflow
def test_readme_states_the_accuracy_that_the_models_reach(tmp_path):
    claimed = [
        float(value) / 100 for value in re.findall(r"([\d.]+) %", README.split("accuracy on the CSV")[1])[:2]
    ]
    for example, accuracy in zip(EXAMPLES, claimed, strict=True):
        assert _accuracy(example, tmp_path) == pytest.approx(accuracy, abs=0.003)
    assert 0.93 <= claimed[1] <= 0.98


def _accuracy(example: Example, folder: Path) -> float:
    """By Keras, in a process of its own."""
    program = (
        "import sys, numpy as np, keras\n"
        "rows = np.load(sys.argv[2])\n"
        "model = keras.models.load_model(sys.argv[1])\n"
        "x = rows['x'].reshape(-1, *model.input_shape[1:])\n"
        "print((model.predict(x, verbose=0).argmax(1) == rows['y']).mean())"
    )
    x, labels = read_arrays(example)
    y = np.unique(labels, return_inverse=True)[1]
    rows = folder / f"{example.name}.npz"
    np.savez(rows, x=x, y=y)
    done = subprocess.run(
        [sys.executable, "-c", program, str(example.model_path), str(rows)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env={**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert "Skipping variable loading" not in done.stderr
    return float(done.stdout.split()[-1])


def test_listing_the_examples_imports_nothing_heavy():
    program = (
        "import sys, lwdash.examples\n"
        "print({'tensorflow', 'keras', 'sklearn', 'numpy', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_an_unknown_example_is_answered_with_the_known_names():
    with pytest.raises(KeyError, match="digits, heartbeats"):
        find_example("letters")
