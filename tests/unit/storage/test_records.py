"""Records of the database hold what its tables hold."""

import dataclasses
import json

import pytest
from support.seeding import seed_experiment

from storage import experiments, frames, run_rows
from storage.errors import MissingArtifact
from storage.records import NamedFile, StoredExperiment, StoredFile, StoredRun, StoredSearch, StoredStage
from storage.store import Store
from storage.tables import Experiment, File, Run, Search, Stage


@pytest.mark.parametrize(
    ("record", "table", "hidden", "added"),
    [
        (StoredRun, Run, {"figures"}, {"metrics"}),
        (StoredExperiment, Experiment, set(), {"code"}),
        (StoredFile, File, set(), set()),
        (StoredSearch, Search, set(), {"pending", "own_pending"}),
        (StoredStage, Stage, set(), set()),
    ],
)
def test_a_record_has_each_column_of_its_table(record, table, hidden, added):
    fields = {field.name for field in dataclasses.fields(record)}
    assert fields == {column.key for column in table.__table__.columns} - hidden | added


def test_a_run_is_read_with_its_metrics_and_cannot_be_changed(sqlite_store: Store):
    seed_experiment(sqlite_store, "beats", 50)
    run = run_rows.get_run(sqlite_store.database, 2)
    assert (run.id, run.recipe, run.has_succeeded, run.seconds) == (2, "float16", True, 9.0)
    assert run.metrics["size_bytes"] == run.size_bytes > 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        run.title = "mine"
    failed = run_rows.get_run(sqlite_store.database, 50)
    assert (failed.metrics, failed.is_retryable, failed.has_ended) == ({}, True, True)


def test_only_a_compressed_run_has_files(sqlite_store: Store):
    seed_experiment(sqlite_store, "beats", 1)
    run = run_rows.get_run(sqlite_store.database, 1)
    assert run.files().tflite == run.tflite_sha256
    with pytest.raises(MissingArtifact, match="run 1 has no file"):
        dataclasses.replace(run, tflite_sha256=None).files()


def test_the_state_of_a_run_is_written_as_text(sqlite_store: Store):
    seed_experiment(sqlite_store, "beats", 1)
    run = run_rows.get_run(sqlite_store.database, 1)
    assert json.dumps({"state": run.state}) == '{"state": "succeeded"}'
    assert f"{run.state}" == frames.run_row(sqlite_store.database, 1)["state"]


def test_an_experiment_names_its_files(sqlite_store: Store):
    files = {}
    for kind, letter in (("model", "a"), ("data", "b"), ("own", "c")):
        experiments.add_file(
            sqlite_store.database, sha256=letter * 64, kind=kind, name=f"beats.{kind}", size_bytes=10
        )
        files[kind] = experiments.get_file(sqlite_store.database, letter * 64, kind)
    number = experiments.add_experiment(
        sqlite_store.database, name="beats", model=dataclasses.replace(files["model"], facts={}),
        data=files["data"], settings={}, task="classification", seed=0, own_parts={"evaluation": files["own"]},
    )  # fmt: skip
    experiment = experiments.get_experiment(sqlite_store.database, number)
    assert experiment.model == NamedFile("a" * 64, "beats.model")
    assert experiment.data == NamedFile("b" * 64, "beats.data")
    assert experiment.own_parts == {"evaluation": NamedFile("c" * 64, "beats.own")}
    assert (experiment.limits, experiment.is_private) == ({}, False)
