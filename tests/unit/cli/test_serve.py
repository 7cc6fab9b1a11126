"""`lwdash serve`: which server it becomes; and unknown options of the other commands stay an error."""

import os
import sys

import pytest

from lwdash.cli.main import main
from lwdash.settings import DASHBOARD


class Replaced(Exception):
    """Ends `serve` where the process would be replaced."""


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command line of the process that `serve` becomes."""
    command: list[str] = []

    def execv(program: str, arguments: list[str]) -> None:
        command.extend(arguments)
        raise Replaced

    monkeypatch.setattr(os, "execv", execv)
    return command


def test_it_becomes_streamlit_with_the_dashboards_own_settings_beside_it(executed: list[str]) -> None:
    with pytest.raises(Replaced):
        main(["serve"])
    assert executed == [sys.executable, "-m", "streamlit", "run", str(DASHBOARD / "app.py")]
    assert (DASHBOARD / ".streamlit" / "config.toml").is_file()


def test_its_options_and_those_of_streamlit_are_handed_over(executed: list[str]) -> None:
    with pytest.raises(Replaced):
        main(["serve", "--server.baseUrlPath=lwdash", "--port", "8600", "--address", "0.0.0.0"])
    handed = ["--server.port=8600", "--server.address=0.0.0.0", "--server.baseUrlPath=lwdash"]
    assert executed[5:] == handed


def test_other_commands_refuse_options_that_they_do_not_have(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["runs", "--server.baseUrlPath=lwdash"])
    assert ended.value.code == 2
    assert "unrecognized arguments: --server.baseUrlPath=lwdash" in capsys.readouterr().err
