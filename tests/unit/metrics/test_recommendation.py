"""The run that is recommended, and what is said where none is."""

import pandas as pd
import pytest

from lwdash.metrics.recommendation import has_no_measurable_loss, recommend


def runs(*entries: tuple[str, int, float, str | None], **columns: object) -> pd.DataFrame:
    """(recipe, size, accuracy, verdict), the first one the baseline."""
    rows = [
        {"id": i + 1, "recipe": recipe, "title": None, "is_baseline": i == 0, "state": "succeeded", "size_bytes": size,
         "baseline_size_bytes": entries[0][1], "accuracy": accuracy, "baseline_accuracy": entries[0][2],
         "verdict": verdict, "rows": 400}
        for i, (recipe, size, accuracy, verdict) in enumerate(entries)
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(**columns)


BASE = ("float32", 100_000, 0.95, None)
FLOAT16 = ("float16", 50_000, 0.95, "equivalent")
INT8 = ("int8", 25_000, 0.945, "cannot tell")
INT4 = ("int4", 15_000, 0.90, "worse")


def test_the_smallest_file_without_measurable_loss_is_taken():
    found = recommend(runs(BASE, FLOAT16, INT8, INT4), {})
    assert found is not None
    assert (found.run, found.headline) == (3, "Smallest file without measurable loss")
    assert found.reason == (
        "2 of 3 measured runs have no measurable loss on 400 rows; this file is the smallest of them."
    )


def test_a_loss_that_few_rows_cannot_prove_is_still_a_loss():
    found = recommend(runs(BASE, FLOAT16, ("int4", 15_000, 0.90, "cannot tell")), {})
    assert found is not None
    assert found.run == 2


def test_a_proven_loss_of_less_than_a_point_is_a_loss_and_an_equivalent_one_is_none():
    frame = runs(BASE, ("a", 50_000, 0.945, "worse"), ("b", 60_000, 0.945, "equivalent"))
    assert list(has_no_measurable_loss(frame))[1:] == [False, True]


def test_a_larger_file_is_not_announced_as_smaller():
    found = recommend(runs(("float32", 13_700, 0.95, None), ("int8", 72_000, 0.95, "equivalent"), INT4), {})
    assert found is not None
    assert (found.run, found.nearest) == (None, 2)
    assert found.headline == "Nothing beats the baseline so far"
    assert "int8, is 5.3× larger than the baseline: 72.0 kB instead of 13.7 kB" in found.reason


def test_without_a_file_that_keeps_the_quality_the_one_that_loses_least_is_named():
    found = recommend(runs(BASE, INT4, ("int2", 9_000, 0.5, "worse")), {})
    assert found is not None
    assert (found.run, found.nearest) == (None, 2)
    assert "int4 loses least" in found.reason


def test_limits_decide_where_there_are_some_and_the_baseline_can_win_under_them():
    frame = runs(BASE, FLOAT16, INT8, INT4)
    within = recommend(frame, {"size_bytes": 60_000})
    assert within is not None
    assert (within.run, within.headline, within.is_by_limits) == (2, "Best under your limits", True)
    assert "size ≤ 60 kB" in within.reason
    none = recommend(frame, {"size_bytes": 10_000})
    assert none is not None
    assert (none.run, none.headline) == (None, "No run meets all of your limits")
    assert "0 of 3 meet size ≤ 10 kB" in none.reason
    grown = recommend(
        runs(("float32", 13_700, 0.95, None), ("int8", 72_000, 0.95, "equivalent")), {"size_bytes": 80_000}
    )
    assert grown is not None
    assert (grown.run, grown.nearest) == (None, 2)
    assert "5.3× as large" in grown.reason


def test_other_tasks_are_judged_by_their_own_metric():
    errors = runs(BASE, FLOAT16, INT8, accuracy=None, baseline_accuracy=None, verdict=None)
    errors = errors.assign(rmse=[1.0, 1.005, 1.2], baseline_rmse=1.0)
    found = recommend(errors, {})
    assert found is not None
    assert found.run == 2
    unlabelled = errors.drop(columns=["rmse", "baseline_rmse"]).assign(agreement=[1.0, 0.999, 0.992])
    found = recommend(unlabelled, {})
    assert found is not None
    assert found.run == 3


def test_lost_outputs_are_a_loss_whatever_the_metric_says():
    frame = runs(BASE, FLOAT16, INT8, output_findings=[[], [], ["the output is constant"]])
    found = recommend(frame, {})
    assert found is not None
    assert found.run == 2


@pytest.mark.parametrize("state", ["failed", "running"])
def test_nothing_is_recommended_before_a_run_is_measured(state):
    assert recommend(runs(BASE), {}) is None
    assert recommend(runs(BASE, INT8).assign(state=["succeeded", state]), {}) is None
