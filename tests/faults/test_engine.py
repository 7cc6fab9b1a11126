"""The engine under faults, with a real dask scheduler and real child processes that are really killed."""

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import poll
from support.engine_site import Site

from lwdash.engine.scheduler import batch_key, batches, members_of
from lwdash.engine.scratch import sweep, working_folder
from lwdash.measure.runner import Runner
from storage import run_rows, runs
from storage.queue import Waiting

LONG = "prune(sparsity=0.5, epochs=1000)"
"""Takes minutes to train."""


def test_runs_go_through_to_a_measured_file(site: Site) -> None:
    site.start()
    ids = site.submit("float16", "dynamic")
    assert site.wait_until_ended(ids) == ["succeeded", "succeeded"]
    for run in ids:
        row, detail = site.row(run), run_rows.get_detail(site.store.database, run)
        Runner(site.store.artifacts.read(row.tflite_sha256))
        assert row.accuracy > 0.9
        assert row.attempt == 1
        assert detail.measured["layers"]
        assert (site.settings.logs / f"run-{run}.log").exists()
    poll("idle", site.is_clean, 5)


def test_a_running_child_is_cancelled_within_two_seconds(site: Site) -> None:
    site.start()
    long, waiting = site.submit(LONG, LONG.replace("0.5", "0.6"))
    site.wait(long, lambda row: row.state == "running" and "epoch" in (row.doing or ""))
    asked = time.monotonic()
    assert runs.cancel(site.store.database, long)
    assert runs.cancel(site.store.database, waiting)
    assert site.wait_until_ended([long, waiting], 5) == ["cancelled", "cancelled"]
    assert time.monotonic() - asked < 2.0
    poll("no child left", site.is_clean, 2)


def test_a_killed_child_fails_its_run_and_no_other(site: Site) -> None:
    site.start()
    first, *rest = ids = site.submit("float16", "dynamic", "int8(io=float32)")
    site.wait(first, lambda row: row.state == "running")
    (child,) = site.children
    child.kill()
    assert site.wait_until_ended(ids) == ["failed", "succeeded", "succeeded"]
    error = site.row(first).error
    assert "SIGKILL" in error
    assert "the other runs go on" in error
    assert site.row(first).attempt == 1
    assert runs.retry(site.store.database, first)
    assert site.wait_until_ended([first, *rest]) == ["succeeded"] * 3


def test_a_run_that_cannot_be_done_does_not_hurt_the_others(site: Site) -> None:
    site.start()
    ids = site.submit("prune(sparsity=0.5, skip=[nowhere])", "float16")
    assert site.wait_until_ended(ids) == ["failed", "succeeded"]
    assert "nowhere" in site.row(ids[0]).error


def test_a_model_deleted_behind_our_back_is_said(site: Site) -> None:
    shutil.rmtree(site.store.artifacts.root)
    site.start()
    (run,) = site.submit("float16")
    assert site.wait_until_ended([run]) == ["failed"]
    assert "no longer in the artifact store" in site.row(run).error
    assert "upload the file again" in site.row(run).error


def test_a_cached_stage_deleted_behind_our_back_is_made_again(site: Site) -> None:
    site.start()
    (run,) = site.submit("float16")
    assert site.wait_until_ended([run]) == ["succeeded"], site.row(run).error
    sha256 = site.row(run).tflite_sha256
    site.store.artifacts.local_path(sha256).unlink()
    (again,) = site.submit("float16")
    assert site.wait_until_ended([again]) == ["succeeded"]
    assert site.store.artifacts.has(site.row(again).tflite_sha256)


def test_one_home_has_one_engine_at_work(drill: Site) -> None:
    one = drill.start()
    assert one.state in ("starting", "embedded")
    poll("the first engine works", lambda: one.state == "embedded", 15)
    other = drill.start()
    assert other.state in ("starting", "elsewhere")
    ids = drill.queue("work", "work")
    assert drill.wait_until_ended(ids) == ["succeeded", "succeeded"]
    assert (one.state, other.state) == ("embedded", "elsewhere")
    one.stop()
    poll("the other takes over", lambda: other.state == "embedded", 15)


def test_an_engine_that_cannot_start_says_so(drill: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    import distributed

    def fails(*arguments: Any, **options: Any) -> None:
        raise OSError("no port is free")

    with monkeypatch.context() as patch:
        patch.setattr(distributed, "LocalCluster", fails)
        engine = drill.start()
        poll("the problem is known", lambda: engine.problem, 15)
        assert engine.state == "down"
        assert "no port is free" in (engine.problem or "")
    poll("it works again", lambda: engine.state == "embedded", 15)


def waiting(
    run: int, step: str = "compress", *, submission: str = "s", is_trained: bool = False, experiment: int = 1
) -> Waiting:
    return Waiting(run, experiment, step, 1, submission, is_trained)


def test_quick_runs_of_one_experiment_share_a_child() -> None:
    found = batches(
        [
            waiting(3),
            waiting(2, is_trained=True),
            waiting(1, submission="t"),
            waiting(4, experiment=2),
            waiting(5, is_trained=True),
            waiting(6, "measure"),
            waiting(7, "measure", submission="t", is_trained=True),
        ]
    )
    assert [tuple(w.run_id for w in batch) for batch in found] == [(3, 1), (2,), (4,), (5,), (6, 7)]


def test_a_batch_is_bounded_and_its_key_says_what_is_inside() -> None:
    (first, second) = batches([waiting(run) for run in range(1, 31)])
    assert len(first) == 25
    members = [*members_of(batch_key(first)), *members_of(batch_key(second))]
    assert members == [("compress", run, 1) for run in range(1, 31)]
    assert list(members_of("somebody-elses-task")) == []


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (7, [4, 3]), (20, [10, 10]), (25, [10, 10, 5])])
def test_details_are_shared_out_to_two_children(count: int, sizes: list[int]) -> None:
    found = batches([waiting(run, "details", is_trained=run % 2 == 0) for run in range(1, count + 1)])
    assert [len(batch) for batch in found] == sizes


def test_only_folders_without_an_owner_are_swept(tmp_path: Path) -> None:
    abandoned = tmp_path / "step-abandoned"
    young = tmp_path / "step-young"
    for folder in (abandoned, young, tmp_path / "other"):
        folder.mkdir()
    os.utime(abandoned, (0, 0))
    os.utime(tmp_path / "other", (0, 0))
    with working_folder(tmp_path) as owned:
        os.utime(owned, (0, 0))
        assert sweep(tmp_path) == 1
        assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["other", "step-young", owned.name])
    assert not owned.exists()
