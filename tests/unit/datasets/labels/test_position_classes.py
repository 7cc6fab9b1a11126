"""A class for each time step or pixel: read from columns, judged by position, compared row by row, read by a capsule."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lwdash.capsule.scripts import evaluate
from lwdash.datasets.data_inspection import inspect_data
from lwdash.datasets.data_settings import DataSettings
from lwdash.datasets.evaluation_rows import evaluation_rows
from lwdash.datasets.fit import Fit, fit_to_model
from lwdash.datasets.labels.position_classes import label_shape, position_axes
from lwdash.datasets.linter.checks import lint
from lwdash.datasets.prepare import prepare
from lwdash.errors import DataRefused
from lwdash.measure.accuracy import judge
from lwdash.measure.position_accuracy import by_position, compare_positions, compare_positions_without_labels

SEQUENCE = [("x", (6, 2), "float32")], [("y", (6, 3), "float32")]
IMAGE = [("x", (4, 5, 1), "float32")], [("y", (4, 5, 1), "float32")]


def table(path: Path, values: int, labels: np.ndarray) -> Path:
    chance = np.random.default_rng(0)
    frame = pd.DataFrame(
        chance.normal(size=(len(labels), values)).round(4), columns=[f"x{i}" for i in range(values)]
    )
    own = pd.DataFrame(labels, columns=[f"s{i}" for i in range(labels.shape[1])])
    pd.concat([frame, own], axis=1).to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    ("shape", "task", "axes"),
    [
        ((16, 3), "classification", (16,)),
        ((None, None, 21), "classification", (None, None)),
        ((8, 8, 1), "binary", (8, 8)),
        ((8, 8), "multi-label", (8, 8)),
        ((16, 3), "regression", ()),
        ((3,), "classification", ()),
        ((1, 1, 10), "classification", (1, 1)),
    ],
)
def test_axes_follow_from_output_and_task(shape, task, axes):
    assert position_axes(shape, task) == axes


def test_open_axes_are_those_of_the_input_where_they_fit():
    assert label_shape((None, None), 12, [(3, 4, 1)]) == (3, 4)
    assert label_shape((None, None), 16, [(3, 4, 1)]) == (4, 4)
    assert label_shape((6,), 7) is None


@pytest.mark.parametrize("named", [("0", "1", "2"), ("1", "2", "3"), ("noise", "normal", "ectopic")])
def test_a_class_for_each_step_is_read_in_order(tmp_path, named):
    truth = np.random.default_rng(1).integers(0, 3, (90, 6))
    path = table(tmp_path / "d.csv", 12, np.array(named, object)[truth])
    settings = DataSettings(label="s0..s5", classes=named if named[0] == "noise" else None)
    data = prepare(path, settings, *SEQUENCE, task="classification")
    assert (data.task, data.classes, data.labels.shape) == ("classification", named, (90, 6))
    np.testing.assert_array_equal(data.labels, truth)
    facts = inspect_data(path)
    fit = fit_to_model(facts, settings, *SEQUENCE, task="classification")
    assert fit.label_shape == (6,)
    assert Fit.from_dict(fit.to_dict()) == fit
    assert "a class for each of 6 steps" in fit.explanation
    assert not [finding for finding in lint(data, fit, facts.names) if finding.severity == "error"]


@pytest.mark.parametrize("high", [1, 255])
def test_a_mask_of_each_pixel_is_read_though_the_model_looks_like_an_autoencoder(tmp_path, high):
    truth = np.random.default_rng(2).integers(0, 2, (60, 20))
    path = table(tmp_path / "d.csv", 20, truth * high)
    data = prepare(path, DataSettings(label="s0..s19"), *IMAGE, task="reconstruction", labelled_task="binary")
    assert (data.task, data.labels.shape) == ("binary", (60, 4, 5))
    np.testing.assert_array_equal(data.labels.reshape(60, -1), truth)


def test_one_column_for_many_positions_is_refused_with_the_remedy(tmp_path):
    path = table(tmp_path / "d.csv", 12, np.arange(40)[:, None] % 3)
    with pytest.raises(
        DataRefused, match=r"a class for each of 6 steps .* 's0' holds one value .* first\.\.last"
    ):
        prepare(path, DataSettings(label="s0"), *SEQUENCE, task="classification")


def test_one_class_on_an_output_with_axes_of_length_one_is_judged(tmp_path):
    truth = np.arange(60) % 3
    path = table(tmp_path / "d.csv", 12, truth[:, None])
    ports = SEQUENCE[0], [("y", (1, 1, 3), "float32")]
    data = prepare(path, DataSettings(label="s0"), *ports, task="classification")
    outputs = np.eye(3)[truth][:, None, None]
    assert judge("classification", outputs, data.labels, {}).accuracy == 1.0


def test_metrics_are_counted_by_hand():
    labels = np.array([[0, 0, 1, 1], [2, 2, 2, 2]])
    given = np.array([[0, 1, 1, 1], [2, 2, 2, 0]])
    quality = by_position(judge("classification", np.eye(4)[given], labels, {}))
    assert quality.accuracy == 6 / 8
    assert quality.positions == 4
    assert quality.iou == (1 / 3, 2 / 3, 3 / 4, None)
    assert quality.mean_iou == pytest.approx((1 / 3 + 2 / 3 + 3 / 4) / 3)
    assert quality.to_dict()["iou"] == [1 / 3, 2 / 3, 3 / 4, None]


def test_the_verdict_counts_rows_and_not_positions():
    """Ten rows of a thousand positions, three of them much worse: no proof, though 600 positions of 10,000 changed."""
    right = np.full(10, 0.9)
    worse = right.copy()
    worse[:3] -= 0.2
    assert compare_positions(worse, right, 1000).verdict == "cannot tell"
    many = np.random.default_rng(3).normal(0.05, 0.02, 300)
    verdict = compare_positions(0.9 - many, np.full(300, 0.9), 1000)
    assert verdict.verdict == "worse"
    assert "300 rows of 1,000 positions" in verdict.text
    assert compare_positions_without_labels(np.full(50, 0.999), 1000).verdict == "equivalent"


@pytest.mark.parametrize(("rows", "verdict"), [(6, "cannot tell"), (200, "cannot tell"), (400, "equivalent")])
def test_rows_without_any_change_prove_as_much_as_the_rule_of_three(rows, verdict):
    """Of 6 rows none changed: up to 39 % of all rows may be of a kind that does change."""
    right = np.random.default_rng(6).uniform(0.5, 1, rows)
    found = compare_positions(right, right, 1000)
    assert found.verdict == verdict
    assert found.difference == 0
    assert found.interval[1] == -found.interval[0] == pytest.approx(1 - 0.05 ** (1 / rows))
    assert compare_positions_without_labels(np.ones(rows), 1000).verdict == verdict


def test_an_interval_of_right_rows_has_a_width():
    labels = np.zeros((6, 4), int)
    quality = by_position(judge("classification", np.eye(3)[labels], labels, {}))
    assert quality.accuracy == 1
    assert quality.accuracy_ci == (pytest.approx(0.05 ** (1 / 6)), 1.0)


def test_rare_changes_are_inside_the_interval_in_95_of_100_cases():
    chance = np.random.default_rng(7)
    held = []
    for _ in range(200):
        change = np.where(chance.random(12) < 0.1, -chance.random(12), 0.0)
        low, high = compare_positions(1 + change, np.ones(12), 100).interval
        held.append(low <= -0.05 <= high)
    assert np.mean(held) >= 0.95


def test_several_yes_or_no_labels_are_compared_by_row_like_positions():
    labels = np.random.default_rng(8).integers(0, 2, (6, 5))
    outputs = np.where(labels == 1, 0.9, 0.1)
    outputs[0, 0] = 1 - outputs[0, 0]
    quality = judge("multi-label", outputs, labels, {})
    found = compare_positions(quality.row_scores, quality.row_scores, 5, of="labels")
    assert found.verdict == "cannot tell"
    assert "the share of right labels changed by 0.00 points" in found.text
    assert "6 rows of 5 labels" in found.text


def test_a_capsule_reads_and_judges_the_same(tmp_path):
    truth = np.random.default_rng(4).integers(0, 3, (60, 6))
    path = table(tmp_path / "d.csv", 12, truth)
    settings = DataSettings(label="s0..s5")
    data = prepare(path, settings, *SEQUENCE, task="classification")
    plan, arrays = evaluation_rows(path, settings, *SEQUENCE, data, task="classification")
    labels = evaluate.labels_of(evaluate.read_rows(path, plan, set(arrays["lines"].tolist())), plan)
    inputs, own = data.part("evaluation")
    np.testing.assert_array_equal(labels, own)
    outputs = np.random.default_rng(5).uniform(size=(*own.shape, 3))
    quality = by_position(judge("classification", outputs, own, inputs))
    assert evaluate.judge("classification", outputs, labels, [], None) == pytest.approx(
        {"accuracy": quality.accuracy, "mean_iou": quality.mean_iou}
    )
