"""Searches in the database and the loop that moves them, on both back ends; runs end here by hand."""

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from conftest import add_experiment
from sqlalchemy import insert

from lwdash.engine import searching
from lwdash.engine.job_building import max_drop_of
from lwdash.engine.searching import AT_ONCE, FAILED_AT_FIRST, advance_searches
from lwdash.search.outcomes import Outcome
from lwdash.search.proposals import DEFAULT_SAMPLER, SAMPLERS, Task
from lwdash.search.space import Space
from storage import annotations, experiments, frames, run_rows, runs, searches
from storage.records import StoredRun, StoredSearch
from storage.searches import SearchRefused
from storage.store import Store
from storage.tables import RunDetail, SearchState
from storage.visitors import NOBODY, NotAllowed, Visitor, bound_to

SPACE = Space(("int8", "float16", "dynamic", "int16x8"), ("prune",))
Began = Callable[..., int]


@pytest.fixture
def begun(store: Store) -> Began:
    """Begins a search of a new experiment, 1."""
    add_experiment(store)

    def begin(
        budget: int = 6, space: Space = SPACE, experiment: int = 1, sampler: str = DEFAULT_SAMPLER
    ) -> int:
        settings = {"space": space.to_dict(), "sampler": sampler, "seed": 0}
        return searches.add_search(
            store.database, experiment, goal="size_bytes", budget=budget, settings=settings
        )

    return begin


def found(store: Store, search: int) -> StoredSearch:
    row = searches.get_search(store.database, search)
    assert row is not None
    return row


def finish(store: Store, run_id: int, *, fails: bool = False) -> None:
    """What a worker does with a run."""
    row = run_rows.get_run(store.database, run_id)
    assert row is not None
    owned = runs.claim(store.database, run_id, "compress", row.attempt, "here")
    assert owned is not None
    if fails:
        runs.fail(store.database, owned, "it cannot be converted")
        return
    runs.finish_compress(store.database, owned, tflite_sha256="a", baseline_sha256="b", compressed={})
    owned = runs.claim(store.database, run_id, "measure", row.attempt, "here")
    assert owned is not None
    figures = {"accuracy": 0.9, "baseline_accuracy": 0.91, "size_bytes": 1000 + run_id}
    runs.finish_measure(store.database, owned, figures=figures, measured={})


def row_of(store: Store, run_id: int) -> StoredRun:
    row = run_rows.get_run(store.database, run_id)
    assert row is not None
    return row


def waiting(store: Store) -> list[int]:
    return [run.id for run in frames.active_runs(store.database, 1, 1000)]


def recipes(store: Store, ids: Sequence[int]) -> list[str]:
    return [row.recipe for row in run_rows.get_progress(store.database, ids)]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_search_goes_on_until_its_runs_are_spent(store: Store, begun: Began, sampler: str) -> None:
    search = begun(6, sampler=sampler)
    advance_searches(store)
    first = waiting(store)
    assert len(first) == 5
    assert recipes(store, first)[0] == "float32", "the baseline comes with it"
    assert recipes(store, first)[1] == "prune(sparsity=auto, mean_sparsity=0.75) + int8" or sampler in (
        "grid",
        "random",
    )
    advance_searches(store)
    assert waiting(store) == first, "nothing more while these wait"
    for run in first[:-1]:
        finish(store, run)
    advance_searches(store)
    own = searches.search_runs(store.database, found(store, search))
    assert len(own) == 6, "the baseline does not count"
    assert set(own) >= set(first[1:])
    for run in waiting(store):
        assert found(store, search).state == SearchState.RUNNING
        finish(store, run)
    advance_searches(store)
    ended = found(store, search)
    assert (ended.state, ended.words, ended.asked) == (SearchState.ENDED, "all 6 runs were made", 6)
    assert ended.finished_at >= ended.created_at  # type: ignore[operator]
    assert len(set(recipes(store, own))) == 6
    advance_searches(store)
    assert not waiting(store)
    assert not frames.is_busy(store.database, 1)


def test_it_waits_for_what_others_have_queued_and_does_not_repeat_it(store: Store, begun: Began) -> None:
    add = [("int8", False, False), ("float32", True, False)]
    others = runs.add_runs(store.database, 1, add, "somebody") if begun(3) else []
    advance_searches(store)
    assert waiting(store) == others, "what comes of them is worth waiting for"
    assert frames.is_busy(store.database, 1)
    finish(store, others[0])
    advance_searches(store)
    new = [run for run in waiting(store) if run not in others]
    assert len({*recipes(store, new), "int8", "float32"}) == 5


def test_a_space_that_is_used_up_ends_it(store: Store, begun: Began) -> None:
    search = begun(50, Space(("int8", "float16"), ()))
    advance_searches(store)
    for run in waiting(store):
        finish(store, run)
    advance_searches(store)
    assert (found(store, search).state, found(store, search).words) == (
        SearchState.ENDED, "all recipes of the space were tried",
    )  # fmt: skip


def test_when_all_of_the_first_fail_the_rest_is_not_tried(store: Store, begun: Began) -> None:
    search = begun(50)
    while found(store, search).state == SearchState.RUNNING:
        advance_searches(store)
        for run in waiting(store):
            finish(store, run, fails=True)
    ended = found(store, search)
    assert ended.state == SearchState.FAILED
    assert "runs failed. The error of the last: it cannot be converted" in str(ended.words)
    assert FAILED_AT_FIRST <= ended.asked < FAILED_AT_FIRST + AT_ONCE  # type: ignore[operator]


def test_what_a_stopped_run_has_lost_is_learnt_and_it_goes_on_when_started_again(
    store: Store, begun: Began, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = begun(8)
    annotations.set_limits(store.database, 1, {"accuracy_drop": 0.01})
    advance_searches(store)
    baseline, first, second, *others = waiting(store)
    experiment = experiments.get_experiment(store.database, 1)
    assert experiment is not None
    assert max_drop_of(store, row_of(store, first), experiment) == 0.01
    for run in (baseline, second, *others):
        finish(store, run)
    owned = runs.claim(store.database, first, "compress", 1, "here")
    assert owned is not None
    assert runs.stop(store.database, owned, "stopped after prune", drop=0.21, compressed={"stages": []})
    learnt: list[Outcome] = []
    propose = searching.propose

    def listening(task: Task, found: Sequence[Outcome], *rest: Any, **options: Any) -> Any:
        learnt.extend(found)
        return propose(task, found, *rest, **options)

    monkeypatch.setattr(searching, "propose", listening)
    advance_searches(store)
    (outcome,) = [each for each in learnt if each.run == first]
    assert outcome.excess["accuracy_drop"] == pytest.approx(20)
    assert math.isnan(outcome.cost)
    assert len(waiting(store)) == 4, "the search goes on"
    row = row_of(store, first)
    assert (row.state, row.error, row.seconds is not None) == ("stopped", "stopped after prune", True)
    assert runs.retry(store.database, first)
    assert max_drop_of(store, row_of(store, first), experiment) is None
    assert found(store, search).state == SearchState.RUNNING


def test_only_runs_of_a_search_with_a_limit_on_accuracy_are_stopped(store: Store, begun: Began) -> None:
    add = [("prune(sparsity=0.5) + int8", False, True)]
    (other,) = runs.add_runs(store.database, 1, add, "somebody") if begun(8) else []
    advance_searches(store)
    own = next(run for run in waiting(store) if run != other)
    for limits, expected in (({}, None), ({"size_bytes": 9.0}, None), ({"accuracy_drop": 0.02}, 0.02)):
        annotations.set_limits(store.database, 1, limits)
        experiment = experiments.get_experiment(store.database, 1)
        assert experiment is not None
        assert max_drop_of(store, row_of(store, own), experiment) == expected
        assert max_drop_of(store, row_of(store, other), experiment) is None
        generated = replace(experiment, settings={**experiment.settings, "generated": {"rows": 1}})
        assert max_drop_of(store, row_of(store, own), generated) is None


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_goes_on_after_stopped_runs(sampler: str) -> None:
    costs = (9.0, math.nan, 8.0, math.nan)
    texts = [f"prune(sparsity={n / 20}) + int8" for n in range(10, 14)]
    told = [
        Outcome(n, text, 0.9, cost, {"accuracy_drop": 5.0 if math.isnan(cost) else -0.5})
        for n, (text, cost) in enumerate(zip(texts, costs, strict=True))
    ] * 3
    task = Task(SPACE, "size_bytes", {"accuracy_drop": 0.01}, 30)
    assert len(searching.propose(task, told, texts, 4, sampler=sampler)) == 4


def test_one_that_cannot_go_on_stops_alone(
    store: Store, begun: Began, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = begun(4)
    add_experiment(store, "two")
    sound = begun(4, experiment=2)
    propose = searching.propose

    def fails_once(*args: object, **given: object) -> object:
        monkeypatch.setattr(searching, "propose", propose)
        raise ValueError("no good")

    monkeypatch.setattr(searching, "propose", fails_once)
    advance_searches(store)
    assert found(store, broken).state == SearchState.FAILED
    assert found(store, broken).words == "it cannot go on: ValueError: no good"
    assert found(store, sound).asked == 4


def test_two_servers_enter_runs_once(store: Store, begun: Began) -> None:
    search = begun(40)
    barrier = threading.Barrier(4)

    def advance() -> None:
        barrier.wait()
        advance_searches(store)

    threads = [threading.Thread(target=advance) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    own = searches.search_runs(store.database, found(store, search))
    assert len(set(recipes(store, own))) == len(own) == 4
    assert found(store, search).asked == 4


def test_a_stopped_search_starts_nothing_more(store: Store, begun: Began) -> None:
    search = begun(40)
    advance_searches(store)
    with pytest.raises(SearchRefused, match="already has a running search"):
        begun(5)
    known = found(store, search)
    assert searches.stop_searches(store.database, 1)
    assert not searches.stop_searches(store.database, 1)
    for run in waiting(store):
        finish(store, run)
    advance_searches(store)
    assert not waiting(store)
    assert searches.enter(store.database, known, [("prune(sparsity=0.5) + int8", False, True)], 1) == []
    assert (found(store, search).state, found(store, search).words) == (
        SearchState.STOPPED,
        "stopped by the user",
    )
    assert begun(5) > search
    assert [row.id for row in searches.get_searches(store.database, 1)] == [search + 1, search]


def test_limits_count_as_they_are_when_the_next_are_chosen(
    store: Store, begun: Began, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(20)
    advance_searches(store)
    for run in waiting(store):
        finish(store, run)
    annotations.set_limits(store.database, 1, {"accuracy_drop": 0.005})
    told = []
    monkeypatch.setattr(searching, "propose", lambda task, found, *args, **given: told.extend(found) or [])
    advance_searches(store)
    assert len(told) == 4
    assert all(outcome.excess["accuracy_drop"] == pytest.approx(1.0) for outcome in told)


def test_only_who_may_change_an_experiment_searches_in_it(store: Store, begun: Began) -> None:
    search = begun(4)
    for visitor in (NOBODY, Visitor(shared=1), Visitor(email="a@example.org", shared=1)):
        engine = bound_to(store.database, visitor)
        with pytest.raises(NotAllowed):
            searches.stop_searches(engine, 1)
        with pytest.raises(NotAllowed):
            searches.add_search(engine, 1, goal="size_bytes", budget=1, settings={})
    assert searches.get_searches(bound_to(store.database, NOBODY), 1) == []
    assert searches.get_search(bound_to(store.database, NOBODY), search) is None
    assert len(searches.get_searches(bound_to(store.database, Visitor(shared=1)), 1)) == 1
    assert found(store, search).state == SearchState.RUNNING


def test_which_rows_turned_is_read_where_it_is_known(store: Store, begun: Began) -> None:
    first, second, third = (
        runs.add_runs(store.database, 1, [("int8", False, False)] * 3, "s") if begun() else []
    )
    with store.database.begin() as connection:
        for run, measured in (
            (first, {"turned": {"lost": [3, 5], "gained": []}}),
            (second, {"turned": None}),
        ):
            connection.execute(insert(RunDetail).values(run_id=run, measured=measured))
        connection.execute(insert(RunDetail).values(run_id=third, measured={"layers": []}))
    assert searches.changed_rows(store.database, [first, second, third]) == {first: ([3, 5], [])}
    assert searches.changed_rows(store.database, []) == {}
