"""A .tflite that was made elsewhere becomes a run of an experiment, or is refused in words."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import Finished, Sample, call_lwdash

import lwdash

pytestmark = [pytest.mark.processes, pytest.mark.tensorflow]


def test_a_file_from_elsewhere_is_measured_beside_the_runs(
    finished: Finished, sample: Sample, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(finished.home, home, ignore=shutil.ignore_patterns("scratch", "engine.lock"))
    waves = lwdash.experiment("waves", home=home)
    ours = waves[2]
    theirs = ours.save(tmp_path / "theirs int8.tflite")
    waves._store.database.dispose()
    called = call_lwdash(home, "add", "waves", theirs, "--json")
    assert called.code == 0, called.err
    [record] = called.json["runs"]
    assert record["recipe"] == "file(theirs int8.tflite)"
    assert record["artifact"] == ours.record["artifact"]
    for key in ("size_bytes", "accuracy", "agreement", "verdict", "sqnr_db", "arena_bytes"):
        assert record[key] == ours.metrics[key], key
    assert record["latency_ms_p50"] > 0
    assert record["speedup_ci"][0] <= record["speedup"] <= record["speedup_ci"][1]
    assert record["stages"][0]["facts"]["inputs"][0]["shape"] == [16, 1]

    layers = call_lwdash(home, "show", str(record["id"]), "--layers", "--json").json["layers"]
    assert [layer["type"] for layer in layers] == list(ours.layers["type"])
    refused = call_lwdash(home, "sensitivity", str(record["id"]), "--json")
    assert refused.code == 2
    assert "made elsewhere" in refused.json["error"]
    path = tmp_path / "c.zip"
    assert call_lwdash(home, "capsule", str(record["id"]), "--out", path).code == 0
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "capsule")
    assert not (tmp_path / "capsule" / "rebuild.py").exists()
    evaluated = subprocess.run(
        [sys.executable, "evaluate.py", sample.data],
        cwd=tmp_path / "capsule",
        capture_output=True,
        text=True,
        check=False,
    )
    assert evaluated.returncode == 0, evaluated.stderr + evaluated.stdout
    assert f"accuracy: {record['accuracy']:.6g}, expected" in evaluated.stdout
    assert "no recipe makes it again" in call_lwdash(home, "verify", path, "--json").json["error"]


def test_an_unusable_file_is_refused_and_starts_no_run(finished: Finished, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(finished.home, home, ignore=shutil.ignore_patterns("scratch", "engine.lock"))
    before = len(call_lwdash(home, "runs", "--json").json["runs"])
    waves = lwdash.experiment("waves", home=home)
    whole = waves[2].tflite
    waves._store.database.dispose()
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(whole[: len(whole) // 2])
    for words, *arguments in (
        ("damaged", "waves", cut),
        ("no experiment 'birds'", "birds", cut),
        ("there is no file", "waves", tmp_path / "nothing.tflite"),
    ):
        called = call_lwdash(home, "add", *arguments, "--json")
        assert called.code == 2, called.err
        assert words in called.json["error"]
        assert "Traceback" not in called.err
    assert len(call_lwdash(home, "runs", "--json").json["runs"]) == before
