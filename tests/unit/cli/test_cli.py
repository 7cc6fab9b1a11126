"""The command line, each call in a process of its own, as scripts use it."""

import json
import shutil
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import pytest
from conftest import Called, Finished, Sample, call_lwdash

from lwdash.cli.run_records import METRICS, table_lines
from lwdash.measure.runner import Runner

pytestmark = pytest.mark.processes

RUN_KEYS = {
    "id", "recipe", "state", "error", "artifact", "size_bytes", "gzip_bytes", "huffman_bytes", "accuracy",
    "accuracy_ci", "baseline_accuracy", "mae", "rmse", "r2", "reconstruction_error", "agreement",
    "sqnr_db", "kl_nats", "verdict", "latency_ms_p50",
    "latency_ms_p90", "latency_ms_p99", "speedup", "speedup_ci", "sparsity", "skipped", "stages", "seconds",
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(finished: Finished) -> dict[str, Any]:
    """The answer of `run --json`, one record a recipe."""
    assert finished.called.out, finished.called.err
    return {record["recipe"]: record for record in finished.called.json["runs"]}


@pytest.fixture(scope="module")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("empty") / "home"


def refused(called: Called, *words: str) -> None:
    """The call cannot be used: exit code 2, the reason on both outputs, no traceback."""
    assert called.code == 2, called.err
    assert "Traceback" not in called.err
    for word in words:
        assert word in called.json["error"]
        assert word in called.err


def test_run_gives_one_object_with_a_record_a_recipe(finished: Finished, runs: dict[str, Any]) -> None:
    whole = finished.called.json
    assert set(whole) == {"experiment", "baseline", "runs", "recommendation"}
    assert isinstance(whole["experiment"], int)
    assert whole["baseline"]["recipe"] == "float32"
    assert list(runs) == [
        "float32",
        "int8",
        "prune(sparsity=0.5, epochs=1) + int8",
        "prune(sparsity=0.5, skip=[nowhere])",
    ]
    for record in whole["runs"]:
        assert set(record) >= RUN_KEYS


@pytest.mark.parametrize(
    ("measured", "cell"),
    [
        ({"accuracy": 0.91234, "agreement": 0.99}, "91.23%"),
        ({"mae": 1.71236, "rmse": 2.0, "baseline_mae": 1.7}, "MAE 1.712"),
        ({"reconstruction_error": 0.0312345, "mae": 0.1}, "MSE 0.03123"),
        ({"mae": 1079.0, "nrmse": 1.0234}, "worst target 1.023 σ"),
        ({"agreement": 0.975}, "agrees 97.50%"),
        ({"variation_sqnr_db": 31.72}, "31.7 dB"),
        ({}, "–"),
    ],
)
def test_a_task_is_told_by_its_own_figure(measured: dict[str, float], cell: str) -> None:
    told = {"id": 7, "recipe": "int8", "state": "succeeded", "error": None, "verdict": None, "speedup": None}
    head, line = table_lines([{**dict.fromkeys(METRICS), **told, **measured}])
    place = head.index("accuracy")
    assert line[place : head.index("speed-up")].strip() == cell


def test_the_table_has_the_bytes_as_stored_where_a_run_has_a_form_for_storage() -> None:
    plain = {**dict.fromkeys(METRICS), "id": 1, "recipe": "int8", "state": "succeeded", "error": None}
    plain |= {"size_bytes": 4000, "stored_bytes": 4000}
    coded = {**plain, "id": 2, "recipe": "int8 + coded", "stored_bytes": 1500}
    assert "stored" not in table_lines([plain])[0].split()
    head, *lines = table_lines([plain, coded])
    assert head.split()[3:6] == ["bytes", "stored", "gzip"]
    assert [line.split()[-6:-4] for line in lines] == [["4,000", "4,000"], ["4,000", "1,500"]]


def test_a_failed_run_makes_the_exit_code_1_and_says_why(finished: Finished, runs: dict[str, Any]) -> None:
    assert finished.called.code == 1
    failed = runs["prune(sparsity=0.5, skip=[nowhere])"]
    assert failed["state"] == "failed"
    assert "no layer is named 'nowhere'" in failed["error"]
    assert failed["artifact"] is None
    assert failed["size_bytes"] is None
    assert "nowhere" in finished.called.err
    assert "Traceback" not in finished.called.err


def test_the_other_runs_are_measured(runs: dict[str, Any]) -> None:
    for recipe in ("float32", "int8", "prune(sparsity=0.5, epochs=1) + int8"):
        record = runs[recipe]
        assert (record["state"], record["error"]) == ("succeeded", None)
        assert 0 <= record["accuracy_ci"][0] <= record["accuracy"] <= record["accuracy_ci"][1] <= 1
        assert record["baseline_accuracy"] > 0.9
        assert 0 < record["latency_ms_p50"] <= record["latency_ms_p90"] <= record["latency_ms_p99"]
        assert record["speedup_ci"][0] <= record["speedup"] <= record["speedup_ci"][1]
        assert record["gzip_bytes"] > 0
        assert record["verdict"]
        assert {"name", "seconds", "cached"} <= set(record["stages"][0])
    assert runs["int8"]["size_bytes"] < runs["float32"]["size_bytes"]
    assert runs["prune(sparsity=0.5, epochs=1) + int8"]["sparsity"] > 0.4


def test_runs_share_the_stages_they_have_in_common(runs: dict[str, Any]) -> None:
    """`float32` and `int8` are served by one process, one after the other."""
    assert [(s["name"], s["cached"]) for s in runs["int8"]["stages"]] == [("float32", True), ("int8", False)]


def test_runs_lists_them(finished: Finished) -> None:
    listed = call_lwdash(finished.home, "runs", "--experiment", "waves", "--json")
    assert listed.code == 0
    assert [r["id"] for r in listed.json["runs"]] == [r["id"] for r in finished.called.json["runs"]]
    table = call_lwdash(finished.home, "runs")
    assert "prune(sparsity=0.5, epochs=1) + int8" in table.out
    assert "succeeded" in table.out
    refused(call_lwdash(finished.home, "runs", "--experiment", "birds", "--json"), "'birds'", "waves")


def test_show_gives_one_with_its_layers(finished: Finished, runs: dict[str, Any]) -> None:
    number = runs["int8"]["id"]
    record = call_lwdash(finished.home, "show", str(number), "--layers", "--json").json
    assert {k: record[k] for k in runs["int8"]} == runs["int8"]
    assert len(record["layers"]) >= 4
    xnnpack = record["xnnpack"]
    outside = [one for one in record["layers"] if one["is_in_xnnpack"] is False]
    assert xnnpack["outside"] == len(outside) == sum(one["count"] for one in xnnpack["outside_operators"])
    assert xnnpack["inside"] == sum(one["is_in_xnnpack"] is True for one in record["layers"]) > 0
    assert record["layer_bytes"] + record["overhead_bytes"] == record["size_bytes"]
    assert sum(record["bytes_by_kind"].values()) == record["size_bytes"]
    lines = call_lwdash(finished.home, "show", str(number), "--layers").out
    assert "verdict:" in lines
    assert f"fast kernels: XNNPACK runs {xnnpack['inside']} operators in" in lines
    refused(call_lwdash(finished.home, "show", "999", "--json"), "no run 999")


def test_export_writes_a_file_that_runs(finished: Finished, runs: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "waves.tflite"
    exported = call_lwdash(finished.home, "export", str(runs["int8"]["id"]), "--out", out, "--json")
    assert exported.code == 0
    assert exported.json["size_bytes"] == out.stat().st_size == runs["int8"]["size_bytes"]
    Runner(out.read_bytes())
    failed = runs["prune(sparsity=0.5, skip=[nowhere])"]["id"]
    refused(call_lwdash(finished.home, "export", str(failed), "--out", out, "--json"), "no file to export")
    nowhere = tmp_path / "no" / "such" / "folder.tflite"
    refused(
        call_lwdash(finished.home, "export", str(runs["int8"]["id"]), "--out", nowhere, "--json"), "no folder"
    )


def test_an_ended_run_cannot_be_cancelled(finished: Finished, runs: dict[str, Any]) -> None:
    refused(
        call_lwdash(finished.home, "cancel", str(runs["int8"]["id"]), "--json"), "already ended: succeeded"
    )
    refused(call_lwdash(finished.home, "cancel", "999", "--json"), "no run 999")


def test_inspect_says_what_the_model_holds(sample: Sample, empty_home: Path) -> None:
    facts = call_lwdash(empty_home, "inspect", sample.model, "--json").json
    assert facts["format"] == "keras"
    assert facts["inputs"][0]["shape"] == [16, 1]
    assert [layer["class_name"] for layer in facts["layers"]][-1] == "Dense"
    assert "Conv1D" in call_lwdash(empty_home, "inspect", sample.model).out


def test_doctor_tries_everything(empty_home: Path) -> None:
    report = call_lwdash(empty_home, "doctor", "--json")
    assert report.json["problems"] == []
    assert report.code == 0
    assert report.json["child"]["starts"]
    assert report.json["database"]["kind"] == "sqlite"
    assert all(report.json["libraries"].values())


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("int9", "Did you mean 'int8'?"),
        ("prune(sparsity=2)", "sparsity must be in (0, 1) | auto, but got 2.0"),
    ],
)
def test_a_recipe_that_cannot_be_read_costs_nothing(
    sample: Sample, empty_home: Path, recipe: str, said: str
) -> None:
    called = call_lwdash(empty_home, "run", sample.model, "--data", sample.data, "--recipe", recipe, "--json")
    refused(called, said)


def test_a_file_that_is_not_there_is_named(sample: Sample, empty_home: Path) -> None:
    refused(call_lwdash(empty_home, "inspect", "nowhere.keras", "--json"), "no file nowhere.keras")
    called = call_lwdash(empty_home, "run", sample.model, "--data", "no.csv", "--recipe", "int8", "--json")
    refused(called, "no file no.csv")


def test_a_file_that_is_no_model_is_refused(tmp_path: Path, empty_home: Path) -> None:
    broken = tmp_path / "broken.keras"
    broken.write_bytes(b"this is not a model")
    refused(call_lwdash(empty_home, "inspect", broken, "--json"), "not a model")
    broken.write_bytes(b"")
    refused(call_lwdash(empty_home, "inspect", broken, "--json"), "broken.keras is empty")


def test_data_that_does_not_fit_is_refused(sample: Sample, tmp_path: Path, empty_home: Path) -> None:
    narrow = tmp_path / "narrow.csv"
    narrow.write_text("label,a,b\n" + "1,0.5,0.25\n2,0.125,1\n" * 20)
    called = call_lwdash(
        empty_home, "run", sample.model, "--data", narrow, "--label", "label", "--recipe", "int8", "--json"
    )
    refused(called, "16")
    called = call_lwdash(
        empty_home,
        "run",
        sample.model,
        "--data",
        sample.data,
        "--label",
        "lable",
        "--recipe",
        "int8",
        "--json",
    )
    refused(called, "'lable'", "label")


@pytest.mark.parametrize("arguments", [[], ["compress"], ["show"], ["show", "seven"], ["run", "x.keras"]])
def test_a_call_without_sense_is_usage(arguments: list[str], empty_home: Path) -> None:
    called = call_lwdash(empty_home, *arguments)
    assert called.code == 2
    assert "usage:" in called.err
    assert called.out == ""


def test_a_setting_that_cannot_be_used_is_named(empty_home: Path) -> None:
    refused(call_lwdash(empty_home, "runs", "--json", LWDASH_SLOTS="none"), "LWDASH_SLOTS", "'none'")


def test_a_newer_database_is_refused(finished: Finished, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(finished.home / "lwdash.sqlite", home)
    with sqlite3.connect(home / "lwdash.sqlite") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    refused(call_lwdash(home, "runs", "--json"), "9999", "Update lwdash")


def test_json_is_the_only_thing_on_standard_output(finished: Finished) -> None:
    assert len(finished.called.out.splitlines()) == 1
    json.loads(finished.called.out)


def test_a_search_chooses_recipes_and_names_the_best(
    finished: Finished, sample: Sample, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(finished.home, home, ignore=shutil.ignore_patterns("engine.lock", "scratch"))
    call = [
        "search",
        sample.model,
        "--data",
        sample.data,
        "--label",
        "label",
        "--max-drop",
        "5",
        "--post-training",
    ]
    called = call_lwdash(home, *call, "--format", "int8", "--format", "dynamic", "--runs", "5", "--json")
    assert called.code == 0, called.err
    found = called.json
    assert found["experiment"] == finished.called.json["experiment"], (
        "the experiment that is there, and its baseline"
    )
    assert (found["state"], found["words"]) == ("ended", "all recipes of the space were tried")
    assert [run["recipe"] for run in found["runs"]] == ["dynamic"], "int8 was run before"
    best = call_lwdash(home, "show", str(found["best"]), "--json").json
    assert best["recipe"] in {"int8", "dynamic"}
    assert found["best"] in [run["id"] for run in found["front"]]
    assert best["size_bytes"] == min(run["size_bytes"] for run in found["front"])

    again = call_lwdash(home, *call, "--format", "int8", "--runs", "5")
    assert again.code == 0, "nothing failed, all of it was run before"
    assert "all recipes of the space were tried" in again.out
    assert "best under the limits: run" in again.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--format", "prune(sparsity=0.5)"), "is no number format"),
        (("--format", "int9"), "there is no technique 'int9'"),
        (("--runs", "0"), "a search starts 1 to"),
    ],
)
def test_a_search_that_cannot_be_is_refused(
    finished: Finished, sample: Sample, tmp_path: Path, options: tuple[str, str], words: str
) -> None:
    home = tmp_path / "home"
    shutil.copytree(finished.home, home, ignore=shutil.ignore_patterns("engine.lock", "scratch"))
    call = ["search", sample.model, "--data", sample.data, "--label", "label", "--json"]
    refused(call_lwdash(home, *call, *options), words)


def test_targets_says_where_a_file_runs_and_measures_another_target_on_request(
    finished: Finished, runs: dict[str, Any]
) -> None:
    run = runs["int8"]["id"]
    called = call_lwdash(finished.home, "targets", str(run), "--on", "ethos_u55_32", "--json")
    assert called.code == 0, called.err
    targets = called.json["targets"]
    assert set(targets) == {"tflm", "ethos_u55_128", "ethos_u55_32"}
    assert targets["tflm"]["state"] == "runs"
    assert targets["tflm"]["metrics"]["rows_differing"]["value"] == 0
    assert targets["ethos_u55_32"]["state"] in ("runs", "unavailable")
    lines = call_lwdash(finished.home, "targets", str(run)).out
    assert "TensorFlow Lite Micro" in lines
    assert "Arm Ethos-U55, 32 MACs" in lines


def test_a_project_to_flash_is_a_zip_with_its_program(
    finished: Finished, runs: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "project.zip"
    called = call_lwdash(
        finished.home, "export", str(runs["int8"]["id"]), "--project", "--out", str(out), "--json"
    )
    assert called.code == 0, called.err
    assert called.json["size_bytes"] == out.stat().st_size
    with zipfile.ZipFile(out) as packed:
        names = {name.partition("/")[2] for name in packed.namelist()}
    assert {
        "src/main.cc",
        "src/test_rows.cc",
        "src/model_settings.h",
        "CMakeLists.txt",
        "platformio.ini",
    } <= names
