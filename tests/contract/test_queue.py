"""The order of the queue, and what is said about it, on both databases."""

from collections.abc import Callable

import pytest
from sqlalchemy import insert, update

from lwdash.engine.silence import Silence
from lwdash.engine.submit import submit_runs
from lwdash.ui.shared.progress import run_seconds_left, time_left_text, timed_run, turn_text
from storage import queue, run_rows, runs, time_left
from storage.lost_workers import Beat
from storage.queue import Position
from storage.records import RunProgress
from storage.store import Store
from storage.tables import Run, State
from storage.time_left import TimeLeft

Queued = Callable[..., list[int]]


def submit(
    store: Store, number: int, submission: str, *, owner: str | None = None, trained: bool = False
) -> list[int]:
    ids = runs.add_runs(store.database, 1, [("int8", False, trained)] * number, submission)
    if owner:
        with store.database.begin() as connection:
            connection.execute(update(Run).where(Run.id.in_(ids)).values(owner=owner))
    return ids


def order(store: Store) -> list[int]:
    return [w.run_id for w in queue.waiting(store.database)]


def test_a_large_sweep_lets_a_single_run_pass(store: Store, queued: Queued) -> None:
    sweep = queued(*["prune(sparsity=0.5)"] * 200)
    (single,) = submit(store, 1, "other")
    assert order(store)[:3] == [sweep[0], single, sweep[1]]
    assert queue.queue_position(store.database, single) == Position(1, None)
    assert queue.queue_position(store.database, sweep[-1]) == Position(200, None)


def test_several_submissions_of_one_person_are_one_share(store: Store, queued: Queued) -> None:
    queued()
    first = submit(store, 3, "a", owner="ann")
    second = submit(store, 3, "b", owner="ann")
    other = submit(store, 2, "c", owner="bob")
    assert order(store) == [first[0], other[0], first[1], other[1], first[2], *second]
    assert len(queue.waiting(store.database, 2)) == 2


def test_positions_are_the_order(store: Store, queued: Queued) -> None:
    queued()
    for share in "abc":
        submit(store, 4, share)
    ordered = order(store)
    assert [queue.queue_position(store.database, run).ahead for run in ordered] == list(range(12))  # type: ignore[union-attr]
    runs.cancel(store.database, ordered[0])
    assert queue.queue_position(store.database, ordered[0]) is None
    assert queue.queue_position(store.database, order(store)[0]) == Position(0, 0.0)
    assert queue.queue_position(store.database, 10**6) is None


def ended(store: Store, *spans: tuple[float, float], trained: bool) -> None:
    rows = [
        {
            "experiment_id": 1, "recipe": "int8", "submission": "old", "state": State.SUCCEEDED, "step": "measure",
            "is_trained": trained, "created_at": 0.0, "started_at": start, "finished_at": end,
        }
        for start, end in spans
    ]  # fmt: skip
    with store.database.begin() as connection:
        connection.execute(insert(Run), rows)


def test_the_wait_is_estimated_from_what_runs_took(store: Store, queued: Queued) -> None:
    """Quick runs start together and end 2 s apart; trained ones take 30 s each."""
    queued()
    ended(store, (0, 2), (0, 4), (0, 6), (0, 8), trained=False)
    ended(store, (100, 130), (200, 230), trained=True)
    quick, trained = submit(store, 3, "a"), submit(store, 2, "b", trained=True)
    assert time_left.seconds_per_run(store.database) == {False: 2.0, True: None}
    assert queue.queue_position(store.database, quick[1]) == Position(2, None), "two trained are too few"
    ended(store, (300, 330), trained=True)
    assert time_left.seconds_per_run(store.database) == {False: 2.0, True: 30.0}
    assert queue.queue_position(store.database, quick[2]) == Position(4, 2 + 30 + 2 + 30)
    runs.claim(store.database, quick[0], "compress", 1, "host:1")
    assert queue.queue_position(store.database, trained[0]) == Position(1, 1 + 2)


def test_the_time_left_of_an_experiment_is_estimated_from_its_own_runs_first(
    store: Store, queued: Queued
) -> None:
    queued()
    ended(store, (0, 2), (0, 4), (0, 6), trained=False)
    quick = submit(store, 3, "a")
    assert time_left.seconds_left(store.database, 1, 50.0) == TimeLeft(6.0)
    runs.claim(store.database, quick[0], "compress", 1, "host:1")
    with store.database.begin() as connection:
        connection.execute(update(Run).where(Run.id == quick[0]).values(started_at=49.5))
    assert time_left.seconds_left(store.database, 1, 50.0) == TimeLeft(4.0 + 1.5)
    submit(store, 1, "b", trained=True)
    assert time_left.seconds_left(store.database, 1, 50.0) == TimeLeft(4.0 + 1.5, unknown=1)
    ended(store, (100, 130), trained=True)
    assert time_left.seconds_left(store.database, 1, 50.0) == TimeLeft(4.0 + 1.5 + 30.0), (
        "one of its own suffices"
    )


def test_the_time_left_of_a_run_is_what_others_of_its_kind_took_beyond_its_own(
    store: Store, queued: Queued
) -> None:
    queued()
    first, late, trained = submit(store, 2, "a") + submit(store, 1, "b", trained=True)
    assert time_left.seconds_left_of_runs(store.database, 1, 50.0) == {}
    for run, started in ((first, 48.0), (late, 10.0), (trained, 49.0)):
        runs.claim(store.database, run, "compress", 1, "host:1")
        with store.database.begin() as connection:
            connection.execute(update(Run).where(Run.id == run).values(started_at=started))
    assert time_left.seconds_left_of_runs(store.database, 1, 50.0) == {}, "nothing was measured"
    ended(store, (0, 8), (0, 6), (0, 4), trained=False)
    assert time_left.seconds_left_of_runs(store.database, 1, 50.0) == {first: 4.0}


def test_the_time_left_of_a_training_follows_its_speed() -> None:
    def run(doing: str, progress: float) -> RunProgress:
        return RunProgress(
            id=7,
            recipe="prune",
            state=State.RUNNING,
            doing=doing,
            progress=progress,
            error=None,
            started_at=0.0,
        )

    seen: dict[int, tuple[str, float, float]] = {}
    assert run_seconds_left(run("loading the model", 0.0), {}, 9.0, seen) is None
    assert run_seconds_left(run("loading the model", 0.0), {7: 30.0}, 9.0, seen) == 30.0
    assert run_seconds_left(run("pruning: epoch 2 of 9", 0.2), {}, 10.0, seen) is None, "no speed yet"
    assert run_seconds_left(run("pruning: epoch 5 of 9", 0.6), {}, 14.0, seen) == pytest.approx(4.0)
    assert run_seconds_left(run("pruning: epoch 5 of 9", 0.6), {7: 9.0}, 14.0, seen) == 9.0
    assert run_seconds_left(run("clustering: epoch 1 of 9", 0.0), {}, 20.0, seen) is None, "another training"


def test_an_estimate_of_the_time_left_is_called_one() -> None:
    assert time_left_text(None) == time_left_text(TimeLeft(0.2)) == ""
    assert time_left_text(TimeLeft(65)) == " · about 1 min 5 s left (estimate)"
    assert (
        time_left_text(TimeLeft(12, 2))
        == " · about 12 s left without 2 runs of a kind not measured yet (estimate)"
    )


def test_quick_runs_of_a_submission_come_before_those_that_train(store: Store, queued: Queued) -> None:
    queued()
    recipes = ["prune(sparsity=0.5)", "int8", "cluster(clusters=8)", "float16"]
    baseline, ids = submit_runs(store, 1, recipes)
    assert order(store) == [baseline, ids[1], ids[3], ids[0], ids[2]]
    recipe_of = {run: run_rows.get_run(store.database, run).recipe for run in ids}
    assert [recipe_of[run] for run in ids] == recipes


def test_the_run_for_which_others_are_paused() -> None:
    def run(number: int, doing: str | None) -> RunProgress:
        return RunProgress(
            id=number,
            recipe="int8",
            state=State.RUNNING,
            doing=doing,
            progress=0.5,
            error=None,
            started_at=1.0,
        )

    measured = run(3, "measuring latency")
    assert timed_run([run(1, "pruning: epoch 2 of 9"), measured]) is None
    assert timed_run([run(1, "paused: another run is measured"), measured]) == 3
    assert timed_run([run(1, "paused: another run is measured")]) is None


def test_why_runs_wait_is_written_on_them_and_taken_back(store: Store, queued: Queued) -> None:
    waiting, running = queued("int8", "float16")
    runs.claim(store.database, running, "compress", 1, "host:1")
    queue.explain_wait(store.database, "waits: no worker")
    rows = [run_rows.get_run(store.database, run) for run in (waiting, running)]
    assert [row.doing for row in rows if row] == ["waits: no worker", "starting"]
    queue.explain_wait(store.database, None, "waits: no worker")
    assert run_rows.get_run(store.database, waiting).doing is None


@pytest.mark.parametrize(
    ("position", "words"),
    [
        (None, "waits for its turn"),
        (Position(0, 0.0), "waits for its turn: next"),
        (Position(0, 12.0), "waits for its turn: next, in about 12 s"),
        (Position(1234, None), "waits for its turn: 1,234 ahead"),
    ],
)
def test_the_turn_in_words(position: Position | None, words: str) -> None:
    assert turn_text(position) == words


def test_silence_is_timed_by_who_listens() -> None:
    """Time stamps may jump; only how long one stays the same counts."""
    clock = [0.0]
    silence = Silence(60, 6, lambda: clock[0])
    local, remote = Beat(1, 1, 1e9, "host:1"), Beat(2, 1, 5.0, "tcp://host:1")
    assert silence.silent([local, remote], ["tcp://host:1"]) == []
    clock[0] = 59
    assert silence.silent([local, remote], ["tcp://host:1"]) == []
    clock[0] = 61
    assert silence.silent([local, remote], ["tcp://host:1"]) == [local, remote]
    beaten = Beat(1, 1, 1e9 - 7200, "host:1")  # its clock was set back
    assert silence.silent([beaten, remote], ["tcp://host:1"]) == [remote]


def test_a_worker_that_has_left_is_given_less_time() -> None:
    clock = [0.0]
    silence = Silence(60, 6, lambda: clock[0])
    local, remote = Beat(1, 1, 1.0, "host:1"), Beat(2, 1, 1.0, "tcp://host:1")
    silence.silent([local, remote], [])
    clock[0] = 7
    assert silence.silent([local, remote], []) == [remote]
    assert silence.silent([local, remote], None) == []
