"""How the server starts, and what it says when it cannot: words and an exit code, never a traceback."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, poll
from fixtures.write_schema import SCHEMAS
from support.served import Dashboard, free_port

from storage.database import connect, ping


def start(home: Path, *options: str, **variables: str) -> subprocess.CompletedProcess:
    """Runs the server until it ends by itself."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LWDASH_")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return subprocess.run(
        [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={free_port()}", *options],
        cwd=ROOT,
        env={**environment, "LWDASH_HOME": str(home), **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def newer(home: Path, upgraded: Path) -> dict[str, str]:
    shutil.copyfile(upgraded, home / "lwdash.sqlite")
    with contextlib.closing(sqlite3.connect(home / "lwdash.sqlite")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    return {}


def damaged(home: Path, upgraded: Path) -> dict[str, str]:
    (home / "lwdash.sqlite").write_bytes(b"not a database at all" * 1000)
    return {}


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (newer, "schema 9999, which this lwdash does not know. Update lwdash"),
        (damaged, "file is not a database"),
        (lambda home, upgraded: {"LWDASH_DATABASE_URL": "nonsense"}, "LWDASH_DATABASE_URL cannot be used"),
        (lambda home, upgraded: {"LWDASH_AUTH": "oidc"}, "sign-in is enabled, but"),
        (lambda home, upgraded: {"LWDASH_SLOTS": "none"}, "LWDASH_SLOTS must be a whole number"),
        (lambda home, upgraded: {"LWDASH_LOG": "xml"}, "LWDASH_LOG must be text or json"),
    ],
    ids=["newer", "damaged", "url", "auth", "slots", "log"],
)
def test_what_makes_it_impossible_is_said_in_one_line(
    tmp_path: Path, upgraded_sqlite: Path, prepare, words: str
) -> None:
    ended = start(tmp_path, **prepare(tmp_path, upgraded_sqlite))
    assert ended.returncode != 0
    said = ended.stdout + ended.stderr
    assert "lwdash cannot start: " in said
    assert words in said
    assert "Traceback" not in said


def test_an_old_database_is_upgraded_and_served(tmp_path: Path) -> None:
    path = tmp_path / "lwdash.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for part in ("sqlite", "rows"):
            connection.executescript((SCHEMAS / f"0001.{part}.sql").read_text(encoding="utf-8"))
    dashboard = Dashboard(tmp_path)
    try:
        poll("the server answers", dashboard.answers)
    finally:
        dashboard.stop()
    engine = connect(f"sqlite:///{path}")
    assert ping(engine) != "0001"
    engine.dispose()
    [copy] = tmp_path.glob("lwdash.before-*.sqlite")
    assert str(copy) in dashboard.log()
