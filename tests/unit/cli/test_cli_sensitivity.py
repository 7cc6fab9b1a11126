"""The sensitivity analysis from the command line: through the engine, once, and refused where it makes no sense."""

import shutil
from pathlib import Path

import pytest
from conftest import Finished, call_lwdash

from lwdash.recipe import parse_recipe
from storage import run_rows
from storage.store import open_store

pytestmark = pytest.mark.processes


def test_a_run_is_analysed_once_and_its_waterfall_is_measured(finished: Finished, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(finished.home, home)
    records = {record["recipe"]: record for record in finished.called.json["runs"]}
    pruned = "prune(sparsity=0.5, epochs=1) + int8"
    called = call_lwdash(home, "sensitivity", str(records[pruned]["id"]), "--json")
    assert called.code == 0, called.err
    found = called.json
    assert (found["state"], found["run"], found["format"], found["measure"]) == (
        "succeeded",
        records[pruned]["id"],
        "int8",
        "accuracy",
    )
    named = [layer["layer"] for layer in found["layers"]]
    assert {"conv1d", "dense", "dense_1"} <= set(named)
    assert all(layer["alone"]["sqnr_db"] > 10 for layer in found["layers"] if layer["reason"] is None)
    assert found["everything"]["sqnr_db"] > 10
    assert found["rows"] == 30
    for kept in found["kept"]:
        assert str(parse_recipe(kept["recipe"])) == kept["recipe"]
        assert kept["recipe"].startswith("prune(sparsity=0.5, epochs=1) + mixed(default=int8, ")
    again = call_lwdash(home, "sensitivity", str(records[pruned]["id"]))
    assert again.code == 0
    assert "everything in int8: " in again.out
    assert "advice: " in again.out

    listed = call_lwdash(home, "runs", "--json").json["runs"]
    assert {record["id"] for record in listed} == {
        finished.called.json["baseline"]["id"],
        *(r["id"] for r in records.values()),
    }
    failed = next(record["id"] for record in records.values() if record["state"] == "failed")
    refused = call_lwdash(home, "sensitivity", str(failed), "--json")
    assert refused.code == 2
    assert "only a run that has succeeded can be analysed" in refused.json["error"]

    store = open_store(f"sqlite:///{home / 'lwdash.sqlite'}", str(home / "artifacts"), tmp_path / "cache")
    measured = run_rows.get_detail(store.database, records[pruned]["id"]).measured
    store.database.dispose()
    stages = measured["waterfall"]
    assert [stage["stage"] for stage in stages] == [
        "Keras model",
        "prune(sparsity=0.5, epochs=1)",
        "float .tflite",
        "weights: int8",
        "activations: int8",
        "input and output: int8",
    ]
    assert stages[-1]["value"] == records[pruned]["accuracy"], "the last stage is the run's own file"
    assert stages[2]["change"] == 0.0
    assert (
        stages[2]["sqnr_db"] == stages[1]["sqnr_db"] or abs(stages[2]["sqnr_db"] - stages[1]["sqnr_db"]) < 1
    )
    assert all(stage["rows"] == 30 for stage in stages)
    assert stages[3]["sqnr_db"] is not None
