"""Outputs and targets judged one by one: lost ones are named, whatever the others' size."""

import numpy as np
import pytest

from lwdash.measure.accuracy import judge
from lwdash.measure.fidelity import OutputFidelity, output_fidelity, output_findings, task_of_output
from lwdash.measure.target_verdict import (
    compare_numbers_without_labels,
    compare_targets,
    with_lost_outputs,
)
from lwdash.measure.verdict import BETTER, CANNOT_TELL, EQUIVALENT, WORSE, Verdict, compare_without_labels

ROWS = 300
RNG = np.random.default_rng(4)
LARGE = 5e4 + 1e4 * RNG.normal(size=ROWS)
SMALL = 1e-2 * RNG.normal(size=ROWS)
BOTH = np.stack([LARGE, SMALL], axis=1)


def fidelity(outputs: np.ndarray, reference: np.ndarray, task: str = "regression") -> OutputFidelity:
    return output_fidelity(task, "y", outputs.astype("float32"), reference.astype("float32"))


def flat(values: np.ndarray, column: int) -> np.ndarray:
    copy = values.copy()
    copy[:, column] = 0.0
    return copy


def test_a_small_number_that_became_constant_is_named_beside_a_large_one() -> None:
    found = fidelity(flat(BOTH, 1), BOTH)
    assert (found.sqnr_db or 0) > 100, "over all numbers nothing is to be seen"
    assert found.is_constant
    assert found.is_lost
    assert found.worst_target == 1
    assert found.variation_sqnr_db == pytest.approx(0.0, abs=0.1)
    (text,) = output_findings([found])
    assert text.startswith("Number 2 of the output is constant over the rows, but varies in the original")
    worse = with_lost_outputs(Verdict(CANNOT_TELL, "Cannot tell"), [found])
    assert worse.verdict == WORSE
    assert "Number 2" in worse.text


def test_each_number_has_the_db_of_its_own_variation() -> None:
    noise = np.array([0.1 * 1e4, 0.01 * 1e-2]) * RNG.normal(size=BOTH.shape)
    found = fidelity(BOTH + noise, BOTH)
    assert [t.variation_sqnr_db for t in found.targets] == pytest.approx([20, 40], abs=1)
    assert found.worst_target == 0
    assert output_findings([found]) == []


def test_a_constant_at_the_mean_is_lost_however_high_its_sqnr() -> None:
    reference = 5e4 + 10 * RNG.normal(size=(ROWS, 1))
    found = fidelity(np.full_like(reference, 5e4), reference)
    assert found.sqnr_db is not None
    assert found.sqnr_db > 70
    assert found.is_constant


def test_half_of_the_spread_as_error_is_poor_and_more_is_lost() -> None:
    reference = RNG.normal(size=(ROWS, 1))
    poor, lost = (
        fidelity(reference + share * RNG.normal(size=reference.shape), reference) for share in (0.5, 1.0)
    )
    assert not poor.is_lost
    assert "hardly follows" in output_findings([poor])[0]
    assert lost.is_lost


@pytest.mark.parametrize(
    ("task", "level", "spread"), [("classification", 1e-3, 7e-9), ("regression", 300.0, 1e-4)]
)
def test_outputs_that_hardly_vary_are_a_finding_and_nothing_else(
    task: str, level: float, spread: float
) -> None:
    reference = level + spread * RNG.normal(size=(ROWS, 1000 if task == "classification" else 1))
    found = fidelity(np.full_like(reference, level), reference, task)
    assert not found.is_constant, "what does not vary cannot be lost"
    (text,) = output_findings([found])
    assert "hardly varies" in text
    assert "No metric of this output is meaningful" in text


def test_a_softmax_over_one_number_is_named() -> None:
    ones = np.ones((ROWS, 1))
    (text,) = output_findings([fidelity(ones, ones, "binary")])
    assert "a softmax over one number" in text
    (other,) = output_findings([fidelity(0.4 * ones, 0.4 * ones, "binary")])
    assert "softmax" not in other


def test_rows_of_one_class_are_no_lost_output() -> None:
    reference = np.tile([0.996, 0.004], (ROWS, 1)) + 1e-3 * RNG.normal(size=(ROWS, 1)) * [1, -1]
    assert not fidelity(np.tile([0.996, 0.004], (ROWS, 1)), reference, "classification").is_constant


def test_only_rows_of_probabilities_are_classes() -> None:
    assert task_of_output(np.tile([0.25, 0.75], (4, 1))) == "classification"
    assert task_of_output(RNG.normal(size=(4, 4))) == "regression"
    assert task_of_output(np.full((4, 1), 0.5)) == "regression"


def test_targets_are_measured_in_their_own_spread_and_the_worst_comes_first() -> None:
    outputs = flat(BOTH, 1)
    quality = judge("regression", outputs, BOTH, {})
    assert quality.r2 == pytest.approx(1.0)
    assert quality.worst_target == 1
    assert quality.nrmse == pytest.approx(np.sqrt((SMALL**2).mean()) / SMALL.std())
    assert quality.worst_r2 == pytest.approx(0.0, abs=0.01)
    assert quality.targets is not None
    assert quality.targets[0]["nrmse"] == 0.0
    single = judge("regression", LARGE[:, None], LARGE[:, None], {})
    assert single.nrmse is None, "a single target has its own unit"


def test_the_worst_target_decides() -> None:
    base = np.abs(RNG.normal(size=(ROWS, 2))) * [1e3, 1e-3]
    worse = base * [0.5, 2.0]
    verdict = compare_targets(worse, base, BOTH)
    assert verdict.verdict == WORSE
    assert "target 2 of 2" in verdict.text
    assert compare_targets(base, base, BOTH).verdict == EQUIVALENT
    assert compare_targets(base * [1.0, 0.5], base, BOTH).verdict == BETTER


def test_numbers_without_labels_are_judged_by_what_the_original_varies_by() -> None:
    reference = RNG.normal(size=(ROWS, 2)) * [1e4, 1e-2]

    def verdict(share: float) -> Verdict:
        outputs = reference + share * RNG.normal(size=reference.shape) * [0.0, 1e-2]
        return compare_numbers_without_labels(output_fidelity("regression", "y", outputs, reference), ROWS)

    assert verdict(0.0).verdict == EQUIVALENT
    assert verdict(0.002).verdict == EQUIVALENT
    assert verdict(0.1).verdict == CANNOT_TELL
    assert "number 2" in verdict(0.1).text
    assert verdict(2.0).verdict == WORSE


def test_whole_rows_and_single_answers_are_both_told() -> None:
    verdict = compare_without_labels(71, 150, single=(1132, 1200))
    assert "all of the original's classes on 71 of 150 rows" in verdict.text
    assert (
        "of the 1,200 single outputs, 8 per row, 94.3 % equal the original's (the agreement)" in verdict.text
    )


@pytest.mark.parametrize(
    ("task", "reference", "coarse"),
    [
        ("binary", [[0.52], [0.47], [0.9], [0.1]], [[0.5], [0.5], [0.9], [0.1]]),
        ("binary", [[0.2], [-0.3], [4.0], [-5.0]], [[0.0], [0.0], [4.0], [-5.0]]),
        ("classification", [[0.52, 0.48], [0.4, 0.6], [0.9, 0.1]], [[0.5, 0.5], [0.5, 0.5], [0.9, 0.1]]),
    ],
)
def test_answers_that_integers_leave_on_the_border_of_two_classes_are_a_finding(
    task: str, reference: list[list[float]], coarse: list[list[float]]
) -> None:
    """Their class is that of the comparison, not of the network: a mask lost a tenth of its pixels in this way."""
    theirs, ours = (np.repeat(np.array(rows, np.float32), 10, axis=0) for rows in (reference, coarse))
    found = output_fidelity(task, "mask", ours, theirs)
    assert found.undecided == 2 / len(reference)
    (finding,) = output_findings([found])
    assert "exactly on the border of two classes" in finding
    assert output_findings([output_fidelity(task, "mask", theirs, theirs)]) == []
    few = output_fidelity(task, "mask", np.array(coarse, np.float32), np.array(reference, np.float32))
    assert few.undecided == 0, "two answers may be chance"
