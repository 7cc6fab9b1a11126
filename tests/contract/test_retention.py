"""What `gc` finds and what it never touches, on both databases and in a real bucket."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import insert, update
from support.s3 import S3

from lwdash.cli import gc
from lwdash.engine.quota import Quota
from lwdash.settings import load_settings
from storage import experiments, retention, runs, stages
from storage.artifacts import Artifacts
from storage.installation import mark_installation
from storage.logs import find_log, keep_log
from storage.records import StoredFile
from storage.retention import find_removable, remove
from storage.store import Store
from storage.tables import File, Run, Stage


@pytest.fixture(params=["folder", "S3"])
def kept(
    request: pytest.FixtureRequest, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Store:
    """An installation with a finished run; its files are all in use."""
    monkeypatch.setattr(retention, "YOUNG_S", -60.0)
    if request.param == "S3":
        server: S3 = request.getfixturevalue("s3")
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        store = Store(store.database, Artifacts(server.bucket(), tmp_path / "cache"))
    mark_installation(store)
    rows = {}
    for kind in ("model", "data"):
        rows[kind] = add_upload(store, kind, f"the {kind}")
    experiment = experiments.add_experiment(
        store.database, name="e", model=rows["model"], data=rows["data"], settings={},
        task="classification", seed=0, own_parts={"evaluation": add_upload(store, "data", "own rows")},
    )  # fmt: skip
    (run,) = runs.add_runs(store.database, experiment, [("int8", False, False)], "s")
    claimed = runs.claim(store.database, run, "compress", 1, "host:1")
    assert claimed
    file = store.artifacts.put_bytes(b"the result")
    runs.finish_compress(
        store.database, claimed, tflite_sha256=file, baseline_sha256=store.artifacts.put_bytes(b"the baseline"),
        compressed={},
    )  # fmt: skip
    claimed = runs.claim(store.database, run, "measure", 1, "host:1")
    assert claimed
    runs.finish_measure(store.database, claimed, figures={}, measured={})
    return store


def add_upload(store: Store, kind: str, content: str) -> StoredFile:
    sha256 = store.artifacts.put_bytes(content.encode())
    experiments.add_file(store.database, sha256=sha256, kind=kind, name=content, size_bytes=len(content))
    return replace(experiments.get_file(store.database, sha256, kind), facts={})


def spare_names(store: Store, home: Path, days: float = 0) -> list[tuple[str, str]]:
    return [(s.kind, s.name) for s in find_removable(store, home, older_than_days=days)]


def key_of(content: bytes) -> str:
    return f"key of {len(content)} bytes"


def add_stage(store: Store, content: bytes) -> str:
    sha256 = store.artifacts.put_bytes(content)
    stages.put_stage(store.database, key_of(content), kind="keras", sha256=sha256, facts={}, seconds=1.0)
    return sha256


def test_what_is_in_use_stays(kept: Store, tmp_path: Path) -> None:
    assert spare_names(kept, tmp_path) == []
    assert len(list(kept.artifacts.listed())) == 6  # with the mark of the installation


def test_what_nobody_needs_is_found_and_goes(kept: Store, tmp_path: Path) -> None:
    stage = add_stage(kept, b"a pruned model")
    result = next(iter(kept.artifacts.listed()))
    shared = add_stage(kept, b"the result")  # a stage that is also a run's file
    orphan = kept.artifacts.put_bytes(b"nobody knows me")
    upload = add_upload(kept, "data", "never used").sha256
    found = find_removable(kept, tmp_path, older_than_days=0)
    assert {(s.kind, s.name) for s in found} == {
        (retention.STAGE, stage), (retention.ORPHAN, orphan), (retention.UPLOAD, upload)
    }  # fmt: skip
    for spare in found:
        remove(kept, spare)
    assert spare_names(kept, tmp_path) == []
    assert not any(kept.artifacts.has(name) for name in (stage, orphan, upload))
    assert kept.artifacts.has(shared)
    assert kept.artifacts.has(result.sha256)
    assert stages.get_stage(kept.database, key_of(b"a pruned model")) is None
    assert experiments.get_file(kept.database, upload, "data") is None


def test_only_what_is_old_enough_goes(kept: Store, tmp_path: Path) -> None:
    stage, upload = add_stage(kept, b"a pruned model"), add_upload(kept, "data", "never used").sha256
    assert spare_names(kept, tmp_path, days=2) == []
    three_days_ago = time.time() - 3 * retention.DAY_S
    with kept.database.begin() as connection:
        connection.execute(update(Stage).values(created_at=three_days_ago))
        connection.execute(update(File).where(File.sha256 == upload).values(created_at=three_days_ago))
    assert set(spare_names(kept, tmp_path, days=2)) == {(retention.STAGE, stage), (retention.UPLOAD, upload)}


def test_cached_stages_stay_while_a_step_runs(kept: Store, tmp_path: Path) -> None:
    stage = add_stage(kept, b"a pruned model")
    (run,) = runs.add_runs(kept.database, 1, [("int8", False, False)], "s")
    assert spare_names(kept, tmp_path) == [(retention.STAGE, stage)]
    runs.claim(kept.database, run, "compress", 1, "host:1")
    assert spare_names(kept, tmp_path) == []


def test_logs_of_ended_runs_go_here_and_there(kept: Store, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    for run in (1, 2):
        (logs / f"run-{run}.log").write_text("it went well\n")
    runs.add_runs(kept.database, 1, [("int8", False, False)], "s")  # run 2 is queued
    keep_log(kept.artifacts, 1, 1, "compress", logs / "run-1.log", 0)
    (spare,) = find_removable(kept, tmp_path, older_than_days=0)
    assert (spare.kind, spare.name) == (retention.LOG, "1")
    remove(kept, spare)
    assert not find_log(kept.artifacts, logs, 1).exists()
    assert find_log(kept.artifacts, logs, 2).exists()


def test_partial_files_go(kept: Store, tmp_path: Path) -> None:
    (tmp_path / "uploads").mkdir()
    part = tmp_path / "uploads" / "upload-x.part"
    part.write_bytes(b"half")
    os.utime(part, (0, 0))
    assert spare_names(kept, tmp_path) == [(retention.PARTIAL, part.name)]


def test_the_command_says_before_it_removes(kept: Store, tmp_path: Path) -> None:
    add_stage(kept, b"a pruned model")
    settings = load_settings(tmp_path)
    said = gc.collect(settings, kept, older_than_days=0, is_dry=True)
    assert said["kinds"] == {retention.STAGE: {"number": 1, "bytes": 14}}
    assert "cached stage: 1 would go, 14 bytes" in gc.lines(said)
    done = gc.collect(settings, kept, older_than_days=0, is_dry=False)
    assert (done["kinds"], done["bytes"]) == (said["kinds"], 14)
    assert gc.lines(gc.collect(settings, kept, older_than_days=0, is_dry=True))[0].startswith("nothing")


def test_beyond_the_quota_caches_go_first_and_then_nothing_starts(
    kept: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LWDASH_DISK_QUOTA", "4")
    settings = load_settings(tmp_path)
    assert Quota(settings, kept).problem() is None
    stage = add_stage(kept, bytes(5 << 20))
    assert Quota(settings, kept).problem() is None
    assert not kept.artifacts.has(stage)
    with kept.database.begin() as connection:
        large = kept.artifacts.put_bytes(bytes(6 << 20))
        row = {
            "experiment_id": 1,
            "recipe": "int8",
            "submission": "s",
            "state": "succeeded",
            "step": "measure",
        }
        connection.execute(insert(Run).values(**row, created_at=0.0, tflite_sha256=large))
    problem = Quota(settings, kept).problem()
    assert problem is not None
    assert "LWDASH_DISK_QUOTA allows 4 MB" in problem
    assert kept.artifacts.has(large)
