"""Rows whose class changed: which, how sure the models were, and what the rows looked like."""

import json

import numpy as np
import pytest

from lwdash.measure.accuracy import judge
from lwdash.measure.flips import MAX_CHANGED_ROWS, MAX_ROWS_WITH_INPUT, changed_rows, find_flips, shrunk


def flips_of(ours: np.ndarray, theirs: np.ndarray, labels: np.ndarray | None, **options):
    inputs = options.pop("inputs", {"x": np.zeros((len(ours), 3))})
    task = options.pop("task", "classification")
    is_logit = options.pop("is_logit", False)
    run, baseline = ((judge(task, o, labels, inputs, is_logit=is_logit), o) for o in (ours, theirs))
    return find_flips(task, run, baseline, labels, inputs, is_logit=is_logit)


def test_lost_rows_come_first_with_label_classes_and_confidence() -> None:
    theirs = np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1], [0.2, 0.5, 0.3]])
    ours = np.array([[0.3, 0.6, 0.1], [0.7, 0.2, 0.1], [0.5, 0.25, 0.25], [0.1, 0.2, 0.7]])
    flips = flips_of(ours, theirs, np.array([2, 0, 1, 2]), inputs={"x": np.arange(12.0).reshape(4, 3)})
    assert [(f["row"], f["kind"], f["label"], f["baseline"], f["run"]) for f in flips] == [
        (2, "lost", 1, 1, 0), (3, "gained", 2, 1, 2), (0, "changed", 2, 0, 1)]  # fmt: skip
    assert [f["baseline_confidence"] for f in flips] == pytest.approx([0.8, 0.5, 0.7])
    assert [f["run_confidence"] for f in flips] == pytest.approx([0.5, 0.7, 0.6])
    assert flips[0]["input"] == {"shape": [3], "steps": [1], "values": [6.0, 7.0, 8.0]}
    json.dumps(flips, allow_nan=False)


def test_the_confidence_of_logits_and_of_single_outputs_is_a_probability() -> None:
    logits, other = np.array([[2.0, 0.0]]), np.array([[0.0, 1.0]])
    [flip] = flips_of(other, logits, None, is_logit=True)
    assert (flip["kind"], flip["label"]) == ("changed", None)
    assert flip["baseline_confidence"] == pytest.approx(np.e**2 / (np.e**2 + 1))
    assert flip["run_confidence"] == pytest.approx(np.e / (np.e + 1))
    [flip] = flips_of(np.array([[0.9]]), np.array([[0.2]]), np.array([1]), task="binary")
    assert (flip["kind"], flip["baseline"], flip["run"]) == ("gained", 0, 1)
    assert (flip["baseline_confidence"], flip["run_confidence"]) == (pytest.approx(0.8), pytest.approx(0.9))


def test_only_so_many_are_kept_and_drawn() -> None:
    theirs, ours = np.tile([0.9, 0.1], (300, 1)), np.tile([0.1, 0.9], (300, 1))
    flips = flips_of(ours, theirs, np.zeros(300, int))
    assert len(flips) == 200
    assert ["input" in f for f in flips] == [True] * MAX_ROWS_WITH_INPUT + [False] * (
        200 - MAX_ROWS_WITH_INPUT
    )


def test_tasks_without_one_class_a_row_have_no_flips() -> None:
    rows = {"x": np.zeros((2, 2))}
    assert flips_of(np.ones((2, 2)), np.zeros((2, 2)), None, task="reconstruction", inputs=rows) == ()


@pytest.mark.parametrize(
    ("shape", "steps", "kept"),
    [((5000,), [13], (385,)), ((5000, 2), [13], (385, 2)), ((28, 28, 1), [1, 1], (28, 28, 1)),
     ((224, 100, 3), [4, 2], (56, 50, 3)), ((40, 70), [1, 2], (40, 35)), ((4, 5, 6, 7), [3], (280,))],
)  # fmt: skip
def test_long_rows_are_thinned_out(shape, steps, kept) -> None:
    values = np.random.default_rng(0).normal(size=shape)
    small = shrunk(values)
    assert (small["shape"], small["steps"], np.shape(small["values"])) == (list(shape), steps, kept)
    first = np.asarray(small["values"]).reshape(-1)[0]
    assert first == pytest.approx(values.reshape(-1)[0], rel=1e-4)


def test_numbers_that_json_does_not_know_are_null() -> None:
    assert shrunk(np.array([1.0, np.nan]))["values"] == [1.0, None]


def judged(outputs: np.ndarray, labels: np.ndarray | None, task: str = "classification"):
    return judge(task, outputs, labels, {"x": np.zeros((len(outputs), 3))}, is_logit=False)


def test_every_row_that_turned_is_kept_by_number() -> None:
    theirs = np.eye(2)[[0, 0, 1, 1, 0]]
    ours = np.eye(2)[[0, 1, 0, 1, 1]]
    labels = np.array([0, 0, 0, 0, 1])
    assert changed_rows(judged(ours, labels), judged(theirs, labels)) == {"lost": [1], "gained": [2, 4]}
    many, other = np.eye(2)[np.zeros(MAX_CHANGED_ROWS, int)], np.eye(2)[np.ones(MAX_CHANGED_ROWS, int)]
    zeros = np.zeros(MAX_CHANGED_ROWS, int)
    assert changed_rows(judged(other, zeros), judged(many, zeros)) == {
        "lost": list(range(MAX_CHANGED_ROWS)),
        "gained": [],
    }
    many, other, zeros = (np.concatenate([a, a[:1]]) for a in (many, other, zeros))
    assert changed_rows(judged(other, zeros), judged(many, zeros)) is None, "more than is kept"


def test_rows_that_are_neither_right_nor_wrong_do_not_turn() -> None:
    outputs = np.linspace(0, 1, 6).reshape(6, 1)
    assert changed_rows(judged(outputs, None), judged(outputs, None)) is None
    numbers = judged(outputs, outputs[:, 0], "regression"), judged(outputs + 0.1, outputs[:, 0], "regression")
    assert changed_rows(*numbers) is None
    several = np.array([[0.9, 0.1], [0.9, 0.9]])
    labels = np.array([[1, 0], [0, 1]])
    one = judged(several, labels, "multi-label")
    assert changed_rows(one, one) in (None, {"lost": [], "gained": []})
