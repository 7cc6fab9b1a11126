"""What choosing the best of many does to its figure: against worlds whose truth is known."""

from statistics import mean

import numpy as np
import pandas as pd
import pytest

from lwdash.search.outcomes import Outcome, best
from lwdash.search.search_report import bias_message, report_search
from lwdash.search.selection_bias import SelectionBias, selection_bias_of_best
from lwdash.search.space import make_space

ROWS, RUNS, GAINED = 217, 24, 0.015


def world(seed: int, *, limit: float | None, rising: float) -> tuple[list[Outcome], dict, list[float]]:
    """Runs that truly lose 2 points, and `rising` more the smaller they are; on rows drawn anew for each world."""
    chance = np.random.default_rng(seed)
    found, changed, truth = [], {}, []
    for run in range(RUNS):
        drop = 0.02 + rising * run / RUNS
        bias = chance.random(ROWS)
        lost, gained = np.flatnonzero(bias < drop + GAINED), np.flatnonzero(bias > 1 - GAINED)
        seen = (len(lost) - len(gained)) / ROWS
        excess = {"size_bytes": -0.5} if limit is None else {"accuracy_drop": (seen - limit) / limit}
        found.append(Outcome(run, "int8", 0.95 - seen, 100.0 - run, excess))
        changed[run] = (lost.tolist(), gained.tolist())
        truth.append(drop)
    return found, changed, truth


@pytest.mark.parametrize(("limit", "rising"), [(None, 0.0), (0.02, 0.04)])
def test_the_corrected_figure_is_nearer_to_the_truth(limit: float | None, rising: float) -> None:
    apparent, corrected, truths = [], [], []
    for seed in range(30):
        found, changed, truth = world(seed, limit=limit, rising=rising)
        bias = selection_bias_of_best(found, changed, ROWS, limit)
        assert bias is not None
        chosen = best(found)
        assert chosen is not None
        assert bias.in_sample_drop == pytest.approx(0.95 - chosen.quality)
        apparent.append(bias.in_sample_drop)
        corrected.append(bias.out_of_sample_drop)
        truths.append(truth[chosen.run])
    flattery = mean(truths) - mean(apparent)
    assert flattery > 0.02, "or this world would have nothing to correct"
    assert abs(mean(truths) - mean(corrected)) < flattery / 2
    errors = [[abs(a - t) for a, t in zip(some, truths, strict=True)] for some in (apparent, corrected)]
    assert mean(errors[1]) < 0.7 * mean(errors[0])


def test_a_clear_choice_is_not_flattered() -> None:
    """One run loses nothing, the others a tenth: whichever rows are drawn, the choice is the same."""
    tenth = list(range(0, 400, 10))
    found = [Outcome(n, "int8", 0.9 - 0.1 * n, 10.0, {"size_bytes": -0.5}) for n in (0, 1)]
    bias = selection_bias_of_best(found, {0: ([], []), 1: (tenth, [])}, 400, None)
    assert bias is not None
    assert (bias.in_sample_drop, bias.out_of_sample_drop, bias.runs, bias.resamples) == (0.0, 0.0, 2, 1000)


def test_it_is_not_told_from_too_little() -> None:
    found, changed, _ = world(0, limit=None, rising=0.0)
    assert selection_bias_of_best(found[:1], changed, ROWS, None) is None, "there was no choice"
    assert selection_bias_of_best(found, changed, 29, None) is None
    assert selection_bias_of_best(found, {0: changed[0]}, ROWS, None) is None, "others might have been chosen"
    assert selection_bias_of_best([], {}, ROWS, None) is None
    strict = [Outcome(o.run, o.recipe, o.quality, o.cost, {"size_bytes": 1.0}) for o in found]
    assert selection_bias_of_best(strict, changed, ROWS, None) is None, "nothing keeps the limits"


def test_a_run_that_breaks_another_limit_is_never_chosen() -> None:
    found = [
        Outcome(0, "int8", 0.90, 1.0, {"accuracy_drop": 9.0, "size_bytes": 0.3}),
        Outcome(1, "int8", 0.95, 2.0, {"accuracy_drop": -1.0, "size_bytes": -0.1}),
        Outcome(2, "int8", 0.95, 3.0, {"accuracy_drop": -1.0, "size_bytes": -0.1}),
    ]
    bias = selection_bias_of_best(found, {1: ([], []), 2: ([], [])}, 100, 0.01)
    assert bias == SelectionBias(0.0, 0.0, 2, 100, 1000)


def test_it_is_said_in_words() -> None:
    words = bias_message(SelectionBias(0.009, 0.016, 24, 217, 1000))
    assert "among 24 runs on the same 217 rows, where it lost 0.9 points" in words
    assert (
        "; selection bias: on other rows a run chosen this way loses 1.6 points on average (estimated with 1,000 resamplings"
        in words
    )
    assert (
        "gained 0.5 points; selection bias: on other rows a run chosen this way loses 0.0 points"
        in bias_message(SelectionBias(-0.005, 0.0, 24, 217, 1000))
    )
    assert "selection bias: less than 0.1 points" in bias_message(SelectionBias(0.01, 0.0105, 24, 217, 1000))


def test_the_story_is_of_what_may_be_a_result() -> None:
    tried = pd.DataFrame(
        [
            {"id": n, "recipe": recipe, "state": "succeeded", "error": None, "is_baseline": n == 1, "is_own": n > 2,
             "figures": {"accuracy": 0.9, "baseline_accuracy": 0.9, "size_bytes": size, "rows": 100}}
            for n, recipe, size in ((1, "float32", 100), (2, "float16", 50), (3, "int8", 26), (4, "dynamic", 25))
        ]
    )  # fmt: skip
    space = make_space(["int8"], [])
    report = report_search("size_bytes", space, {"accuracy_drop": 0.01, "latency_ms": 1.0}, tried)
    assert [outcome.run for outcome in report.found] == [3]
    assert report.unmeasured_limits == ["latency_ms"]
    assert report.best is None
    report = report_search("size_bytes", space, {"accuracy_drop": 0.01}, tried)
    assert report.best is not None
    assert (report.best.run, report.rows, report.own) == (3, 100, {3, 4})
    assert report.charted is report.goal
    empty = report_search("size_bytes", space, {"accuracy_drop": 0.01}, tried.iloc[:1])
    assert (empty.found, empty.best, empty.rows, empty.selection_bias({})) == ([], None, None, None)
