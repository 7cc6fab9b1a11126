"""What choosing the best of many does to its figure: against worlds whose truth is known."""

from statistics import mean

import numpy as np
import pandas as pd
import pytest

from lwdash.search.outcomes import Outcome, best
from lwdash.search.search_report import luck_words, tell
from lwdash.search.selection_bias import Luck, luck_of_best

ROWS, RUNS, GAINED = 217, 24, 0.015


def world(seed: int, *, limit: float | None, rising: float) -> tuple[list[Outcome], dict, list[float]]:
    """Runs that truly lose 2 points, and `rising` more the smaller they are; on rows drawn anew for each world."""
    chance = np.random.default_rng(seed)
    found, turned, truth = [], {}, []
    for run in range(RUNS):
        drop = 0.02 + rising * run / RUNS
        luck = chance.random(ROWS)
        lost, gained = np.flatnonzero(luck < drop + GAINED), np.flatnonzero(luck > 1 - GAINED)
        seen = (len(lost) - len(gained)) / ROWS
        excess = {"size_bytes": -0.5} if limit is None else {"accuracy_drop": (seen - limit) / limit}
        found.append(Outcome(run, "int8", 0.95 - seen, 100.0 - run, excess))
        turned[run] = (lost.tolist(), gained.tolist())
        truth.append(drop)
    return found, turned, truth


@pytest.mark.parametrize(("limit", "rising"), [(None, 0.0), (0.02, 0.04)])
def test_the_corrected_figure_is_nearer_to_the_truth(limit: float | None, rising: float) -> None:
    apparent, corrected, truths = [], [], []
    for seed in range(30):
        found, turned, truth = world(seed, limit=limit, rising=rising)
        luck = luck_of_best(found, turned, ROWS, limit)
        assert luck is not None
        chosen = best(found)
        assert chosen is not None
        assert luck.drop == pytest.approx(0.95 - chosen.quality)
        apparent.append(luck.drop)
        corrected.append(luck.elsewhere)
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
    luck = luck_of_best(found, {0: ([], []), 1: (tenth, [])}, 400, None)
    assert luck is not None
    assert (luck.drop, luck.elsewhere, luck.runs, luck.resamples) == (0.0, 0.0, 2, 1000)


def test_it_is_not_told_from_too_little() -> None:
    found, turned, _ = world(0, limit=None, rising=0.0)
    assert luck_of_best(found[:1], turned, ROWS, None) is None, "there was no choice"
    assert luck_of_best(found, turned, 29, None) is None
    assert luck_of_best(found, {0: turned[0]}, ROWS, None) is None, "others might have been chosen"
    assert luck_of_best([], {}, ROWS, None) is None
    strict = [Outcome(o.run, o.recipe, o.quality, o.cost, {"size_bytes": 1.0}) for o in found]
    assert luck_of_best(strict, turned, ROWS, None) is None, "nothing keeps the limits"


def test_a_run_that_breaks_another_limit_is_never_chosen() -> None:
    found = [
        Outcome(0, "int8", 0.90, 1.0, {"accuracy_drop": 9.0, "size_bytes": 0.3}),
        Outcome(1, "int8", 0.95, 2.0, {"accuracy_drop": -1.0, "size_bytes": -0.1}),
        Outcome(2, "int8", 0.95, 3.0, {"accuracy_drop": -1.0, "size_bytes": -0.1}),
    ]
    luck = luck_of_best(found, {1: ([], []), 2: ([], [])}, 100, 0.01)
    assert luck == Luck(0.0, 0.0, 2, 100, 1000)


def test_it_is_said_in_words() -> None:
    words = luck_words(Luck(0.009, 0.016, 24, 217, 1000))
    assert "among 24 runs on the same 217 rows, where it lost 0.9 points" in words
    assert "; chosen so, a run loses 1.6 points or so on other rows, by 1,000 resamplings" in words
    assert "gained 0.5 points; chosen so, a run loses 0.0 points" in luck_words(
        Luck(-0.005, 0.0, 24, 217, 1000)
    )
    assert "choosing flatters it by less than 0.1 points" in luck_words(Luck(0.01, 0.0105, 24, 217, 1000))


def test_the_story_is_of_what_may_be_a_result() -> None:
    tried = pd.DataFrame(
        [
            {"id": n, "recipe": recipe, "state": "succeeded", "error": None, "is_baseline": n == 1, "is_own": n > 2,
             "figures": {"accuracy": 0.9, "baseline_accuracy": 0.9, "size_bytes": size, "rows": 100}}
            for n, recipe, size in ((1, "float32", 100), (2, "float16", 50), (3, "int8", 26), (4, "dynamic", 25))
        ]
    )  # fmt: skip
    search = {"goal": "size_bytes", "settings": {"space": {"formats": ["int8"], "techniques": []}}}
    story = tell(search, {"accuracy_drop": 0.01, "latency_ms": 1.0}, tried)
    assert [outcome.run for outcome in story.found] == [3]
    assert story.untold == ["latency_ms"]
    assert story.best is None
    story = tell(search, {"accuracy_drop": 0.01}, tried)
    assert story.best is not None
    assert (story.best.run, story.rows, story.own) == (3, 100, {3, 4})
    assert story.charted is story.goal
    empty = tell(search, {"accuracy_drop": 0.01}, tried.iloc[:1])
    assert (empty.found, empty.best, empty.rows, empty.luck({})) == ([], None, None, None)
