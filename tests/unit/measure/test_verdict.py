"""Verdicts: their tests against SciPy, and by simulation that they are seldom wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize, stats

from lwdash.measure.verdict import (
    bootstrap_interval,
    compare_errors,
    compare_right_rows,
    compare_without_labels,
    mcnemar_p,
    paired_interval,
    smallest_provable_drop,
)


def rows_of(both: int, lost: int, gained: int, neither: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(run right, baseline right) with the given numbers of rows."""
    run = [1] * both + [0] * lost + [1] * gained + [0] * neither
    baseline = [1] * both + [1] * lost + [0] * gained + [0] * neither
    return np.array(run, bool), np.array(baseline, bool)


@pytest.mark.parametrize(("lost", "gained"), [(0, 0), (5, 0), (6, 0), (3, 9), (40, 61), (7, 7)])
def test_mcnemar_is_scipys_binomial_test(lost, gained):
    expected = stats.binomtest(lost, lost + gained).pvalue if lost + gained else 1.0
    assert mcnemar_p(lost, gained) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("lost", "gained", "rows"), [(1, 12, 44), (3, 9, 100), (20, 35, 400), (0, 6, 50), (2, 0, 30)]
)
def test_paired_interval_is_the_score_test_turned_round(lost, gained, rows):
    """At each end of Tango's interval the constrained z is 1.96, found here by numeric maximisation."""

    def z(delta: float) -> float:
        def likelihood(q: float) -> float:  # q: chance of a lost row, q + delta that of a gained one
            both = 1 - 2 * q - delta
            terms = ((gained, q + delta), (lost, q), (rows - lost - gained, both))
            return -sum(count * math.log(max(chance, 1e-300)) for count, chance in terms if count)

        limits = (max(0.0, -delta) + 1e-12, (1 - delta) / 2 - 1e-12)
        q = optimize.minimize_scalar(likelihood, bounds=limits, method="bounded", options={"xatol": 1e-13}).x
        return (gained - lost - rows * delta) / math.sqrt(rows * (2 * q + delta - delta**2))

    low, high = paired_interval(lost, gained, rows)
    assert z(low + 0.5 / rows) == pytest.approx(1.96, abs=0.01)
    assert z(high - 0.5 / rows) == pytest.approx(-1.96, abs=0.01)


def test_paired_interval_is_symmetric_and_known_without_flips():
    low, high = paired_interval(0, 0, 100)
    z2 = stats.norm.ppf(0.975) ** 2
    assert high == pytest.approx(z2 / (100 + z2) + 0.005, abs=1e-6)
    assert low == pytest.approx(-high, abs=1e-6)


@pytest.mark.parametrize("rows", [10, 30, 100, 300])
@pytest.mark.parametrize(
    ("flipping", "gaining"), [(0.02, 0.5), (0.1, 0.0), (0.1, 0.25), (0.2, 0.5), (0.4, 0.9)]
)
def test_paired_interval_covers(rows, flipping, gaining):
    """Coverage summed over every possible outcome, not sampled."""
    gain, lose = flipping * gaining, flipping * (1 - gaining)
    covered = 0.0
    for flips in range(rows + 1):
        chance = stats.binom.pmf(flips, rows, flipping)
        if chance < 1e-7:
            continue
        for gained in range(flips + 1):
            part = chance * stats.binom.pmf(gained, flips, gaining)
            if part > 1e-8:
                low, high = paired_interval(flips - gained, gained, rows)
                covered += part * (low <= gain - lose <= high)
    assert covered >= 0.94


@pytest.mark.parametrize(
    ("rows", "accuracy", "flipping"), [(20, 0.9, 0.1), (100, 0.9, 0.05), (500, 0.8, 0.1)]
)
def test_at_no_true_difference_better_or_worse_is_rare(rows, accuracy, flipping):
    generator = np.random.default_rng(0)
    wrong = 0
    for _ in range(1000):
        baseline = generator.random(rows) < accuracy
        run = baseline ^ (
            generator.random(rows) < np.where(baseline, flipping * (1 - accuracy), flipping * accuracy)
        )
        wrong += compare_right_rows(run, baseline).verdict in ("better", "worse")
    assert wrong <= 50


def test_a_large_true_drop_is_found():
    generator = np.random.default_rng(0)
    found = 0
    for _ in range(200):
        baseline = generator.random(300) < 0.95
        found += compare_right_rows(baseline & (generator.random(300) > 0.08), baseline).verdict == "worse"
    assert found >= 198


def test_smallest_provable_drop_is_the_first_that_mcnemar_finds():
    assert smallest_provable_drop(0, 100) == 6 / 100  # 2 · 0.5^6 = 0.031, 2 · 0.5^5 = 0.063
    for gained, rows in ((0, 200), (3, 200), (17, 500)):
        drop = round(smallest_provable_drop(gained, rows) * rows)
        assert mcnemar_p(gained + drop, gained) <= 0.05 < mcnemar_p(gained + drop - 1, gained)
    assert smallest_provable_drop(0, 5) is None


def test_verdicts_say_what_they_rest_on():
    worse = compare_right_rows(*rows_of(both=470, lost=22, gained=2, neither=6))
    assert (worse.verdict, worse.difference, worse.lost, worse.gained) == ("worse", -0.04, 22, 2)
    assert worse.text.startswith("Worse: accuracy fell by 4.0 percentage points (95 % interval −6.")
    assert "22 rows lost, 2 gained of 500" in worse.text
    better = compare_right_rows(*rows_of(both=470, lost=2, gained=22, neither=6))
    assert (better.verdict, better.interval) == (
        "better",
        pytest.approx((-worse.interval[1], -worse.interval[0])),
    )
    unsure = compare_right_rows(*rows_of(both=94, lost=2, gained=1, neither=3))
    assert unsure.verdict == "cannot tell"
    assert (
        f"a drop of {100 * unsure.smallest_drop:.1f} points or more would have been significant"
        in unsure.text
    )
    assert "no drop of any size" in compare_right_rows(*rows_of(both=4, lost=1, gained=0)).text
    same = compare_right_rows(*rows_of(both=2000, lost=1, gained=1, neither=98))
    assert same.verdict == "equivalent"


def test_the_margin_decides_what_is_equivalent():
    rows = rows_of(both=480, lost=3, gained=2, neither=15)
    assert compare_right_rows(*rows).verdict == "cannot tell"
    assert compare_right_rows(*rows, margin=0.05).verdict == "equivalent"
    significant = rows_of(both=9_500, lost=40, gained=10, neither=450)
    assert compare_right_rows(*significant, margin=0.001).verdict == "worse"
    assert compare_right_rows(*significant, margin=0.01).verdict == "equivalent"


@pytest.mark.parametrize("rows", [20, 60, 300])
@pytest.mark.parametrize("noise", ["normal", "heavy"])
def test_at_no_true_difference_errors_are_seldom_called_different(rows, noise):
    """Two models with independent errors of the same size; 0 lies in the verdict's interval."""
    generator = np.random.default_rng(1)
    draw = generator.normal if noise == "normal" else lambda size: generator.standard_t(3, size)
    wrong = covered = 0
    for _ in range(1000):
        differences = np.abs(draw(size=rows)) - np.abs(draw(size=rows))
        low, high = bootstrap_interval(differences)
        covered += low <= 0 <= high
        wrong += low > 0 or high < 0
    assert wrong <= 50
    assert covered >= 940


@pytest.mark.parametrize("changed", [1, 2, 3])
def test_the_interval_of_a_few_changed_rows_is_a_few_rows_wide(changed):
    """Many resamples have no changed row, and no spread."""
    differences = np.zeros(20)
    differences[:changed] = 1 / 256
    low, high = bootstrap_interval(differences)
    one_row = 1 / 256 / 20
    assert high == pytest.approx(2 * differences.mean() - low)
    assert low <= 0
    assert 3.5 * one_row <= high - differences.mean() <= 20 * one_row


@pytest.mark.parametrize("rows", [20, 100])
@pytest.mark.parametrize("expected", [1, 3, 8])
def test_the_interval_covers_the_mean_of_rare_changes(rows, expected):
    """Samples without any change have no interval; they are left out."""
    generator = np.random.default_rng(2)
    drawn = generator.random((400, rows)) < expected / rows
    intervals = [bootstrap_interval(sample.astype(float)) for sample in drawn if sample.any()]
    covered = np.mean([low <= expected / rows <= high for low, high in intervals])
    assert covered >= 0.95
    assert max(high - low for low, high in intervals) < 2.5


def test_bootstrap_interval_is_near_students_for_normal_differences():
    differences = np.random.default_rng(5).normal(1.0, 2.0, 400)
    expected = stats.t.interval(0.97, 399, differences.mean(), stats.sem(differences))
    assert bootstrap_interval(differences) == pytest.approx(expected, rel=0.06)


def test_error_verdicts():
    generator = np.random.default_rng(0)
    base = np.abs(generator.normal(1.0, 0.1, 300))
    worse = compare_errors(base + 0.05, base)
    assert worse.verdict == "worse"
    assert worse.difference == pytest.approx(0.05)
    assert compare_errors(base - 0.05, base).verdict == "better"
    assert compare_errors(base + 0.001 * generator.normal(size=300), base).verdict == "equivalent"
    unsure = compare_errors(base + generator.normal(0, 0.3, 300), base)
    assert unsure.verdict == "cannot tell"
    assert unsure.smallest_drop == pytest.approx((unsure.interval[1] - unsure.interval[0]) / 2)
    assert compare_errors(base[:3], base[:3]).verdict == "cannot tell"
    assert compare_errors(base, base).verdict == "equivalent"


def test_without_labels_only_agreement_can_promise():
    assert compare_without_labels(1000, 1000).verdict == "equivalent"
    assert compare_without_labels(100, 100).verdict == "cannot tell"
    assert "100 of 100 rows" in compare_without_labels(100, 100).text


@pytest.mark.parametrize("rows", [30, 200])
def test_interval_and_exact_test_never_contradict_each_other(rows):
    """A difference is called real exactly where the interval that is shown beside it leaves out 0."""
    for lost in range(13):
        for gained in range(13):
            found = compare_right_rows(*rows_of(rows - lost - gained, lost, gained))
            low, high = found.interval
            is_real = lost + gained > 0 and stats.binomtest(lost, lost + gained).pvalue <= 0.05
            assert (low > 0 or high < 0) == is_real, (lost, gained, found.interval)
    assert compare_right_rows(*rows_of(95, 5, 0)).interval[1] == 0.0  # p = 0.063
