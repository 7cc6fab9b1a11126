"""Databases of every released schema are brought to this code's, whole or not at all, and a newer one is refused."""

import contextlib
import logging
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from conftest import call_lwdash
from fixtures.write_schema import SCHEMAS, migrate_to
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import IntegrityError

from storage import backup, database, experiments, queue, run_rows, runs, sharing
from storage.database import MIGRATIONS, connect, ping, upgrade
from storage.errors import NewerDatabase, UpgradeFailed
from storage.frames import baseline_run
from storage.tables import Base

REVISIONS = sorted(script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions())
HEAD = REVISIONS[-1]
DEFAULTS = {
    "experiments": {"limits": {}, "threads": 1, "note": "", "owner": None, "is_private": 0},
    "runs": {"kind": "recipe", "of_run": None, "owner": None, "title": None, "tags": (), "note": ""},
}
"""What the columns hold that a schema after 0001 brought."""


def test_every_schema_has_a_fixture() -> None:
    kept = {path.name.split(".")[0] for path in SCHEMAS.glob("*.sqlite.sql")}
    assert kept == set(REVISIONS), "run tests/fixtures/write_schema.py for a new migration"
    assert {path.name.split(".")[0] for path in SCHEMAS.glob("*.rows.sql")} == kept


def fill(url: str, revision: str) -> None:
    """An empty database becomes one of an older lwdash, with its rows."""
    rows = (SCHEMAS / f"{revision}.rows.sql").read_text(encoding="utf-8")
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.executescript((SCHEMAS / f"{revision}.sqlite.sql").read_text(encoding="utf-8"))
            connection.executescript(rows)
        return
    migrate_to(url, revision)
    engine = connect(url)
    with engine.begin() as connection:
        for line in rows.splitlines():
            connection.exec_driver_sql(line)
        for table in ("files", "experiments", "runs", *(["searches"] if revision >= "0003" else [])):
            connection.exec_driver_sql(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}"
            )
    engine.dispose()


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """Of an empty database, on each back end."""
    opened = connect(database_url)
    yield opened
    opened.dispose()


def rows_of(engine: Engine) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables, JSON as text."""
    found = {}
    with engine.connect() as connection:
        for table in inspect(connection).get_table_names():
            if table != "alembic_version":
                listed = connection.execute(text(f'SELECT * FROM "{table}" ORDER BY 1')).mappings()
                found[table] = [dict(row) for row in listed]
    return found


@pytest.mark.parametrize("revision", REVISIONS)
def test_an_older_database_keeps_every_value_and_gets_the_newest_tables(
    engine: Engine, revision: str
) -> None:
    fill(engine.url.render_as_string(hide_password=False), revision)
    before = rows_of(engine)
    assert len(before["runs"]) == 3
    upgrade(engine)
    after = rows_of(engine)
    for row in before["experiments"]:
        row.pop("share_token", None)  # stored hashed since 0004
    for table, rows in before.items():
        assert [{key: row[key] for key in old} for row, old in zip(after[table], rows, strict=True)] == rows
    assert ping(engine) == HEAD
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_what_came_later_has_its_default(engine: Engine) -> None:
    fill(engine.url.render_as_string(hide_password=False), "0001")
    upgrade(engine)
    experiment, run = experiments.get_experiment(engine, 3), run_rows.get_run(engine, 12)
    assert experiment is not None
    assert run is not None
    assert {key: getattr(experiment, key) for key in DEFAULTS["experiments"]} == DEFAULTS["experiments"]
    assert {key: getattr(run, key) for key in DEFAULTS["runs"]} == DEFAULTS["runs"]
    assert experiment.name == "beats & <b>noise</b>"
    assert run_rows.get_detail(engine, 11).measured == {"layers": [{"type": "CONV_2D", "bytes": 12}]}


def test_a_share_link_works_on_and_its_token_is_nowhere_in_the_upgraded_database(engine: Engine) -> None:
    fill(engine.url.render_as_string(hide_password=False), "0003")
    upgrade(engine)
    assert sharing.shared_experiment(engine, "share-token") == 3
    assert "share-token" not in str(rows_of(engine))
    if engine.dialect.name == "sqlite":
        engine.dispose()
        folder = Path(engine.url.database or "").parent
        for path in folder.glob("lwdash.sqlite*"):
            assert b"share-token" not in path.read_bytes(), "no deleted row holds it either"


EXPERIMENT = """INSERT INTO experiments (id, name, created_at, model_sha256, model_name, model_facts, data_sha256,
    data_name, own_parts, settings, task, seed, fingerprint, limits, threads, note, owner, is_private)
    SELECT {id}, name, created_at, model_sha256, model_name, model_facts, data_sha256, data_name, own_parts, settings,
    task, seed, fingerprint, limits, threads, note, owner, is_private FROM experiments WHERE id = 3"""
RUN = """INSERT INTO runs (id, experiment_id, recipe, is_baseline, is_trained, submission, state, step, attempt, vanished,
    cancel_requested, progress, created_at, kind, of_run, tags, note)
    VALUES ({id}, 3, 'float32', {is_baseline}, FALSE, 's9', '{state}', 'compress', 1, 0, FALSE, 0, 1, '{kind}', {of_run},
    '[]', '')"""
SEARCH = """INSERT INTO searches (id, experiment_id, submission, goal, budget, asked, settings, state, created_at)
    VALUES ({id}, 3, 's{id}', 'gzip_bytes', 24, 1, '{{}}', 'running', 1790000008.0)"""


def test_what_was_made_twice_stays_and_becomes_one_of_its_kind(engine: Engine) -> None:
    """Nothing goes: duplicates of an older lwdash are rows that nothing takes for the original any more."""
    fill(engine.url.render_as_string(hide_password=False), "0003")
    with engine.begin() as connection:
        connection.execute(text(EXPERIMENT.format(id=4)))
        baselines = ((21, "succeeded"), (22, "queued"), (23, "failed"))
        for number, state in baselines:
            connection.execute(
                text(RUN.format(id=number, is_baseline="TRUE", state=state, kind="recipe", of_run="NULL"))
            )
        connection.execute(
            text(RUN.format(id=24, is_baseline="FALSE", state="succeeded", kind="sensitivity", of_run="11"))
        )
        for number in (5, 6):
            connection.execute(text(SEARCH.format(id=number)))
    upgrade(engine)
    after = rows_of(engine)
    assert [row["id"] for row in after["experiments"] if row["identity"]] == [3]
    assert [row["id"] for row in after["runs"] if row["is_baseline"]] == [11, 23]
    assert baseline_run(engine, 3) == 11
    assert {row["id"]: row["state"] for row in after["runs"] if row["kind"] == "sensitivity"} == {
        13: "cancelled",
        24: "succeeded",
    }
    assert {row["id"]: row["state"] for row in after["searches"]} == {
        2: "stopped",
        5: "running",
        6: "stopped",
    }
    assert runs.retry(engine, 23)
    assert not run_rows.get_run(engine, 23).is_baseline, "another is the baseline by now"


@pytest.mark.parametrize("revision", REVISIONS)
def test_work_goes_on_in_an_upgraded_database(engine: Engine, revision: str) -> None:
    """The queue, new rows and the references between them."""
    fill(engine.url.render_as_string(hide_password=False), revision)
    upgrade(engine)
    assert runs.retry(engine, 12)
    [waiting] = queue.waiting(engine)
    assert (waiting.run_id, waiting.attempt) == (12, 3)
    [new] = runs.add_runs(engine, 3, [("float16", False, False)], "s3")
    assert new > 13
    with pytest.raises(IntegrityError):
        runs.add_runs(engine, 999, [("float16", False, False)], "s4")


def test_a_sqlite_file_is_copied_before_it_is_upgraded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"sqlite:///{tmp_path / 'lwdash.sqlite'}"
    fill(url, "0001")
    copy, engine = tmp_path / f"lwdash.before-{HEAD}.sqlite", connect(url)
    with caplog.at_level(logging.INFO, "storage.backup"):
        upgrade(engine)
    assert str(copy) in caplog.text
    old = connect(f"sqlite:///{copy}")
    assert ping(old) == "0001"
    assert [run["recipe"] for run in rows_of(old)["runs"]] == [
        "float32",
        "prune(sparsity=0.8) + int8",
        "int8",
    ]
    written = copy.stat().st_mtime_ns
    upgrade(engine)
    assert copy.stat().st_mtime_ns == written
    assert list(tmp_path.glob("*.before-*.sqlite")) == [copy]
    for opened in (engine, old):
        opened.dispose()


def test_what_is_only_in_the_write_ahead_log_is_copied_too(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'lwdash.sqlite'}"
    fill(url, "0001")
    writer = connect(url)
    with writer.connect() as held:  # keeps the log from being folded into the file
        held.exec_driver_sql("PRAGMA wal_autocheckpoint=0")
        held.exec_driver_sql("UPDATE runs SET recipe = 'in the log' WHERE id = 13")
        held.commit()
        copy = backup.back_up(tmp_path / "lwdash.sqlite", "0002")
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT recipe FROM runs WHERE id = 13").fetchall() == [("in the log",)]
    assert sorted(path.name for path in tmp_path.glob("*before*")) == [copy.name]
    writer.dispose()


def test_an_empty_database_is_not_copied(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'lwdash.sqlite'}")
    upgrade(engine)
    assert not list(tmp_path.glob("*.before-*"))
    engine.dispose()


def test_the_newest_three_copies_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "lwdash.sqlite"
    fill(f"sqlite:///{path}", "0001")
    for number in range(5):
        copy = backup.back_up(path, f"{number:04}")
        os.utime(copy, (number + 1, number + 1))
    backup.back_up(path, "0005")
    kept = sorted(found.name for found in tmp_path.glob("*.before-*"))
    assert kept == [f"lwdash.before-{number:04}.sqlite" for number in (3, 4, 5)]


@pytest.fixture
def broken_migration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more migration, which changes tables and rows and then fails."""
    folder = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "9999_broken.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n"
        f"revision, down_revision, branch_labels, depends_on = '9999', {HEAD!r}, None, None\n"
        "def upgrade():\n"
        "    op.execute(\"UPDATE runs SET recipe = 'lost'\")\n"
        "    with op.batch_alter_table('runs') as batch:\n"
        "        batch.add_column(sa.Column('half', sa.Integer()))\n"
        "        batch.alter_column('submission', type_=sa.String(64))\n"
        "    op.drop_table('stages')\n"
        "    raise RuntimeError('the disk fell out')\n"
    )
    monkeypatch.setattr(database, "MIGRATIONS", folder)


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.usefixtures("broken_migration")
def test_an_upgrade_that_fails_leaves_the_database_as_it_was(engine: Engine, revision: str) -> None:
    fill(engine.url.render_as_string(hide_password=False), revision)
    before = rows_of(engine)
    with pytest.raises(UpgradeFailed, match=r"schema 9999: the disk fell out. Nothing was changed"):
        upgrade(engine)
    assert ping(engine) == revision
    assert rows_of(engine) == before


def test_after_a_failed_upgrade_the_next_one_works(
    engine: Engine, broken_migration: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(engine.url.render_as_string(hide_password=False), "0001")
    with pytest.raises(UpgradeFailed):
        upgrade(engine)
    monkeypatch.setattr(database, "MIGRATIONS", MIGRATIONS)
    upgrade(engine)
    assert ping(engine) == HEAD
    assert len(rows_of(engine)["runs"]) == 3


def test_rows_that_refer_to_nothing_stop_the_upgrade(tmp_path: Path) -> None:
    """The check that SQLite cannot make while tables are rebuilt is made before the upgrade counts."""
    path = tmp_path / "lwdash.sqlite"
    fill(f"sqlite:///{path}", "0001")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE runs SET experiment_id = 99 WHERE id = 11")
        connection.commit()
    engine = connect(f"sqlite:///{path}")
    with pytest.raises(UpgradeFailed, match="missing rows"):
        upgrade(engine)
    assert ping(engine) == "0001"
    engine.dispose()


def test_no_copy_no_upgrade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lwdash.sqlite"
    fill(f"sqlite:///{path}", "0001")

    def full(*paths: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup.os, "replace", full)
    engine = connect(f"sqlite:///{path}")
    with pytest.raises(UpgradeFailed, match="No space left on device"):
        upgrade(engine)
    assert ping(engine) == "0001"
    assert not list(tmp_path.glob("*before*"))
    engine.dispose()


def test_a_file_that_is_no_database_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "lwdash.sqlite"
    path.write_bytes(b"this was never a database, whatever its name says" * 100)
    engine = connect(f"sqlite:///{path}")
    with pytest.raises(UpgradeFailed, match="file is not a database"):
        upgrade(engine)
    engine.dispose()


def test_a_newer_database_is_refused_and_untouched(engine: Engine) -> None:
    upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(NewerDatabase, match=r"schema 9999.*Update lwdash"):
        upgrade(engine)
    assert ping(engine) == "9999"


@pytest.mark.processes
def test_the_command_line_refuses_a_newer_database_in_words(tmp_path: Path, upgraded_sqlite: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    shutil.copyfile(upgraded_sqlite, home / "lwdash.sqlite")
    with contextlib.closing(sqlite3.connect(home / "lwdash.sqlite")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    called = call_lwdash(home, "runs", "--json")
    assert called.code == 2
    assert "schema 9999" in called.json["error"]
    assert "Update lwdash" in called.err
    assert "Traceback" not in called.err


@pytest.mark.processes
def test_the_command_line_upgrades_an_old_database(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    fill(f"sqlite:///{home / 'lwdash.sqlite'}", "0001")
    called = call_lwdash(home, "runs", "--json")
    assert called.code == 0, called.err
    assert [run["state"] for run in called.json["runs"]] == ["succeeded", "failed", "queued"]
    assert (home / f"lwdash.before-{HEAD}.sqlite").exists()
