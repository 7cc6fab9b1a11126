"""The state machine of runs and the rest of the database, the same on SQLite and PostgreSQL."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from conftest import add_experiment
from sqlalchemy import create_engine, select, text, update

from storage import experiments, frames, lost_workers, queue, run_rows, runs, stages
from storage.database import connect, now, ping, upgrade
from storage.errors import NewerDatabase
from storage.frames import progress_of
from storage.lost_workers import Beat
from storage.overview import found_experiments
from storage.result_frames import figures_of, standing
from storage.runs import Claim
from storage.store import Store
from storage.tables import FINAL, Base, Run, RunDetail, State

Queued = Callable[..., list[int]]

FIGURES = {"size_bytes": 900, "accuracy": 0.9, "speedup": 1.1, "sparsity": 0.5, "verdict": "equivalent"}


def state_of(store: Store, run_id: int) -> str:
    return row_of(store, run_id).state


def row_of(store: Store, run_id: int) -> Any:
    row = run_rows.get_run(store.database, run_id)
    assert row is not None
    return row


def claimed(store: Store, run_id: int, step: str = "compress") -> Claim:
    claim = runs.claim(store.database, run_id, step, row_of(store, run_id).attempt, "host:1")
    assert claim is not None
    return claim


def compressed(store: Store, claim: Claim) -> bool:
    return runs.finish_compress(
        store.database, claim, tflite_sha256="c" * 64, baseline_sha256="d" * 64, compressed={"stages": []}
    )


def measured(store: Store, claim: Claim) -> bool:
    return runs.finish_measure(store.database, claim, figures=FIGURES, measured={"layers": [1]})


def vanish(store: Store, *run_ids: int) -> None:
    """The worker of these runs sends no heartbeats for ten minutes."""
    with store.database.begin() as connection:
        long_ago = now(store.database) - 600
        connection.execute(update(Run).where(Run.id.in_(run_ids)).values(heartbeat_at=long_ago))


def recovered(store: Store, *run_ids: int) -> list[int]:
    """Recovers these runs, of which nothing was heard any more."""
    return lost_workers.recover(
        store.database, [beat for beat in lost_workers.heartbeats(store.database) if beat.run_id in run_ids]
    )


def ended_with(store: Store, state: State, run_id: int) -> None:
    """Brings a queued run to a final state."""
    claim = claimed(store, run_id)
    if state == State.FAILED:
        runs.fail(store.database, claim, "it broke")
    elif state == State.CANCELLED:
        runs.cancel(store.database, run_id)
        runs.end_cancelled(store.database, claim)
    elif state == State.STOPPED:
        runs.stop(store.database, claim, "it has lost too much", drop=0.2, compressed={"stages": []})
    else:
        compressed(store, claim)
        measured(store, claimed(store, run_id, "measure"))
    assert state_of(store, run_id) == state


def test_a_run_goes_through_its_steps(store: Store, queued: Queued) -> None:
    (run,) = queued("int8")
    assert [(w.run_id, w.step, w.attempt) for w in queue.waiting(store.database)] == [(run, "compress", 1)]

    claim = claimed(store, run)
    assert (state_of(store, run), queue.waiting(store.database)) == ("running", [])
    assert compressed(store, claim)
    assert [(w.run_id, w.step) for w in queue.waiting(store.database)] == [(run, "measure")]
    assert measured(store, claimed(store, run, "measure"))

    row = row_of(store, run)
    assert (row.state, row.progress, row.doing, row.error) == ("succeeded", 1.0, None, None)
    assert row.size_bytes == 900
    assert row.metrics["verdict"] == "equivalent"
    assert row.created_at <= row.started_at <= row.finished_at
    assert run_rows.get_detail(store.database, run).measured == {"layers": [1]}


def test_details_follow_a_measured_run_and_are_read_with_it(store: Store, queued: Queued) -> None:
    (run,) = queued("int8")
    assert compressed(store, claimed(store, run))
    owned = claimed(store, run, "measure")
    measured_now = {"layers": [1], "classes": ["a"]}
    assert runs.finish_measure(
        store.database, owned, figures={"size_bytes": 900}, measured=measured_now, has_details=True
    )
    assert state_of(store, run) == "succeeded"
    assert run_rows.get_detail(store.database, run).measured == measured_now
    (details,) = run_rows.pending_details(store.database, [run])
    whole, of = row_of(store, details), row_of(store, run)
    for column in ("experiment_id", "recipe", "submission", "tflite_sha256", "baseline_sha256"):
        assert getattr(whole, column) == getattr(of, column)
    assert (whole.of_run, whole.kind, whole.attempt, whole.tags) == (run, "details", 1, ())
    assert [(w.run_id, w.step) for w in queue.waiting(store.database)] == [(details, "details")]
    assert queue.queue_position(store.database, details) is None, "it is nobody's turn"

    owned = claimed(store, details, "details")
    assert runs.finish_analysis(store.database, owned, measured={"layers": [2], "waterfall": []})
    assert run_rows.get_detail(store.database, run).measured == {
        "layers": [2], "classes": ["a"], "waterfall": []
    }  # fmt: skip
    assert run_rows.pending_details(store.database, [run]) == []
    assert count_experiments_runs(store, of.experiment_id) == 1


def count_experiments_runs(store: Store, experiment_id: int) -> int:
    return sum(progress_of(store.database, experiment_id).values())


def test_of_many_workers_one_gets_a_step(store: Store, queued: Queued) -> None:
    ids = queued(*["int8"] * 10)
    together = threading.Barrier(6)

    def take_all(worker: int) -> list[int]:
        together.wait()
        return [i for i in ids if runs.claim(store.database, i, "compress", 1, f"host:{worker}")]

    with ThreadPoolExecutor(6) as pool:
        taken = [i for part in pool.map(take_all, range(6)) for i in part]
    assert sorted(taken) == ids


@pytest.mark.parametrize(("step", "attempt"), [("measure", 1), ("compress", 2), ("compress", 0)])
def test_another_step_or_attempt_cannot_be_claimed(
    store: Store, queued: Queued, step: str, attempt: int
) -> None:
    (run,) = queued("int8")
    assert runs.claim(store.database, run, step, attempt, "host:1") is None
    assert state_of(store, run) == "queued"


def test_a_worker_given_up_for_dead_changes_nothing(store: Store, queued: Queued) -> None:
    (run,) = queued("int8")
    old = claimed(store, run)
    vanish(store, run)
    assert recovered(store, run) == [run]
    new = claimed(store, run)
    assert new.attempt == old.attempt + 1
    before = row_of(store, run)

    assert runs.beat(store.database, old, "still here", 0.9)  # it is told to stop
    assert runs.should_stop(store.database, old)
    assert not compressed(store, old)
    assert not measured(store, old)
    assert not runs.fail(store.database, old, "late")
    assert not runs.end_cancelled(store.database, old)
    assert not runs.give_back(store.database, old)
    assert row_of(store, run) == before
    assert compressed(store, new)


def test_a_live_claim_is_not_told_to_stop(store: Store, queued: Queued) -> None:
    (run,) = queued("int8")
    claim = claimed(store, run)
    assert not runs.beat(store.database, claim, "training", 0.25)
    assert not runs.should_stop(store.database, claim)
    assert (row_of(store, run).doing, row_of(store, run).progress) == ("training", 0.25)


def test_a_queued_run_is_cancelled_at_once(store: Store, queued: Queued) -> None:
    (run,) = queued("int8")
    assert runs.cancel(store.database, run)
    assert state_of(store, run) == "cancelled"
    assert row_of(store, run).finished_at is not None
    assert queue.waiting(store.database) == []
    assert runs.claim(store.database, run, "compress", 1, "host:1") is None


def test_a_running_run_is_cancelled_by_its_worker(store: Store, queued: Queued) -> None:
    (run,) = queued("int8")
    claim = claimed(store, run)
    assert runs.cancel(store.database, run)
    assert state_of(store, run) == "running"
    assert runs.beat(store.database, claim)
    assert runs.should_stop(store.database, claim)
    assert runs.end_cancelled(store.database, claim)
    assert state_of(store, run) == "cancelled"


@pytest.mark.parametrize("end", [compressed, lambda store, claim: runs.give_back(store.database, claim)])
def test_a_cancelled_run_is_not_queued_again(
    store: Store, queued: Queued, end: Callable[[Store, Claim], bool]
) -> None:
    """The step ended between the click and the worker's next look."""
    (run,) = queued("int8")
    claim = claimed(store, run)
    runs.cancel(store.database, run)
    assert end(store, claim)
    assert state_of(store, run) == "cancelled"
    assert row_of(store, run).finished_at is not None


def test_a_cancelled_run_whose_worker_vanished_is_cancelled(store: Store, queued: Queued) -> None:
    (run,) = queued("int8")
    for _ in range(lost_workers.MAX_LOSSES):
        claimed(store, run)
        vanish(store, run)
        if row_of(store, run).vanished == lost_workers.MAX_LOSSES - 1:
            runs.cancel(store.database, run)
        recovered(store, run)
    row = row_of(store, run)
    assert (row.state, row.error) == ("cancelled", None)
    assert row.finished_at is not None


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.CANCELLED, State.STOPPED])
def test_a_final_run_does_not_change(store: Store, queued: Queued, state: State) -> None:
    (run,) = queued("int8")
    ended_with(store, state, run)
    before = row_of(store, run)
    assert not runs.cancel(store.database, run)
    assert runs.claim(store.database, run, before.step, before.attempt, "host:2") is None
    assert not runs.fail(store.database, Claim(run, before.attempt, before.step), "late")
    assert not runs.fail_waiting(store.database, run, before.attempt, "late")
    heard = Beat(run, before.attempt, before.heartbeat_at, "host:1")
    assert lost_workers.recover(store.database, [heard]) == []
    assert row_of(store, run) == before


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED, State.STOPPED])
def test_a_retry_is_a_new_attempt_from_the_first_step(store: Store, queued: Queued, state: State) -> None:
    (run,) = queued("int8")
    ended_with(store, state, run)
    old = Claim(run, 1, "compress")
    assert runs.retry(store.database, run)
    row = row_of(store, run)
    assert (row.state, row.step, row.attempt, row.error) == ("queued", "compress", 2, None)
    assert not row.cancel_requested
    assert not compressed(store, old)
    compressed(store, claimed(store, run))
    assert measured(store, claimed(store, run, "measure"))


def test_what_has_not_failed_is_not_retried(store: Store, queued: Queued) -> None:
    waiting, running, done = queued("int8", "int8", "int8")
    claimed(store, running)
    ended_with(store, State.SUCCEEDED, done)
    assert [runs.retry(store.database, run) for run in (waiting, running, done)] == [False, False, False]


def test_stale_steps_are_queued_again_and_fail_after_the_last_time(store: Store, queued: Queued) -> None:
    lost, alive = queued("int8", "int8")
    claimed(store, alive)
    for number in range(1, lost_workers.MAX_LOSSES):
        claimed(store, lost)
        vanish(store, lost)
        assert recovered(store, lost) == [lost]
        assert (state_of(store, lost), row_of(store, lost).attempt) == ("queued", number + 1)
    claimed(store, lost)
    vanish(store, lost)
    assert recovered(store, lost) == [lost]
    assert state_of(store, lost) == "failed"
    assert f"lost {lost_workers.MAX_LOSSES} times" in row_of(store, lost).error
    assert state_of(store, alive) == "running"


def test_restarts_and_retries_do_not_count_as_vanishing(store: Store, queued: Queued) -> None:
    (run,) = queued("int8")
    for _ in range(5):  # the server was stopped in good order
        runs.give_back(store.database, claimed(store, run))
        assert state_of(store, run) == "queued"
    for _ in range(5):  # a person tried again
        runs.fail(store.database, claimed(store, run), "it broke")
        runs.retry(store.database, run)
    claimed(store, run)
    vanish(store, run)
    recovered(store, run)
    assert (state_of(store, run), row_of(store, run).attempt) == ("queued", 12)


def test_a_recovered_measurement_is_measured_again(store: Store, queued: Queued) -> None:
    (run,) = queued("int8")
    compressed(store, claimed(store, run))
    claimed(store, run, "measure")
    vanish(store, run)
    recovered(store, run)
    assert [(w.step, w.attempt) for w in queue.waiting(store.database)] == [("measure", 2)]
    assert row_of(store, run).tflite_sha256 == "c" * 64


def test_times_are_the_databases(store: Store, queued: Queued, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host whose clock is wrong neither loses its runs nor takes those of others."""
    monkeypatch.setattr(time, "time", lambda: 0.0)
    (run,) = queued("int8")
    claim = claimed(store, run)
    runs.beat(store.database, claim)
    with store.database.connect() as connection:
        clock = connection.execute(select(now(store.database))).scalar_one()
    row = row_of(store, run)
    assert clock - 30 < row.created_at <= row.started_at <= row.heartbeat_at <= clock
    assert abs(lost_workers.heartbeats(store.database)[0].heartbeat_at - clock) < 30


def test_the_databases_clock_runs(store: Store) -> None:
    """Also inside one transaction, or all heartbeats of a batch would look alike."""
    with store.database.connect() as connection:
        first = connection.execute(select(now(store.database))).scalar_one()
        time.sleep(0.02)
        assert 0.01 < connection.execute(select(now(store.database))).scalar_one() - first < 5
    assert abs(first - time.time()) < 60


def test_a_run_succeeds_only_with_its_measurements(store: Store, queued: Queued) -> None:
    (run,) = queued("int8")
    compressed(store, claimed(store, run))
    claim = claimed(store, run, "measure")
    with store.database.begin() as connection:
        connection.execute(RunDetail.__table__.delete())
    with pytest.raises(runs.Incomplete):
        measured(store, claim)
    assert state_of(store, run) == "running"


def test_what_cannot_start_fails_in_words(store: Store, queued: Queued) -> None:
    (run,) = queued("int8")
    assert not runs.fail_waiting(store.database, run, 2, "of another attempt")
    assert runs.fail_waiting(store.database, run, 1, "no interpreter")
    assert (state_of(store, run), row_of(store, run).error) == ("failed", "no interpreter")


def test_the_enum_and_the_verbs_know_the_same_states(store: Store, queued: Queued) -> None:
    ids = queued(*["int8"] * len(State))
    claimed(store, ids[1])
    for run, state in zip(ids[2:], FINAL, strict=True):
        ended_with(store, state, run)
    assert [state_of(store, run) for run in ids] == [state.value for state in State]
    assert frames.count_states(store.database) == {state.value: 1 for state in State}


def in_threads(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def test_equal_uploads_at_once_are_one_file(store: Store) -> None:
    def add() -> int:
        return experiments.add_file(store.database, sha256="e" * 64, kind="data", name="x.csv", size_bytes=3)

    assert len(set(in_threads([add] * 8))) == 1


def test_the_same_experiment_is_found_again(store: Store) -> None:
    assert add_experiment(store, "beats") == add_experiment(store, "beats")
    assert add_experiment(store, "other") != add_experiment(store, "beats")
    assert experiments.find_experiments(store.database, "nowhere") == []


def test_of_two_equal_stages_the_first_stays(store: Store) -> None:
    for seconds in (1.0, 2.0):
        stages.put_stage(
            store.database, "k" * 64, kind="export", sha256="f" * 64, facts={"a": 1}, seconds=seconds
        )
    found = stages.get_stage(store.database, "k" * 64)
    assert found is not None
    assert found.seconds == 1.0
    stages.forget_stage(store.database, "k" * 64)
    assert stages.get_stage(store.database, "k" * 64) is None


def test_the_migrations_make_the_tables_of_the_code(store: Store) -> None:
    with store.database.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_several_processes_may_upgrade_at_once(database_url: str) -> None:
    def start() -> str:
        engine = connect(database_url)
        try:
            upgrade(engine)
            return ping(engine)
        finally:
            engine.dispose()

    assert len(set(in_threads([start] * 4))) == 1


def test_a_newer_database_is_refused(store: Store) -> None:
    with store.database.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(NewerDatabase, match=r"9999.*Update lwdash"):
        upgrade(store.database)


def test_a_database_without_tables_answers_none(database_url: str) -> None:
    engine = connect(database_url)
    assert ping(engine) == "none"
    engine.dispose()


def test_pages_read_what_was_written(store: Store, queued: Queued) -> None:
    first, second = queued("float32", "int8")
    experiment = row_of(store, first).experiment_id
    assert frames.baseline_run(store.database, experiment) == first
    ended_with(store, State.SUCCEEDED, first)
    ended_with(store, State.FAILED, second)
    table = standing(store.database, experiment, has_ended=True)
    assert list(table["id"]) == [first, second]
    assert list(table["state"]) == ["succeeded", "failed"]
    assert figures_of(store.database, [first, second])[first]["verdict"] == "equivalent"
    overview = found_experiments(store.database)
    assert [(found.id, found.runs, found.failed) for found in overview] == [(experiment, 2, 1)]
    assert not frames.is_busy(store.database, experiment)
    assert frames.progress_of(store.database, experiment)["failed"] == 1


def test_a_failed_baseline_is_not_the_baseline(store: Store, queued: Queued) -> None:
    (first,) = queued("float32")
    ended_with(store, State.FAILED, first)
    (second,) = queued("float32")
    assert frames.baseline_run(store.database, row_of(store, first).experiment_id) == second


def test_sqlite_keeps_answering_while_somebody_writes(sqlite_store: Store) -> None:
    """Readers in WAL mode do not wait for a writer."""
    other = create_engine(sqlite_store.database.url)
    with other.connect() as writer:
        writer.exec_driver_sql("BEGIN IMMEDIATE")
        assert frames.count_states(sqlite_store.database)["queued"] == 0
    other.dispose()


def test_a_second_connection_leaves_the_locks_of_the_first(sqlite_store: Store) -> None:
    """Another process that closes the database must not remove the log that this one still writes to."""
    url = str(sqlite_store.database.url)
    with sqlite_store.database.begin() as connection:
        connection.execute(text("SELECT 1 FROM runs"))
    connect(url).dispose()
    script = f"from storage.database import *; e = connect({url!r}); ping(e); e.dispose()"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    assert Path(f"{sqlite_store.database.url.database}-wal").exists()
    with sqlite_store.database.begin() as connection:
        connection.execute(text("UPDATE runs SET note = ''"))
