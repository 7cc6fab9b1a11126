"""What exists once by construction, with many who ask for it at the same moment, on each back end."""

import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

import pytest
from conftest import add_experiment
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from lwdash.engine.submit import submit_runs
from storage import experiments, run_rows, runs, searches, sharing
from storage.analyses import SENSITIVITY, add_analysis
from storage.frames import baseline_run
from storage.store import Store
from storage.tables import Experiment, Run, Search, State

Result = TypeVar("Result")
AT_ONCE = 10


def at_once(action: Callable[[int], Result], number: int, threads: int = AT_ONCE) -> list[Result]:
    """`action(0)` … `action(number - 1)`, `threads` at a time, each group begun at the same moment."""
    barrier = Barrier(threads)

    def call(index: int) -> Result:
        barrier.wait(30)
        return action(index)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(call, range(number)))


def count(store: Store, *conditions: object, table: type = Run) -> int:
    with store.database.connect() as connection:
        query = select(func.count()).select_from(table).where(*conditions)
        return connection.execute(query).scalar_one()


def test_fifty_submissions_on_ten_names_make_ten_experiments_with_a_baseline_each(store: Store) -> None:
    def submit(index: int) -> tuple[int, int, list[int]]:
        experiment = add_experiment(store, f"name {index % 10}")
        return experiment, *submit_runs(store, experiment, ["int8", "float16"])

    add_experiment(store, "its files")  # of which there is one of each kind: their rows are there
    found = at_once(submit, 50)
    assert count(store, table=Experiment) == 11
    assert len({experiment for experiment, _, _ in found}) == 10
    assert len({baseline for _, baseline, _ in found}) == 10
    assert count(store, Run.is_baseline) == 10
    assert count(store) == 10 + 50 * 2
    assert all(baseline_run(store.database, experiment) == baseline for experiment, baseline, _ in found)


def test_a_baseline_that_is_asked_for_by_name_is_one_too(store: Store) -> None:
    experiment = add_experiment(store)
    at_once(lambda _: submit_runs(store, experiment, ["float32"]), AT_ONCE)
    assert count(store) == AT_ONCE
    assert count(store, Run.is_baseline) == 1


def test_an_analysis_of_a_run_is_made_once(store: Store) -> None:
    experiment = add_experiment(store)
    (run,) = runs.add_runs(store.database, experiment, [("int8", False, False)], "s")
    with store.database.begin() as connection:
        connection.execute(Run.__table__.update().values(state=State.SUCCEEDED))
    ids = at_once(lambda _: add_analysis(store.database, run, SENSITIVITY), AT_ONCE)
    assert len(set(ids)) == 1
    assert count(store, Run.kind == SENSITIVITY) == 1


def test_an_experiment_has_one_search_at_a_time(store: Store) -> None:
    experiment = add_experiment(store)

    def begin(_: int) -> int | None:
        try:
            return searches.add_search(store.database, experiment, goal="gzip_bytes", budget=4, settings={})
        except searches.SearchRefused:
            return None

    begun = [search for search in at_once(begin, AT_ONCE) if search is not None]
    assert len(begun) == 1
    assert count(store, table=Search) == 1
    assert searches.end_search(store.database, begun[0], "done")
    assert begin(0) is not None


def test_a_failed_baseline_is_replaced_and_comes_back_as_an_ordinary_run(store: Store) -> None:
    experiment = add_experiment(store)
    first, _ = submit_runs(store, experiment, ["int8"])
    assert runs.cancel(store.database, first)
    second, _ = submit_runs(store, experiment, ["int8"])
    assert second != first
    assert runs.retry(store.database, first)
    row = run_rows.get_run(store.database, first)
    assert row is not None
    assert (row.state, row.is_baseline) == ("queued", False)
    assert baseline_run(store.database, experiment) == second


def test_a_cancelled_baseline_without_another_is_the_baseline_again(store: Store) -> None:
    experiment = add_experiment(store)
    baseline, _ = submit_runs(store, experiment, ["int8"])
    assert runs.cancel(store.database, baseline)
    assert runs.retry(store.database, baseline)
    assert baseline_run(store.database, experiment) == baseline


def test_an_experiment_of_nobody_may_come_to_an_owner_who_has_an_equal_one(store: Store) -> None:
    nobodys = add_experiment(store)
    row = experiments.get_experiment(store.database, nobodys)
    assert row is not None
    files = [
        experiments.get_file(store.database, getattr(row, kind).sha256, kind) for kind in ("model", "data")
    ]
    made = {"settings": {"label": "label"}, "task": "classification", "seed": 0, "owner": "ada@example.org"}
    model, data = (dataclasses.replace(file, facts={"layers": []}) for file in files if file is not None)
    own = experiments.add_experiment(store.database, name=row.name, model=model, data=data, **made)
    assert own != nobodys
    sharing.set_private(store.database, nobodys, True, "ada@example.org")
    taken = experiments.get_experiment(store.database, nobodys)
    assert taken is not None
    assert (taken.owner, taken.is_private) == ("ada@example.org", True)
    again = experiments.add_experiment(store.database, name=row.name, model=model, data=data, **made)
    assert again == own


def test_a_run_of_an_experiment_that_is_not_there_is_no_matter_of_baselines(store: Store) -> None:
    with pytest.raises(IntegrityError):
        runs.add_runs(store.database, 999, [("float32", True, False)], "s")
