"""Results on targets are recorded with the analysis that measured them, and read for many runs at once."""

import pytest
from support.seeding import seed_experiment

from lwdash.engine import submit
from lwdash.errors import UserMistake
from storage import queue, run_rows, runs
from storage.analyses import analysis_of
from storage.experiments import get_experiment
from storage.store import Store
from storage.target_results import (
    changed_since,
    is_measuring,
    results_mark,
    runs_without,
    target_kind,
    target_results,
)

RESULT = {"state": "runs", "metrics": {}, "operators": {"CONV_2D": 1}}
NPU = "ethos_u55_256"


@pytest.fixture
def seeded(sqlite_store: Store) -> Store:
    seed_experiment(sqlite_store, "beats", 4)
    return sqlite_store


def measure(store: Store, run: int, target: str) -> None:
    """As a worker does it."""
    submit.measure_on_target(store, run, target)
    [waiting] = queue.waiting(store.database)
    assert waiting.step == target_kind(target)
    claim = runs.claim(store.database, waiting.run_id, waiting.step, waiting.attempt, "worker")
    assert claim is not None
    assert runs.finish_analysis(store.database, claim, measured={"targets": {target: RESULT}})


def test_a_result_belongs_to_the_run_and_changes_the_experiment_s_mark(seeded: Store) -> None:
    before = results_mark(seeded.database, 1)
    measure(seeded, 2, NPU)
    assert target_results(seeded.database, [1, 2, 3]) == {2: {NPU: RESULT}}
    assert results_mark(seeded.database, 1) != before
    assert changed_since(seeded.database, 1, 0.0) == [2]
    assert run_rows.get_detail(seeded.database, 2).measured["targets"] == {NPU: RESULT}
    assert sorted(runs_without(seeded.database, 1, NPU, 10)) == [1, 3, 4]


def test_a_target_is_measured_once(seeded: Store) -> None:
    measure(seeded, 2, NPU)
    known = analysis_of(seeded.database, 2, target_kind(NPU))
    assert known is not None
    assert submit.measure_on_target(seeded, 2, NPU) == known.id
    assert not is_measuring(seeded.database, 1)


def test_targets_chosen_for_an_experiment_are_measured_on_its_runs(seeded: Store) -> None:
    assert submit.choose_targets(seeded, 1, [NPU, "tflm"]) == 4
    experiment = get_experiment(seeded.database, 1)
    assert experiment is not None
    assert experiment.targets == (NPU,), "what is always measured needs no choice"
    assert is_measuring(seeded.database, 1)
    assert {w.step for w in queue.waiting(seeded.database)} == {target_kind(NPU)}


def test_an_unknown_target_is_refused_by_name(seeded: Store) -> None:
    with pytest.raises(UserMistake, match="there is no target 'ethos'"):
        submit.measure_on_target(seeded, 2, "ethos")
