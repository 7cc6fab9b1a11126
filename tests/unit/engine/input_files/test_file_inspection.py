"""What is kept of a file that was looked into, and when it is looked into again."""

import os
from pathlib import Path

import pytest

import lwdash
from lwdash.child.job_results import Failure
from lwdash.datasets.data_facts import DataFacts
from lwdash.engine import submit
from lwdash.engine.input_files import file_inspection
from lwdash.settings import load_settings
from storage import experiments
from storage.records import StoredFile
from storage.store import Store


@pytest.mark.processes
def test_what_another_version_found_or_refused_is_looked_for_anew_once(
    sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "beats.csv"
    path.write_text("a,b,label\n" + "\n".join(f"{i},{2 * i},{i % 2}" for i in range(20)) + "\n")
    sha256 = submit.add_local_file(sqlite_store, path, "data")
    settings = load_settings()

    def look() -> StoredFile:
        return file_inspection.inspect_file(settings, sqlite_store, sha256, "data")

    found = look()
    assert found.facts["lwdash"] == lwdash.__version__
    assert DataFacts.from_dict(found.facts).rows == 20

    def restart() -> None:
        monkeypatch.setattr(file_inspection, "_LOOKED_AT", set())

    older = {**found.facts, "lwdash": "0.0.1", "rows": 7}
    for facts, error in ((older, None), (None, "this version does not know such files")):
        experiments.set_file_facts(sqlite_store.database, found.id, facts, error)
        restart()
        again = look()
        assert (again.facts["rows"], again.error) == (20, None)

    experiments.set_file_facts(sqlite_store.database, found.id, older, None)
    restart()
    for answer in (Failure("a fault of ours", is_fault=True), Failure("refused by now", is_fault=False)):
        with monkeypatch.context() as failing:
            failing.setattr(file_inspection, "ask_child", lambda *_, answer=answer: answer)
            assert look().facts["rows"] == 7, "experiments stand on it"
    monkeypatch.setattr(file_inspection, "ask_child", lambda *_: pytest.fail("it was looked into already"))
    assert look().facts["rows"] == 7


def test_looking_into_a_model_has_limits_of_its_own(
    sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(b"never read")
    sha256 = submit.add_local_file(sqlite_store, path, "model")
    endless = tmp_path / "endless.keras"
    os.mkfifo(endless)  # a reader waits for a writer that never comes
    monkeypatch.setattr(type(sqlite_store.artifacts), "local_path", lambda *_: endless)
    monkeypatch.setattr(
        file_inspection, "MODEL_LIMITS", file_inspection.InspectionLimits(seconds=0, memory_mb=2048)
    )
    row = file_inspection.inspect_file(load_settings(), sqlite_store, sha256, "model")
    assert row.facts is None
    assert "reading the file took longer than 0 s" in row.error
