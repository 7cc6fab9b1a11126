"""Analyses of runs in the database: the states of runs, and in no list of runs. The same on both back ends."""

from collections.abc import Callable

import pytest

from storage import frames, queue, run_rows, runs
from storage.analyses import SENSITIVITY, NotAnalysable, add_analysis, analysis_of
from storage.overview import found_experiments
from storage.result_frames import standing
from storage.runs import Claim
from storage.store import Store

Queued = Callable[..., list[int]]


def succeed(store: Store, run_id: int) -> None:
    """Takes a queued run through its two steps."""
    claim = runs.claim(store.database, run_id, "compress", 1, "host:1")
    assert claim is not None
    assert runs.finish_compress(
        store.database,
        claim,
        tflite_sha256="c" * 64,
        baseline_sha256="d" * 64,
        compressed={"stages": [], "trail": []},
    )
    claim = runs.claim(store.database, run_id, "measure", 1, "host:1")
    assert claim is not None
    figures = {"size_bytes": 900, "accuracy": 0.9}
    assert runs.finish_measure(store.database, claim, figures=figures, measured={"layers": []})


def claimed(store: Store, analysis: int, attempt: int = 1) -> Claim:
    claim = runs.claim(store.database, analysis, SENSITIVITY, attempt, "host:1")
    assert claim is not None
    return claim


def test_an_analysis_waits_runs_and_keeps_what_it_found(store: Store, queued: Queued) -> None:
    run, other = queued("float32", "int8")
    with pytest.raises(NotAnalysable, match=f"run {run} is queued: only a run that has succeeded"):
        add_analysis(store.database, run, SENSITIVITY)
    succeed(store, run)
    analysis = add_analysis(store.database, run, SENSITIVITY)
    assert add_analysis(store.database, run, SENSITIVITY) == analysis, "one that waits is not doubled"
    steps = {w.run_id: w.step for w in queue.waiting(store.database)}
    assert steps == {other: "compress", analysis: SENSITIVITY}
    claim = claimed(store, analysis)
    found = analysis_of(store.database, run, SENSITIVITY)
    assert found is not None
    assert (found.id, found.state, found.of_run, found.measured) == (
        analysis,
        "running",
        run,
        {},
    )
    assert runs.finish_analysis(store.database, claim, measured={"rows": 7})
    assert not runs.finish_analysis(store.database, claim, measured={"rows": 8}), "the claim has ended"
    found = analysis_of(store.database, run, SENSITIVITY)
    assert found is not None
    assert (found.state, found.measured) == ("succeeded", {"rows": 7})
    assert add_analysis(store.database, run, SENSITIVITY) == analysis, (
        "one that has succeeded is not done again"
    )
    with pytest.raises(NotAnalysable, match="there is no run"):
        add_analysis(store.database, analysis, SENSITIVITY)
    with pytest.raises(NotAnalysable, match="there is no run 999"):
        add_analysis(store.database, 999, SENSITIVITY)
    with pytest.raises(ValueError, match="received 'magic'"):
        add_analysis(store.database, run, "magic")


def test_one_that_failed_is_retried_at_its_own_step_or_started_anew(store: Store, queued: Queued) -> None:
    [run] = queued("float32")
    succeed(store, run)
    analysis = add_analysis(store.database, run, SENSITIVITY)
    assert runs.fail(store.database, claimed(store, analysis), "out of luck")
    assert runs.retry(store.database, analysis)
    assert [(w.run_id, w.step, w.attempt) for w in queue.waiting(store.database)] == [
        (analysis, SENSITIVITY, 2)
    ]
    assert runs.cancel(store.database, analysis)
    again = add_analysis(store.database, run, SENSITIVITY)
    assert again != analysis
    found = analysis_of(store.database, run, SENSITIVITY)
    assert found is not None
    assert found.id == again, "the newest counts"


def test_no_list_or_count_of_runs_knows_analyses(store: Store, queued: Queued) -> None:
    run, other = queued("float32", "int8")
    succeed(store, run)
    succeed(store, other)
    experiment = run_rows.get_run(store.database, run).experiment_id
    before = _all_lists(store, experiment)
    analysis = add_analysis(store.database, other, SENSITIVITY)
    assert _all_lists(store, experiment) == before
    claim = claimed(store, analysis)
    assert _all_lists(store, experiment) == before
    assert runs.finish_analysis(store.database, claim, measured={})
    assert _all_lists(store, experiment) == before
    assert frames.run_row(store.database, analysis) is None


def _all_lists(store: Store, experiment: int) -> dict[str, object]:
    engine = store.database
    overview = found_experiments(engine)
    return {
        "ended": standing(engine, experiment, has_ended=True)["id"].tolist(),
        "under way": standing(engine, experiment, has_ended=False)["id"].tolist(),
        "baseline": frames.baseline_run(engine, experiment),
        "progress": frames.progress_of(engine, experiment),
        "busy": frames.is_busy(engine, experiment),
        "overview": [(found.runs, found.running, found.queued, found.failed) for found in overview],
        "active": frames.active_runs(engine, experiment, 9),
        "newest": frames.newest_run(engine),
        "newest ids": frames.newest_runs(engine, None, 9),
    }
