"""A .tflite as the model of an experiment, on the command line."""

import shutil
from pathlib import Path

import pytest
from conftest import Finished, Sample, call_lwdash

import lwdash

pytestmark = [pytest.mark.processes, pytest.mark.tensorflow]


def test_a_float_file_is_quantized_and_a_quantized_one_is_measured(
    finished: Finished, sample: Sample, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(finished.home, home, ignore=shutil.ignore_patterns("scratch", "engine.lock"))
    waves = lwdash.experiment("waves", home=home)
    floats, integers = waves[1].save(tmp_path / "float.tflite"), waves[2].save(tmp_path / "int8.tflite")
    expected = waves[1].metrics["accuracy"]
    waves._store.database.dispose()

    given = ("--data", sample.data, "--label", "label", "--json")
    called = call_lwdash(home, "run", floats, *given, "--recipe", "int8", "--recipe", "prune + int8")
    quantized, pruned = called.json["runs"]
    assert called.json["baseline"]["accuracy"] == expected
    assert called.json["baseline"]["size_bytes"] == floats.stat().st_size
    assert (quantized["state"], quantized["error"]) == ("succeeded", None)
    assert quantized["size_bytes"] < floats.stat().st_size
    assert "no layers that could be trained" in pruned["error"]

    called = call_lwdash(home, "run", integers, *given, "--recipe", "float32", "--recipe", "int8")
    measured, again = called.json["runs"]
    assert measured["size_bytes"] == integers.stat().st_size
    assert measured["accuracy"] == waves_accuracy(finished, "int8")
    assert "quantized already" in again["error"]


def waves_accuracy(finished: Finished, recipe: str) -> float:
    return next(record["accuracy"] for record in finished.called.json["runs"] if record["recipe"] == recipe)
