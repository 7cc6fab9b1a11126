"""Labels of several numbers a row: found or named, read, divided, refused where they cannot be right, read by a capsule."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lwdash.capsule.scripts import evaluate
from lwdash.datasets.data_facts import DataFacts, named_run
from lwdash.datasets.data_inspection import inspect_data
from lwdash.datasets.data_settings import DataSettings
from lwdash.datasets.dataset import Dataset
from lwdash.datasets.evaluation_rows import evaluation_rows
from lwdash.datasets.fit import fit_to_model
from lwdash.datasets.linter.checks import lint
from lwdash.datasets.prepare import prepare
from lwdash.errors import DataRefused
from lwdash.measure.accuracy import judge

INPUTS, OUTPUTS = [("x", (4,), "float32")], [("y", (2,), "float32")]
CHANCE = np.random.default_rng(0)


def table(path: Path, answers: np.ndarray, names: tuple[str, str] = ("pulse", "pressure")) -> Path:
    frame = pd.DataFrame(CHANCE.normal(size=(len(answers), 4)).round(4), columns=list("abcd"))
    frame[list(names)] = answers
    frame.to_csv(path, index=False)
    return path


def test_targets_named_by_hand_are_read_in_order_and_divided_evenly(tmp_path: Path) -> None:
    truth = np.column_stack([np.arange(200) * 1000.0, CHANCE.normal(size=200)])
    path = table(tmp_path / "d.csv", truth)
    settings = DataSettings(label="pulse..pressure")
    facts = inspect_data(path, label=settings.label)
    data = prepare(
        path, settings, INPUTS, OUTPUTS, task="regression", facts=DataFacts.from_dict(facts.to_dict())
    )
    assert (data.task, data.label, data.output, data.classes) == (
        "regression",
        "pulse..pressure",
        "y",
        ("pulse", "pressure"),
    )
    np.testing.assert_allclose(data.labels, truth, rtol=1e-6)
    for rows in data.parts.values():
        assert 70_000 < truth[rows, 0].mean() < 130_000
    data.save(tmp_path / "kept.npz")
    inputs, labels = Dataset.load(tmp_path / "kept.npz").part("evaluation")
    assert labels is not None
    assert judge("regression", labels + 1, labels, inputs).mae == pytest.approx(1.0, rel=1e-3)


def test_several_counts_a_row_are_not_taken_for_classes(tmp_path: Path) -> None:
    def codes(label: str, outputs: int) -> list[str]:
        settings, ports = (
            DataSettings(label=label, ignored=() if outputs > 1 else ("pulse",)),
            [("y", (outputs,), "float32")],
        )
        fit = fit_to_model(facts, settings, INPUTS, ports, task="regression")
        data = prepare(path, settings, INPUTS, ports, task="regression", facts=facts)
        return [finding.code for finding in lint(data, fit, facts.names)]

    path = table(tmp_path / "d.csv", CHANCE.integers(0, 4, (200, 2)))
    facts = inspect_data(path)
    assert "number-or-class" in codes("pressure", 1)
    assert "number-or-class" not in codes("pulse..pressure", 2)


def test_yes_and_no_answers_are_found_and_named(tmp_path: Path) -> None:
    truth = CHANCE.integers(0, 2, (100, 2))
    path = table(tmp_path / "d.csv", truth, ("afib", "pvc"))
    data = prepare(path, DataSettings(), INPUTS, OUTPUTS, task="multi-label")
    assert (data.task, data.label, data.classes) == ("multi-label", "afib..pvc", ("afib", "pvc"))
    np.testing.assert_array_equal(data.labels, truth)
    inputs, labels = data.part("evaluation")
    assert labels is not None
    quality = judge("multi-label", labels * 0.9, labels, inputs)
    assert (quality.accuracy, quality.recalls) == (1.0, (1.0, 1.0))


def test_what_cannot_be_right_is_refused_with_its_place(tmp_path: Path) -> None:
    truth = CHANCE.integers(0, 2, (50, 2)).astype(object)
    truth[7, 1] = 3
    settings = DataSettings(label="afib..pvc")
    path = table(tmp_path / "d.csv", truth, ("afib", "pvc"))
    with pytest.raises(DataRefused, match=r"row 9: label column 'pvc' holds 3, .* 0 or 1"):
        prepare(path, settings, INPUTS, OUTPUTS, task="multi-label")
    truth[:, 1] = "yes"
    with pytest.raises(DataRefused, match=r"label column 'pvc' holds text"):
        prepare(table(path, truth, ("afib", "pvc")), settings, INPUTS, OUTPUTS, task="regression")
    truth[:, 1] = 1
    truth[7, 1] = None
    with pytest.raises(DataRefused, match="column 'pvc'"):
        prepare(table(path, truth, ("afib", "pvc")), settings, INPUTS, OUTPUTS, task="regression")
    with pytest.raises(DataRefused, match=r"has 2 columns .* 'y' has 3 numbers"):
        prepare(path, settings, INPUTS, [("y", (3,), "float32")], task="regression")
    with pytest.raises(DataRefused, match="both the label and ignored"):
        prepare(path, DataSettings(label="afib..pvc", ignored=("pvc",)), INPUTS, OUTPUTS, task="regression")


@pytest.mark.parametrize("separator", [",", ";"])
def test_a_capsule_reads_and_judges_the_same_without_lwdash(tmp_path: Path, separator: str) -> None:
    truth = CHANCE.integers(0, 2, (60, 2))
    path = table(tmp_path / "d.csv", truth, ("afib", "pvc"))
    if separator == ";":
        path.write_text(path.read_text().replace(",", ";").replace(".", ","))
    data = prepare(path, DataSettings(), INPUTS, OUTPUTS, task="multi-label")
    plan, arrays = evaluation_rows(path, DataSettings(), INPUTS, OUTPUTS, data, task="multi-label")
    cells = evaluate.read_rows(path, plan, set(arrays["lines"].tolist()))
    labels = evaluate.labels_of(cells, plan)
    inputs, own = data.part("evaluation")
    np.testing.assert_array_equal(labels, own)
    outputs = CHANCE.uniform(size=labels.shape)
    figures = evaluate.judge("multi-label", outputs, labels, [], None)
    assert figures == {"accuracy": judge("multi-label", outputs, own, inputs).accuracy}


def test_a_run_is_named_by_its_ends_even_where_names_have_dots() -> None:
    names = ("a", "b..c", "d", "e")
    assert named_run(names, "a..d") == (0, 1, 2)
    assert named_run(names, "b..c..e") == (1, 2, 3)
    assert named_run(names, "d..a") == named_run(names, "a..z") == named_run(names, "a") == ()
