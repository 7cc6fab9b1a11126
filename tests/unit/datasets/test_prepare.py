"""From CSV to arrays: values, labels, parts and warnings against an independent calculation."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from lwdash.datasets.data_inspection import inspect_data
from lwdash.datasets.data_settings import DataSettings
from lwdash.datasets.dataset import Dataset
from lwdash.datasets.prepare import prepare
from lwdash.errors import DataRefused

RANDOM = np.random.default_rng(8)
OUTPUTS = [("y", (3,), "float32")]


def beats(path, rows=60, columns=20, classes=3, name="label"):
    """A CSV of `rows` random curves; returns the curves as the file has them, and the labels."""
    curves = RANDOM.normal(size=(rows, columns)).round(5)
    labels = np.arange(rows) % classes
    frame = pd.DataFrame(curves, columns=[f"t{i}" for i in range(columns)])
    frame.insert(0, name, labels)
    frame.to_csv(path, index=False)
    return curves, labels


def test_the_lecture_case_is_expressed_exactly(tmp_path):
    curves, labels = beats(tmp_path / "d.csv", rows=12, columns=5000)
    settings = DataSettings(
        label="label",
        preprocess="resize(500, method=area) + scale(minmax, per=row) + channel(last) + cast(float32)",
    )
    data = prepare(tmp_path / "d.csv", settings, [("x", (500, 1), "float32")], OUTPUTS)
    means = curves.reshape(12, 500, 10).mean(axis=2)
    low, high = means.min(axis=1, keepdims=True), means.max(axis=1, keepdims=True)
    assert data.inputs["x"].dtype == np.float32
    assert data.inputs["x"].shape == (12, 500, 1)
    np.testing.assert_allclose(data.inputs["x"][..., 0], (means - low) / (high - low), atol=1e-7)
    np.testing.assert_array_equal(data.labels, labels)


def test_column_statistics_are_those_of_the_train_part(tmp_path):
    curves, _ = beats(tmp_path / "d.csv")
    settings = DataSettings(preprocess="scale(zscore, per=column)")
    data = prepare(tmp_path / "d.csv", settings, [("x", (20, 1), "float32")], OUTPUTS)
    train = curves[data.parts["train"]]
    np.testing.assert_allclose(data.inputs["x"][..., 0], (curves - train.mean(0)) / train.std(0), atol=1e-5)
    np.testing.assert_allclose(data.statistics["x"][0][0], train.mean(0), atol=1e-6)


def test_images_channels_first_become_channels_last(tmp_path):
    pixels = RANDOM.integers(0, 256, (20, 48))
    pd.DataFrame(np.c_[pixels, np.arange(20) % 3]).to_csv(tmp_path / "d.csv", index=False, header=False)
    settings = DataSettings(label="last", preprocess="reshape(3x4x4) + axes(1, 2, 0) + divide(255)")
    data = prepare(tmp_path / "d.csv", settings, [("x", (4, 4, 3), "float32")], OUTPUTS)
    expected = np.moveaxis(pixels.reshape(20, 3, 4, 4), 1, -1) / 255
    np.testing.assert_allclose(data.inputs["x"], expected, rtol=1e-6)


def test_parts_are_disjoint_complete_stratified_and_repeatable(tmp_path):
    _, labels = beats(tmp_path / "d.csv", rows=300)
    data, again = (
        prepare(tmp_path / "d.csv", DataSettings(), [("x", (20,), "float32")], OUTPUTS) for _ in range(2)
    )
    rows = np.concatenate(list(data.parts.values()))
    assert sorted(rows.tolist()) == list(range(300))
    for name, share in (("train", 0.6), ("calibration", 0.2), ("evaluation", 0.2)):
        np.testing.assert_array_equal(np.bincount(labels[data.parts[name]]), np.full(3, 100 * share))
        np.testing.assert_array_equal(data.parts[name], again.parts[name])
    inputs, own = data.part("evaluation")
    np.testing.assert_array_equal(inputs["x"], data.inputs["x"][data.parts["evaluation"]])
    np.testing.assert_array_equal(own, labels[data.parts["evaluation"]])


@pytest.mark.parametrize(
    ("cell", "said"),
    [("", "row 7, column 't3': empty"), ("NaN", r"row 7, column 't3': missing|row 7, column 't3': empty"),
     ("n.a", "row 7, column 't3': 'n.a' is not a number"), ("-inf", "row 7, column 't3': '-inf' is infinite"),
     ("1e999", "row 7, column 't3'.*infinite"), ("1,5", "row 7: 22 values where 21 columns")],
)  # fmt: skip
@pytest.mark.parametrize("words", [False, True])
def test_bad_cells_are_refused_by_row_and_column(tmp_path, cell, said, words):
    beats(tmp_path / "d.csv")
    lines = (tmp_path / "d.csv").read_text().split("\n")
    if words:
        lines = [lines[0], *("abc"[int(line[0])] + line[1:] for line in lines[1:] if line)]
    cells = lines[6].split(",")
    cells[4] = cell
    lines[6] = ",".join(cells)
    (tmp_path / "d.csv").write_text("\n".join(lines))
    with pytest.raises(DataRefused, match=said) as refused:
        prepare(tmp_path / "d.csv", DataSettings(), [("x", (20,), "float32")], OUTPUTS)
    assert "delete these rows" in str(refused.value)


def test_a_bad_cell_in_an_ignored_column_does_not_matter(tmp_path):
    beats(tmp_path / "d.csv", columns=3)
    text = (tmp_path / "d.csv").read_text().split("\n")
    text = [
        text[0] + ",note",
        *(f"{line}," + ("ok" if i % 2 else "") for i, line in enumerate(text[1:]) if line),
    ]
    (tmp_path / "d.csv").write_text("\n".join(text))
    data = prepare(tmp_path / "d.csv", DataSettings(ignored=("note",)), [("x", (3,), "float32")], OUTPUTS)
    assert data.rows == 60


def test_a_missing_label_is_refused_by_row(tmp_path):
    (tmp_path / "d.csv").write_text(
        "label,a\n" + "".join(f"{'NV'[i % 2] if i != 4 else ''},{i}.5\n" for i in range(9))
    )
    with pytest.raises(DataRefused, match="row 6, column 'label': empty"):
        prepare(tmp_path / "d.csv", DataSettings(), [("x", (1,), "float32")], [("y", (1,), "float32")])


def test_whole_number_inputs_take_whole_numbers_only(tmp_path):
    (tmp_path / "d.csv").write_text("label,w0,w1\n" + "".join(f"{i % 3},{i},{i + 1}\n" for i in range(20)))
    inputs = [("tokens", (2,), "int32")]
    data = prepare(tmp_path / "d.csv", DataSettings(label="label"), inputs, OUTPUTS)
    assert data.inputs["tokens"].dtype == np.int32
    np.testing.assert_array_equal(data.inputs["tokens"][5], [5, 6])
    (tmp_path / "d.csv").write_text("label,w0,w1\n" + "".join(f"{i % 3},{i},{i / 8}\n" for i in range(20)))
    with pytest.raises(
        DataRefused, match=r"input 'tokens' takes whole numbers \(int32\), but d.csv, row 3, value 2.* 0.125"
    ):
        prepare(tmp_path / "d.csv", DataSettings(label="label"), inputs, OUTPUTS)


def test_cast_refuses_what_its_type_cannot_hold(tmp_path):
    (tmp_path / "d.csv").write_text("label,a\n" + "".join(f"{i % 3},{i * 100}\n" for i in range(20)))
    with pytest.raises(DataRefused, match=r"\(uint8\), but d.csv, row 5.* 300"):
        prepare(tmp_path / "d.csv", DataSettings(preprocess="cast(uint8)"), [("x", (1,), "float32")], OUTPUTS)


def test_several_inputs_each_with_their_own_steps(tmp_path):
    values = RANDOM.integers(0, 256, (30, 6))
    names = [f"img_{i}" for i in range(4)] + ["age_0", "age_1"]
    frame = pd.DataFrame(values, columns=names)
    frame["label"] = np.arange(30) % 3
    frame.to_csv(tmp_path / "d.csv", index=False)
    inputs = [("age", (2,), "int64"), ("img", (2, 2, 1), "float32")]
    data = prepare(tmp_path / "d.csv", DataSettings(preprocess="img: divide(255)"), inputs, OUTPUTS)
    np.testing.assert_array_equal(data.inputs["age"], values[:, 4:])
    np.testing.assert_allclose(data.inputs["img"].reshape(30, 4), values[:, :4] / 255, rtol=1e-6)


def test_regression_targets_are_float32_and_unlabelled_data_has_none(tmp_path):
    frame = pd.DataFrame(RANDOM.normal(size=(40, 3)).round(4), columns=["a", "b", "target"])
    frame.to_csv(tmp_path / "d.csv", index=False)
    data = prepare(tmp_path / "d.csv", DataSettings(), [("x", (2,), "float32")], [("y", (1,), "float32")])
    assert (data.task, data.classes, data.labels.dtype) == ("regression", None, np.float32)
    np.testing.assert_allclose(data.labels, frame["target"], rtol=1e-6)
    bare = prepare(tmp_path / "d.csv", DataSettings(label=""), [("x", (3,), "float32")], OUTPUTS)
    assert bare.labels is None
    assert bare.part("train")[1] is None


def test_own_evaluation_and_calibration_files_are_those_parts(tmp_path):
    beats(tmp_path / "main.csv", rows=90)
    curves, labels = beats(tmp_path / "eval.csv", rows=30)
    beats(tmp_path / "cal.csv", rows=15)
    # Another order of columns: found by name.
    frame = pd.read_csv(tmp_path / "eval.csv")
    frame[frame.columns[::-1]].to_csv(tmp_path / "eval.csv", index=False, sep=";")
    data = prepare(
        tmp_path / "main.csv", DataSettings(), [("x", (20,), "float32")], OUTPUTS,
        evaluation_path=tmp_path / "eval.csv", calibration_path=tmp_path / "cal.csv",
    )  # fmt: skip
    assert [len(data.parts[name]) for name in ("train", "calibration", "evaluation")] == [90, 15, 30]
    inputs, own = data.part("evaluation")
    np.testing.assert_allclose(inputs["x"], curves, rtol=1e-6)
    np.testing.assert_array_equal(own, labels)
    half = prepare(
        tmp_path / "main.csv",
        DataSettings(),
        [("x", (20,), "float32")],
        OUTPUTS,
        evaluation_path=tmp_path / "eval.csv",
    )
    assert len(half.parts["train"]) + len(half.parts["calibration"]) == 90
    assert 0.7 < len(half.parts["train"]) / 90 < 0.8
    frame.drop(columns="t3").to_csv(tmp_path / "eval.csv", index=False)
    with pytest.raises(DataRefused, match=r"the evaluation file eval.csv has the columns label, t0"):
        prepare(
            tmp_path / "main.csv", DataSettings(), [("x", (20,), "float32")], OUTPUTS,
            evaluation_path=tmp_path / "eval.csv",
        )  # fmt: skip


def test_plenty_of_clean_rows_give_no_warning(tmp_path):
    beats(tmp_path / "d.csv", rows=3000, columns=4)
    assert prepare(tmp_path / "d.csv", DataSettings(), [("x", (4,), "float32")], OUTPUTS).warnings == ()


def test_a_dataset_survives_saving_and_maps_its_inputs(tmp_path):
    beats(tmp_path / "d.csv")
    settings = DataSettings(preprocess="scale(zscore, per=column)")
    data = prepare(tmp_path / "d.csv", settings, [("x", (20, 1), "float32")], OUTPUTS)
    data.save(tmp_path / "saved")
    loaded = Dataset.load(tmp_path / "saved")
    assert isinstance(loaded.inputs["x"], np.memmap)
    np.testing.assert_array_equal(loaded.inputs["x"], data.inputs["x"])
    np.testing.assert_array_equal(loaded.labels, data.labels)
    np.testing.assert_array_equal(loaded.lines, data.lines)
    np.testing.assert_array_equal(loaded.statistics["x"][0][1], data.statistics["x"][0][1])
    for key in ("classes", "warnings", "task", "label", "output", "preprocess"):
        assert getattr(loaded, key) == getattr(data, key)
    for name in data.parts:
        np.testing.assert_array_equal(loaded.parts[name], data.parts[name])


def test_a_damaged_file_is_refused_and_pickles_are_never_read(tmp_path):
    (tmp_path / "bad").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(DataRefused, match="not prepared data"):
        Dataset.load(tmp_path / "bad")
    np.savez(tmp_path / "pickle.npz", meta=np.array([{"format": 1}], dtype=object))
    with pytest.raises(DataRefused, match="not prepared data"):
        Dataset.load(tmp_path / "pickle.npz")


@pytest.mark.parametrize("preprocess", ["", "scale(minmax, per=column)"])
def test_rows_beyond_the_memory_limit_give_the_same_arrays(tmp_path, monkeypatch, preprocess):
    beats(tmp_path / "d.csv", rows=200)
    reading = (tmp_path / "d.csv", DataSettings(preprocess=preprocess), [("x", (20, 1), "float32")], OUTPUTS)
    expected = prepare(*reading)
    monkeypatch.setattr("lwdash.datasets.readers.source.BLOCK_BYTES", 3000)
    monkeypatch.setattr("lwdash.datasets.spilled_arrays.MEMORY_BYTES", 5000)
    monkeypatch.setattr("lwdash.datasets.preprocessing.steps.CHUNK_BYTES", 1000)
    spilled = prepare(*reading)
    assert isinstance(spilled.inputs["x"], np.memmap)
    np.testing.assert_allclose(spilled.inputs["x"], expected.inputs["x"], rtol=1e-6)
    spilled.save(tmp_path / "saved")
    np.testing.assert_array_equal(Dataset.load(tmp_path / "saved").inputs["x"], spilled.inputs["x"])


def test_facts_from_before_save_a_pass_but_change_nothing(tmp_path):
    beats(tmp_path / "d.csv")
    reading = (tmp_path / "d.csv", DataSettings(), [("x", (20,), "float32")], OUTPUTS)
    data, again = prepare(*reading), prepare(*reading, facts=inspect_data(tmp_path / "d.csv"))
    np.testing.assert_array_equal(data.inputs["x"], again.inputs["x"])
    assert data.warnings == again.warnings


def test_numbers_beyond_float32_are_refused_with_their_row(tmp_path):
    (tmp_path / "d.csv").write_text(
        "label,a,b\n" + "".join(f"{i % 2},{i}.5,2\n" for i in range(20)) + "1,3,1e300\n"
    )
    with pytest.raises(
        DataRefused, match=r"d\.csv, row 22, value 2 of input 'x' is 1e\+300, beyond what float32"
    ):
        prepare(tmp_path / "d.csv", DataSettings(), [("x", (2,), "float32")], OUTPUTS)


def test_too_few_rows_are_refused(tmp_path):
    beats(tmp_path / "d.csv", rows=3)
    with pytest.raises(DataRefused, match="3 rows; at least 5"):
        prepare(tmp_path / "d.csv", DataSettings(), [("x", (20,), "float32")], OUTPUTS)


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read as Linux reports it")
def test_memory_stays_flat_while_the_file_grows(tmp_path):
    line = ",".join(["2.5"] * 199)
    code = (
        "import re, sys; from pathlib import Path; from lwdash.datasets import spilled_arrays; "
        "from lwdash.datasets.preprocessing import steps; from lwdash.datasets.readers import source; "
        "from lwdash.datasets.prepare import prepare; from lwdash.datasets.data_settings import DataSettings; "
        "spilled_arrays.MEMORY_BYTES = source.BLOCK_BYTES = steps.CHUNK_BYTES = 1 << 19; "
        "d = prepare(Path(sys.argv[1]), DataSettings(preprocess='scale(zscore, per=column)'), "
        "[('x', (200,), 'float32')], [('y', (3,), 'float32')]); d.save(Path(sys.argv[1] + '.npz')); "
        "print(int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]) / 1024)"
    )
    peaks = []
    for rows in (2_000, 50_000):
        path = tmp_path / f"{rows}.csv"
        header = "label," + ",".join(f"t{i}" for i in range(200))
        path.write_text(header + "\n" + "".join(f"{i % 3},{i}.5,{line}\n" for i in range(rows)))
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)],
            env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(float(done.stdout))
    # Not ru_maxrss, which a child inherits from its parent.
    # The large file is 40 MB of text and becomes 40 MB of values, mapped twice.
    assert peaks[1] - peaks[0] < 50, peaks
