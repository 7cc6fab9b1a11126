"""The overview's cards: which experiments are found, in what order, and what is said of each."""

import pandas as pd
import pytest
from support.seeding import seed_experiment

from lwdash.charts.experiment_summary import summarize
from storage.overview import ORDERS, card_metrics, count_found, found_experiments
from storage.records import FoundExperiment
from storage.store import Store


def runs(*entries: tuple[str, int, float | None], **columns: object) -> pd.DataFrame:
    """(recipe, size, accuracy), the first one the baseline."""
    rows = [
        {"id": i + 1, "recipe": recipe, "title": None, "is_baseline": i == 0, "state": "succeeded", "size_bytes": size,
         "accuracy": accuracy, "agreement": accuracy, "latency_ms_p50": 1.0}
        for i, (recipe, size, accuracy) in enumerate(entries)
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(**columns)


SWEEP = (("float32", 100, 0.95), ("float16", 50, 0.95), ("int8", 25, 0.945), ("int4", 15, 0.90))


def test_without_limits_the_best_is_the_smallest_that_loses_at_most_a_point() -> None:
    summary = summarize(runs(*SWEEP), {})
    assert summary.baseline is not None
    assert summary.best is not None
    assert (summary.baseline.name, summary.best.name) == ("float32", "int8")
    assert not summary.has_limits


def test_own_limits_decide_which_run_is_best() -> None:
    within_60 = summarize(runs(*SWEEP), {"size_bytes": 60})
    assert within_60.best is not None
    assert within_60.best.name == "float16", "the most accurate that fits"
    lossy = summarize(runs(*SWEEP), {"accuracy_drop": 0.06})
    assert lossy.best is not None
    assert lossy.best.name == "int4"
    assert summarize(runs(*SWEEP), {"size_bytes": 10}).best is None
    assert summarize(runs(*SWEEP), {"arena_bytes": 10}).best is None, "never measured is not kept"
    assert summarize(runs(*SWEEP, arena_bytes=5.0), {"arena_bytes": 10}).best is not None


def test_what_is_not_there_yet_is_none() -> None:
    nothing = summarize(runs(*SWEEP).iloc[:0], {})
    assert (nothing.baseline, nothing.best) == (None, None)
    alone = summarize(runs(SWEEP[0]), {})
    assert alone.baseline is not None
    assert alone.best is None
    unlabelled = summarize(runs(("float32", 100, None), ("int8", 25, None)), {})
    assert unlabelled.best is None
    assert unlabelled.baseline is not None
    assert (unlabelled.baseline.accuracy, unlabelled.baseline.agreement) == (None, None)


def test_a_run_without_a_title_is_called_by_its_recipe_though_another_has_one() -> None:
    titled = runs(*SWEEP).assign(title=["the start", None, None, None])
    summary = summarize(titled, {})
    assert summary.baseline is not None
    assert summary.best is not None
    assert (summary.baseline.name, summary.best.name) == ("the start", "int8")


def names(found: list[FoundExperiment]) -> list[str]:
    return [experiment.name for experiment in found]


def test_experiments_are_found_by_every_word_and_ordered(sqlite_store: Store) -> None:
    for name, count in (("beats one", 3), ("beats two", 60), ("digits", 5)):
        seed_experiment(sqlite_store, name, count)
    engine = sqlite_store.database
    assert names(found_experiments(engine)) == ["digits", "beats two", "beats one"]
    assert names(found_experiments(engine, order="runs")) == ["beats two", "digits", "beats one"]
    assert names(found_experiments(engine, order="name")) == ["beats one", "beats two", "digits"]
    assert set(names(found_experiments(engine, order="active"))) == {"beats one", "beats two", "digits"}
    assert names(found_experiments(engine, "TWO beats")) == ["beats two"]
    assert count_found(engine, "beats") == 2
    assert count_found(engine, "%") == count_found(engine, "' OR 1=1") == 0
    second = found_experiments(engine, limit=1, offset=1)[0]
    assert (second.name, second.runs, second.succeeded, second.failed) == ("beats two", 60, 59, 1)


@pytest.mark.parametrize("with_arena", [False, True])
def test_cards_read_the_measured_runs_only(sqlite_store: Store, with_arena: bool) -> None:
    experiment = seed_experiment(sqlite_store, "beats", 60)
    frame = card_metrics(sqlite_store.database, [experiment], with_arena=with_arena)
    assert len(frame) == 59
    assert ("arena_bytes" in frame) == with_arena
    assert frame["is_baseline"].sum() == 1
    assert set(ORDERS) == {"newest", "active", "name", "runs"}
