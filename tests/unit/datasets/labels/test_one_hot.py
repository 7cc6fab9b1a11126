"""Labels of one column a class: found, fitted, read and refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lwdash.capsule.scripts import evaluate
from lwdash.datasets.data_facts import DataFacts
from lwdash.datasets.data_inspection import inspect_data
from lwdash.datasets.data_settings import DataSettings
from lwdash.datasets.evaluation_rows import evaluation_rows
from lwdash.datasets.fit import Fit, fit_to_model
from lwdash.datasets.prepare import prepare
from lwdash.errors import DataRefused

INPUTS = [("x", (6,), "float32")]
OUTPUTS = [("y", (3,), "float32")]
KINDS = ["sinus", "afib", "noise"]
RANDOM = np.random.default_rng(2)


def table(rows: int = 40, *, at: str = "last", names: list[str] = KINDS) -> tuple[pd.DataFrame, np.ndarray]:
    """Six measured columns and three of the label, with the class of each row."""
    classes = RANDOM.integers(0, 3, rows)
    measured = pd.DataFrame(RANDOM.normal(size=(rows, 6)).round(3), columns=[f"t{i}" for i in range(6)])
    labels = pd.DataFrame(np.eye(3, dtype=int)[classes], columns=names)
    return pd.concat([measured, labels] if at == "last" else [labels, measured], axis=1), classes


def written(path: Path, frame: pd.DataFrame, **how: object) -> Path:
    frame.to_csv(path, index=False, **how)  # type: ignore[call-overload]
    return path


@pytest.mark.parametrize("at", ["first", "last"])
@pytest.mark.parametrize("names", [KINDS, ["class_a", "class_b", "class_c"]])
@pytest.mark.parametrize("is_chosen", [False, True])
def test_columns_of_a_class_each_are_the_label(
    tmp_path: Path, at: str, names: list[str], is_chosen: bool
) -> None:
    frame, classes = table(at=at, names=names)
    path = written(tmp_path / "d.csv", frame, sep=";", decimal=",")
    settings = DataSettings(label=f"{names[0]}..{names[2]}" if is_chosen else None)
    data = prepare(path, settings, INPUTS, OUTPUTS, task="classification")
    assert data.label == f"{names[0]}..{names[2]}"
    assert data.classes == tuple(names)  # the order of the columns, not the sorted one
    np.testing.assert_array_equal(data.labels, classes)
    np.testing.assert_allclose(data.inputs["x"], frame.drop(columns=names), atol=1e-6)


def test_an_index_before_the_columns_is_left_out(tmp_path: Path) -> None:
    frame, classes = table(at="first")
    frame.to_csv(tmp_path / "d.csv")
    data = prepare(tmp_path / "d.csv", DataSettings(), INPUTS, OUTPUTS)
    np.testing.assert_array_equal(data.labels, classes)
    assert "'Unnamed: 0' counts the rows" in data.warnings[0]


def test_what_was_found_survives_storage(tmp_path: Path) -> None:
    frame, classes = table()
    facts = inspect_data(written(tmp_path / "d.csv", frame))
    again = DataFacts.from_dict(facts.to_dict())
    assert again == facts
    fit = fit_to_model(again, DataSettings(), INPUTS, OUTPUTS)
    assert fit.label_columns == (6, 7, 8)
    assert fit.class_counts == tuple(zip(KINDS, np.bincount(classes, minlength=3).tolist(), strict=True))
    assert Fit.from_dict(fit.to_dict()) == fit


def test_the_users_order_of_the_outputs_is_kept(tmp_path: Path) -> None:
    frame, classes = table()
    settings = DataSettings(classes=("noise", "sinus", "afib"))
    data = prepare(written(tmp_path / "d.csv", frame), settings, INPUTS, OUTPUTS)
    np.testing.assert_array_equal(data.labels, np.array([1, 2, 0])[classes])


def test_a_file_of_its_own_for_a_part_is_read_alike_and_a_row_without_a_one_is_named(tmp_path: Path) -> None:
    frame, _ = table()
    own, classes = table(12)
    path, extra = written(tmp_path / "d.csv", frame), written(tmp_path / "e.csv", own)
    data = prepare(path, DataSettings(), INPUTS, OUTPUTS, evaluation_path=extra)
    np.testing.assert_array_equal(data.part("evaluation")[1], classes)
    own.loc[4, KINDS] = [1, 0, 1]
    written(extra, own)
    with pytest.raises(DataRefused, match=r"e.csv, row 6: .* sinus … noise one must be 1 .* hold 1, 0, 1"):
        prepare(path, DataSettings(), INPUTS, OUTPUTS, evaluation_path=extra)


def test_a_capsule_reads_the_same_labels_without_lwdash(tmp_path: Path) -> None:
    frame, _ = table()
    path = written(tmp_path / "d.csv", frame, sep=";", decimal=",")
    data = prepare(path, DataSettings(), INPUTS, OUTPUTS)
    plan, arrays = evaluation_rows(path, DataSettings(), INPUTS, OUTPUTS, data)
    cells = evaluate.read_rows(path, plan, set(arrays["lines"].tolist()))
    np.testing.assert_array_equal(evaluate.labels_of(cells, plan), data.part("evaluation")[1])


def test_other_tables_of_zeros_and_ones_are_no_label(tmp_path: Path) -> None:
    frame, _ = table()
    several = frame.assign(noise=1)
    facts = inspect_data(written(tmp_path / "d.csv", several))
    assert not any(c.columns for c in facts.candidates)
    facts = inspect_data(tmp_path / "d.csv", label="sinus..noise")
    with pytest.raises(DataRefused, match="one of them must be 1"):
        fit_to_model(facts, DataSettings(label="sinus..noise"), INPUTS, OUTPUTS, task="classification")
    with pytest.raises(DataRefused, match=r"'sinus\.\.flutter' is not in the CSV"):
        inspect_data(tmp_path / "d.csv", label="sinus..flutter")
    # One-hot features that the model takes stay inputs, beside a label or without one.
    facts = inspect_data(written(tmp_path / "d.csv", frame))
    fit = fit_to_model(facts, DataSettings(), [("x", (9,), "float32")], OUTPUTS)
    assert (fit.label, len(fit.inputs[0].columns)) == (None, 9)
    labelled = frame.assign(label=np.arange(len(frame)) % 3)
    facts = inspect_data(written(tmp_path / "d.csv", labelled))
    assert fit_to_model(facts, DataSettings(), [("x", (9,), "float32")], OUTPUTS).label == "label"


def test_more_columns_than_outputs_are_refused(tmp_path: Path) -> None:
    frame, _ = table()
    facts = inspect_data(written(tmp_path / "d.csv", frame))
    with pytest.raises(DataRefused, match="are 3 classes, but the model has 4 outputs"):
        fit_to_model(facts, DataSettings(label="sinus..noise"), INPUTS, [("y", (4,), "float32")])
