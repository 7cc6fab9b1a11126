"""Figures of quality against scikit-learn, SciPy and arithmetic done by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special, stats
from sklearn import metrics

from lwdash.errors import DataRefused
from lwdash.measure.accuracy import (
    agreement,
    decibels,
    judge,
    kl_nats,
    looks_like_logits,
    sqnr_db,
    wilson_interval,
)


def random_outputs(rows=200, classes=4, seed=0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, rows)
    logits = generator.normal(size=(rows, classes)) + 1.5 * np.eye(classes)[labels]
    return special.softmax(logits, axis=1).astype(np.float32), labels


def test_classification_figures_are_scikit_learns():
    outputs, labels = random_outputs()
    quality = judge("classification", outputs, labels, {})
    predicted = outputs.argmax(1)
    assert quality.accuracy == pytest.approx(metrics.accuracy_score(labels, predicted))
    np.testing.assert_array_equal(quality.confusion, metrics.confusion_matrix(labels, predicted))
    np.testing.assert_allclose(quality.recalls, metrics.recall_score(labels, predicted, average=None))


def test_a_class_without_rows_has_no_recall():
    quality = judge("classification", np.eye(3, dtype=np.float32)[[0, 1, 1]], np.array([0, 0, 1]), {})
    assert quality.recalls == (0.5, 1.0, None)
    assert quality.confusion == ((1, 1, 0), (0, 1, 0), (0, 0, 0))


@pytest.mark.parametrize(("hits", "rows"), [(0, 10), (10, 10), (7, 10), (81, 263), (950, 1000)])
def test_wilson_interval_is_scipys(hits, rows):
    expected = stats.binomtest(hits, rows).proportion_ci(method="wilsoncc")
    assert wilson_interval(hits, rows) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize("rows", [20, 50, 100, 200, 500])
def test_the_interval_covers_at_every_accuracy(rows):
    """Exact binomial sums, not a simulation: at every single accuracy, where an average would hide the dips."""
    hits = np.arange(rows + 1)
    low, high = np.array([wilson_interval(int(k), rows) for k in hits]).T
    shares = np.arange(0.5, 0.9901, 0.001)[:, None]
    covered = (stats.binom.pmf(hits, rows, shares) * ((low <= shares) & (shares <= high))).sum(axis=1)
    assert covered.min() >= 0.95
    assert covered.mean() <= 0.98, "nor is it wider than it has to be"


def test_binary_is_cut_at_one_half_or_at_zero_for_logits():
    outputs, labels = np.array([[0.4], [0.6], [0.9], [0.1]], np.float32), np.array([0, 1, 0, 0])
    quality = judge("binary", outputs, labels, {})
    assert (quality.accuracy, quality.recalls, quality.confusion) == (0.75, (2 / 3, 1.0), ((2, 1), (0, 1)))
    logits = np.array([[-0.1], [0.2], [3.0], [-9.0]], np.float32)
    assert judge("binary", logits, labels, {}, is_logit=True).accuracy == 0.75
    assert judge("binary", logits, labels, {}, is_logit=False).accuracy == 0.5


def test_multi_label_needs_every_label_of_a_row():
    outputs = np.array([[0.9, 0.2], [0.9, 0.8], [0.1, 0.1]], np.float32)
    labels = np.array([[1, 0], [1, 0], [0, 1]])
    quality = judge("multi-label", outputs, labels, {})
    assert quality.accuracy == pytest.approx(metrics.accuracy_score(labels, outputs > 0.5)) == 1 / 3
    assert quality.recalls == (1.0, 0.0)


def test_regression_figures_are_scikit_learns():
    generator = np.random.default_rng(3)
    truth = generator.normal(size=50).astype(np.float32)
    outputs = (truth + 0.3 * generator.normal(size=50)).astype(np.float32)[:, None]
    quality = judge("regression", outputs, truth, {})
    assert quality.mae == pytest.approx(metrics.mean_absolute_error(truth, outputs))
    assert quality.rmse == pytest.approx(metrics.root_mean_squared_error(truth, outputs[:, 0]))
    assert quality.r2 == pytest.approx(metrics.r2_score(truth, outputs[:, 0]))
    assert quality.targets is None
    assert judge("regression", outputs, np.ones(50), {}).r2 is None


def test_several_targets_have_figures_of_their_own_and_together():
    generator = np.random.default_rng(4)
    truth = generator.normal(size=(50, 2)) * [1, 100]
    outputs = truth + generator.normal(size=(50, 2)) * [0.3, 5]
    quality = judge("regression", outputs, truth, {})
    assert quality.r2 == pytest.approx(metrics.r2_score(truth, outputs, multioutput="variance_weighted"))
    assert quality.mae == pytest.approx(metrics.mean_absolute_error(truth, outputs))
    assert quality.targets is not None
    for name, figure in (("mae", metrics.mean_absolute_error), ("r2", metrics.r2_score)):
        expected = figure(truth, outputs, multioutput="raw_values")
        assert [target[name] for target in quality.targets] == pytest.approx(expected)


def test_reconstruction_is_held_against_the_input_of_its_shape():
    inputs = {"noise": np.zeros((2, 3)), "image": np.array([[1.0, 2, 3, 4], [0, 0, 0, 0]]).reshape(2, 2, 2)}
    outputs = np.array([[1.0, 2, 3, 6], [0, 0, 2, 0]], np.float32)
    quality = judge("reconstruction", outputs, None, inputs)
    assert quality.reconstruction_error == pytest.approx((4 + 4) / 8)
    assert quality.mae == pytest.approx(4 / 8)
    np.testing.assert_allclose(quality.row_scores, [1, 1])
    with pytest.raises(DataRefused, match="cannot reconstruct any input"):
        judge("reconstruction", outputs[:, :1], None, inputs)


@pytest.mark.parametrize(
    ("task", "labels", "message"),
    [
        ("classification", np.array([0, 5]), "label 5 has no output: the model has 3 classes, 0 to 2"),
        ("classification", np.array([0, -1]), "label -1 has no output"),
        ("classification", np.array([0]), "the model gave 2 rows of output, but there are 1 labels"),
        ("guessing", np.array([0, 1]), "unknown task 'guessing'"),
        ("regression", np.array([0, 1]), "3 outputs per row, but 1 targets per row"),
    ],
)
def test_labels_that_do_not_fit_are_refused(task, labels, message):
    with pytest.raises(DataRefused, match=message):
        judge(task, np.ones((2, 3), np.float32), labels, {})


def test_sqnr_by_hand_and_without_a_difference():
    reference = np.array([[3.0, 4.0]], np.float32)
    assert sqnr_db(reference, np.array([[3.0, 3.5]], np.float32)) == pytest.approx(10 * math.log10(25 / 0.25))
    assert sqnr_db(reference, reference) is None
    assert sqnr_db(np.zeros((1, 2)), reference) is None


def test_the_logarithm_of_zero_inside_a_network_has_no_decibels():
    assert decibels(1.0, math.inf) is None
    assert decibels(math.inf, 1.0) is None
    assert decibels(1.0, math.nan) is None
    assert decibels(1e-300, 1e300) == pytest.approx(-6000)


def test_kl_is_scipys_on_probabilities_and_on_logits():
    p, _ = random_outputs(seed=1)
    q, _ = random_outputs(seed=2)
    expected = stats.entropy(p, q, axis=1).mean()
    assert kl_nats("classification", p, q, is_logit=False) == pytest.approx(expected, rel=1e-5)
    assert kl_nats("classification", np.log(p) + 7, np.log(q), is_logit=True) == pytest.approx(
        expected, rel=1e-4
    )
    assert kl_nats("regression", p, q, is_logit=False) is None


def test_kl_of_a_sigmoid_counts_both_sides():
    p, q = np.array([[0.2]], np.float32), np.array([[0.5]], np.float32)
    expected = 0.2 * math.log(0.2 / 0.5) + 0.8 * math.log(0.8 / 0.5)
    assert kl_nats("binary", p, q, is_logit=False) == pytest.approx(expected, rel=1e-5)
    assert kl_nats("binary", special.logit(p), special.logit(q), is_logit=True) == pytest.approx(
        expected, rel=1e-5
    )
    several = kl_nats("multi-label", np.repeat(p, 3, 1), np.repeat(q, 3, 1), is_logit=False)
    assert several == pytest.approx(3 * expected, rel=1e-5)


def test_kl_stays_finite_where_an_integer_softmax_gives_zero():
    p, q = np.array([[0.999, 0.001]]), np.array([[1.0, 0.0]])
    expected = 0.999 * math.log(0.999) + 0.001 * math.log(0.001 / 1e-7)
    assert kl_nats("classification", p, q, is_logit=False) == pytest.approx(expected)


def test_logits_are_told_from_probabilities():
    probabilities, _ = random_outputs()
    assert not looks_like_logits("classification", probabilities)
    assert looks_like_logits("classification", np.log(probabilities))
    assert looks_like_logits("classification", np.full((4, 3), 0.9))
    assert not looks_like_logits("multi-label", np.full((4, 3), 0.9))


def test_agreement():
    assert agreement(np.array([0, 1, 2, 3]), np.array([0, 1, 2, 0])) == 0.75


@pytest.mark.parametrize("seed", range(3))
def test_macro_f1_is_scikit_learns(seed):
    """Five classes, of which one is neither there nor given, and one is never given."""
    chance = np.random.default_rng(seed)
    labels, given = chance.choice([0, 1, 2, 3], 60, p=[0.85, 0.08, 0.04, 0.03]), chance.choice([0, 1, 2], 60)
    labels[:4] = 0, 1, 2, 3
    found = judge("classification", np.eye(5)[given], labels, {})
    assert found.macro_f1 == pytest.approx(metrics.f1_score(labels, given, average="macro", zero_division=0))
    assert found.to_dict()["macro_f1"] == found.macro_f1
    truth, answers = (chance.integers(0, 2, (60, 3)) for _ in range(2))
    several = judge("multi-label", answers.astype(float), truth, {})
    assert several.macro_f1 == pytest.approx(
        metrics.f1_score(truth, answers, average="macro", zero_division=0)
    )


def test_always_the_common_class_has_a_high_accuracy_and_a_low_macro_f1():
    labels = np.array([0] * 95 + [1] * 5)
    found = judge("binary", np.zeros((100, 1)), labels, {})
    assert found.accuracy == 0.95
    assert found.macro_f1 == pytest.approx((2 * 95 / 195 + 0) / 2)
