"""The three parts: disjoint, complete, deterministic, stratified, repeats together."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import optimize, stats

from lwdash.datasets.linter.classes_check import MIN_SIGNIFICANT_FLIPS, wilson_half_width
from lwdash.datasets.split import PARTS, split_rows, strata_of_numbers

RANDOM = np.random.default_rng(2)


@pytest.mark.parametrize("rows", [5, 37, 500, 4000])
@pytest.mark.parametrize("repeats", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_row_is_in_exactly_one_part_and_repeats_stay_together(rows, repeats, seed):
    strata = RANDOM.integers(0, 4, rows)
    same = RANDOM.integers(0, rows // 2 + 1, rows) if repeats else np.arange(rows)
    parts = split_rows(strata, same, seed=seed)
    assert sorted(np.concatenate([parts[name] for name in PARTS]).tolist()) == list(range(rows))
    contents = [set(same[parts[name]].tolist()) for name in PARTS]
    assert sum(map(len, contents)) == len(set(same.tolist()))


def test_shares_hold_in_every_class():
    strata = np.repeat([0, 1, 2], [1000, 300, 50])
    parts = split_rows(strata, np.arange(1350))
    for label, count in enumerate([1000, 300, 50]):
        shares = [int((strata[parts[name]] == label).sum()) / count for name in PARTS]
        np.testing.assert_allclose(shares, [0.6, 0.2, 0.2], atol=0.001)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, (1, 0, 0)),
        (2, (1, 0, 1)),
        (3, (1, 1, 1)),
        (4, (2, 1, 1)),
        (5, (3, 1, 1)),
        (7, (5, 1, 1)),
        (8, (4, 2, 2)),
    ],
)
def test_small_classes_are_trained_on_first_and_evaluated_second(count, expected):
    strata = np.r_[np.zeros(100, int), np.ones(count, int)]
    parts = split_rows(strata, np.arange(len(strata)))
    assert tuple(int((strata[parts[name]] == 1).sum()) for name in PARTS) == expected


def test_the_same_seed_gives_the_same_rows_and_another_seed_others():
    strata = np.arange(200) % 3
    first, again, other = (split_rows(strata, np.arange(200), seed=s) for s in (4, 4, 5))
    for name in PARTS:
        np.testing.assert_array_equal(first[name], again[name])
    assert any(not np.array_equal(first[name], other[name]) for name in PARTS)


def test_rows_are_the_same_in_another_process_with_another_hash_seed(tmp_path):
    csv = tmp_path / "d.csv"
    csv.write_text("label,a,b\n" + "".join(f"{i % 3},{i % 40}.5,{i % 7}\n" for i in range(120)))
    code = (
        "import sys; from pathlib import Path; from lwdash.datasets.prepare import prepare; "
        "from lwdash.datasets.data_settings import DataSettings; "
        "d = prepare(Path(sys.argv[1]), DataSettings(), [('x', (2,), 'float32')], [('y', (3,), 'float32')]); "
        "print({k: v.tolist() for k, v in d.parts.items()})"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code, str(csv)],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1


def test_the_order_is_known_once_and_for_all():
    # Written down so that a change of the split, which makes old and new runs incomparable, is noticed.
    parts = split_rows(np.zeros(10, int), np.arange(10), seed=0)
    assert {name: parts[name].tolist() for name in PARTS} == GOLDEN


GOLDEN = {"train": [1, 2, 4, 5, 6, 8], "calibration": [0, 7], "evaluation": [3, 9]}


def test_shares_of_zero_leave_a_part_empty():
    parts = split_rows(
        np.arange(40) % 2, np.arange(40), shares={"train": 0.75, "calibration": 0.25, "evaluation": 0}
    )
    assert [len(parts[name]) for name in PARTS] == [30, 10, 0]


def test_regression_targets_are_spread_over_all_parts():
    targets = RANDOM.normal(size=1000) ** 3
    parts = split_rows(strata_of_numbers(targets), np.arange(1000))
    for name in PARTS:
        deciles = np.searchsorted(np.quantile(targets, np.linspace(0.1, 0.9, 9)), targets[parts[name]])
        counts = np.bincount(deciles, minlength=10)
        assert counts.max() - counts.min() <= 2


@pytest.mark.parametrize(("rows", "share"), [(100, 0.5), (20, 0.9), (1000, 0.97), (8, 0.5), (30, 0.9)])
def test_wilson_half_width_is_that_of_the_interval_with_continuity_correction(
    rows: int, share: float
) -> None:
    """At each limit p the share is half a row more than 1.96 standard deviations away: |p̂ − p| − 1/2n = z·√(p(1−p)/n)."""

    def beyond(p: float) -> float:
        return abs(share - p) - 0.5 / rows - 1.959963984540054 * (p * (1 - p) / rows) ** 0.5

    low, high = optimize.brentq(beyond, 1e-9, share), optimize.brentq(beyond, share, 1 - 1e-9)
    assert wilson_half_width(rows, share) == pytest.approx((high - low) / 2)


def test_fewest_flips_is_where_mcnemars_test_begins_to_see_a_difference() -> None:
    assert (
        stats.binomtest(0, MIN_SIGNIFICANT_FLIPS).pvalue
        <= 0.05
        < stats.binomtest(0, MIN_SIGNIFICANT_FLIPS - 1).pvalue
    )
