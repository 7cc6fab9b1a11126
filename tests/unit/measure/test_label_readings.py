"""Labels held against the model's own classes: wrong orders are found and named, poor models and few rows accuse nobody."""

import json

import numpy as np
import pytest

from lwdash.child.job_results import ComparedLabels, Failure, read_result
from lwdash.child.typed_messages import to_json
from lwdash.datasets.data_settings import DataSettings
from lwdash.datasets.linter.findings import ERROR, WARNING
from lwdash.engine.input_files.label_findings import label_findings
from lwdash.measure.label_readings import (
    BELOW_CHANCE,
    CANNOT_TELL,
    CONTRADICTED,
    FITS,
    compare_readings,
    doubted,
    is_below_chance,
)
from lwdash.measure.verdict import compare_right_rows

ACTIVITIES = ("walk", "sit", "stand", "lie", "jump")


def answers(truth, accuracy, classes, seed=0):
    """Classes given by a model that is right in this share of the rows, and guesses in the others."""
    chance = np.random.default_rng(seed)
    return np.where(chance.random(truth.shape) < accuracy, truth, chance.integers(0, classes, truth.shape))


def read(texts, order):
    return np.array([order.index(text) for text in texts])


def test_the_order_of_the_outputs_is_found_where_texts_were_sorted():
    truth = np.random.default_rng(1).integers(0, 2, 400)
    order = ("no", "yes")
    labels = read(np.array(["yes", "no"])[truth], order)
    found = compare_readings(answers(truth, 0.9, 2), labels, order, 2)
    assert (found.verdict, found.better.classes) == (CONTRADICTED, ("yes", "no"))
    assert found.better.accuracy == pytest.approx(1 - found.accuracy)
    truth = np.random.default_rng(2).integers(0, 5, 500)
    order = tuple(sorted(ACTIVITIES))
    found = compare_readings(answers(truth, 0.8, 5), read(np.array(ACTIVITIES)[truth], order), order, 5)
    assert (found.verdict, found.better.classes) == (CONTRADICTED, ACTIVITIES)
    assert found.better.accuracy > 0.8


@pytest.mark.parametrize("present", [(1, 2, 3, 4), (2,)])
def test_numbers_from_0_with_an_absent_class_are_not_numbers_from_1(present):
    truth = np.random.default_rng(3).choice(present, 300)
    found = compare_readings(answers(truth, 0.9, 5), truth - 1, ("1", "2", "3", "4", "5"), 5)
    assert (found.verdict, found.better.classes) == (CONTRADICTED, ("0", "1", "2", "3", "4"))
    assert "counted from 0" in found.better.rule


def test_a_class_for_each_pixel_is_held_against_the_model_too():
    truth = np.random.default_rng(4).integers(0, 2, (60, 8, 8))
    found = compare_readings(answers(truth, 0.8, 2), 1 - truth, ("0", "1"), 2)
    assert (found.verdict, found.better.classes) == (CONTRADICTED, ("1", "0"))
    assert compare_readings(answers(truth, 0.8, 2), truth, ("0", "1"), 2).verdict == FITS


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("rows", [20, 100, 1000])
def test_a_poor_model_with_the_right_labels_is_never_refused(classes, rows):
    names = tuple(map(str, range(classes)))
    for seed in range(10):
        for accuracy in (0.0, 0.2, 0.5, 0.9):
            truth = np.random.default_rng(seed).integers(0, classes, rows)
            given = answers(truth, accuracy, classes, seed + 1)
            assert compare_readings(given, truth, names, classes).verdict in (FITS, CANNOT_TELL)


def test_a_model_that_mixes_up_two_classes_is_not_refused():
    """Four of five classes are right and two are given as one: no other order is better."""
    truth = np.random.default_rng(5).integers(0, 5, 600)
    given = np.where(truth == 3, 2, truth)
    assert compare_readings(given, truth, ACTIVITIES, 5).verdict == FITS


def test_nothing_is_told_from_few_rows_or_one_answer():
    truth = np.arange(12) % 2
    found = compare_readings(truth, 1 - truth, ("a", "b"), 2)
    assert (found.verdict, found.reason) == (CANNOT_TELL, "12 rows are too few")
    uneven = (np.random.default_rng(6).random(1000) < 0.9).astype(int)
    found = compare_readings(np.zeros(1000, int), uneven, ("a", "b"), 2)
    assert (found.verdict, found.better) == (CANNOT_TELL, None)
    assert "one class for 100 %" in found.reason


def test_less_often_right_than_chance_is_told_even_by_a_little():
    truth = np.random.default_rng(7).integers(0, 2, 4000)
    found = compare_readings(answers(1 - truth, 0.09, 2), truth, ("a", "b"), 2)
    assert (found.verdict, found.better.classes) == (BELOW_CHANCE, ("b", "a"))
    assert is_below_chance([[5, 95], [95, 5]])
    assert not is_below_chance([[45, 55], [50, 50]])
    assert not is_below_chance([[5, 195], [0, 0]])


def test_a_model_below_chance_is_a_finding_that_stops():
    truth = np.random.default_rng(7).integers(0, 2, 4000)
    found = compare_readings(answers(1 - truth, 0.09, 2), truth, ("a", "b"), 2).to_dict()
    (finding,) = label_findings(ComparedLabels(found, ("a", "b")), DataSettings(), "state")
    assert (finding.code, finding.severity, finding.stops) == ("below-chance", ERROR, True)


def test_no_verdict_stands_on_a_baseline_below_chance():
    right, wrong = np.ones(200, bool), np.zeros(200, bool)
    verdict = doubted(compare_right_rows(right, wrong), 0.03)
    assert verdict.verdict == "cannot tell"
    assert "less often than chance (3 %)" in verdict.text
    assert "accuracy rose by 100.0" in verdict.text


def test_the_finding_names_the_option_and_stops_unless_insisted():
    truth = np.random.default_rng(8).integers(0, 2, 400)
    compared = compare_readings(truth, 1 - truth, ("good", "not good"), 2).to_dict()
    answer = read_result(json.loads(json.dumps(to_json(ComparedLabels(compared, ("good", "not good"))))))
    (finding,) = label_findings(answer, DataSettings(), "state")
    assert (finding.code, finding.severity, finding.stops) == ("labels-contradicted", ERROR, True)
    assert "--classes 'not good,good'" in finding.advice
    assert "--trust-labels" in finding.advice
    assert finding.fix == {"classes": ["not good", "good"]}
    (finding,) = label_findings(answer, DataSettings(trusts_labels=True), "state")
    assert (finding.severity, finding.stops) == (WARNING, False)
    assert label_findings(ComparedLabels(None, None), DataSettings(), None) == []
    (finding,) = label_findings(Failure("it took too long", is_fault=True), DataSettings(), "state")
    assert (finding.code, finding.stops) == ("labels-untold", False)
