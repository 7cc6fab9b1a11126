"""The entry of the command line: it prepares TensorFlow only for commands that make files."""

import subprocess
import sys
from pathlib import Path

import pytest

from lwdash.cli import start

HEAVY = ("pandas", "sqlalchemy", "alembic", "numpy")


def test_the_entry_imports_nothing_slow() -> None:
    code = f"import sys, lwdash.cli.start; print([n for n in {HEAVY!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "is_prepared"),
    [
        (["run", "x"], True),
        (["check"], True),
        (["search"], True),
        (["run", "--help"], False),
        (["inspect", "run"], False),
        (["--version"], False),
        ([], False),
    ],
)
def test_commands_that_make_files_prepare_tensorflow(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], is_prepared: bool
) -> None:
    kept = []
    monkeypatch.setattr(sys, "argv", ["lwdash", *arguments])
    monkeypatch.setenv("LWDASH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(start, "keep_warm", kept.append)
    monkeypatch.setattr("lwdash.cli.main.main", lambda: 7)
    assert start.main() == 7
    assert [settings.home for settings in kept] == [tmp_path / "home"] * is_prepared


def test_an_unusable_home_is_left_to_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(sys, "argv", ["lwdash", "run"])
    monkeypatch.setenv("LWDASH_HOME", str(tmp_path / "file" / "home"))
    monkeypatch.setattr(start, "keep_warm", lambda settings: pytest.fail("there is no home"))
    monkeypatch.setattr("lwdash.cli.main.main", lambda: 2)
    assert start.main() == 2
