"""Configuration from the environment and `.env`."""

import os
from pathlib import Path

import pytest

from lwdash.errors import UserMistake
from lwdash.settings import load_settings


@pytest.fixture(autouse=True)
def empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without `.env`, and no LWDASH variables."""
    for key in [k for k in os.environ if k.startswith("LWDASH_")]:
        monkeypatch.delenv(key)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_everything_lies_in_the_home_by_default(tmp_path: Path) -> None:
    settings = load_settings()
    assert settings.home == tmp_path / ".lwdash"
    assert settings.database_url == f"sqlite:///{tmp_path}/.lwdash/lwdash.sqlite"
    assert settings.artifacts == f"{tmp_path}/.lwdash/artifacts"
    assert {settings.logs.parent, settings.scratch.parent, settings.uploads.parent} == {settings.home}
    assert settings.scheduler is None
    assert settings.slots >= 1
    assert settings.job_memory >= 1024
    assert not settings.home.exists()


def test_the_environment_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("LWDASH_SLOTS=3\nLWDASH_JOB_SECONDS=60\n")
    monkeypatch.setenv("LWDASH_SLOTS", "5")
    settings = load_settings()
    assert (settings.slots, settings.job_seconds) == (5, 60)


def test_a_home_that_is_given_goes_before_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LWDASH_HOME", str(tmp_path / "one"))
    assert load_settings(tmp_path / "two").database_url.endswith("/two/lwdash.sqlite")
    assert load_settings().home == tmp_path / "one"


def test_a_team_names_its_own_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LWDASH_DATABASE_URL", "postgresql+psycopg://db/lwdash")
    monkeypatch.setenv("LWDASH_ARTIFACTS", "s3://bucket/lwdash")
    monkeypatch.setenv("LWDASH_SCHEDULER", "tcp://scheduler:8786")
    settings = load_settings()
    assert settings.database_url == "postgresql+psycopg://db/lwdash"
    assert settings.artifacts == "s3://bucket/lwdash"
    assert settings.scheduler == "tcp://scheduler:8786"


def test_code_of_visitors_is_refused_unless_the_operator_allows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not load_settings().allow_code
    monkeypatch.setenv("LWDASH_ALLOW_CODE", "1")
    assert load_settings().allow_code


@pytest.mark.parametrize(
    "key", ["LWDASH_SLOTS", "LWDASH_JOB_MEMORY", "LWDASH_JOB_SECONDS", "LWDASH_MAX_UPLOAD"]
)
@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_a_number_that_cannot_be_used_is_named(key: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(key, value)
    with pytest.raises(UserMistake, match=rf"{key} must be a whole number above 0, but got '{value}'"):
        load_settings()


def test_an_empty_value_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LWDASH_SLOTS", "")
    monkeypatch.setenv("LWDASH_HOME", "")
    assert load_settings().slots >= 1


def test_who_may_sign_in_and_what_the_log_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AUTH", "AUTH_ALLOW", "METRICS_TOKEN", "LOG"):
        monkeypatch.delenv(f"LWDASH_{name}", raising=False)
    settings = load_settings()
    assert (settings.auth, settings.auth_allow, settings.metrics_token, settings.log) == (
        None,
        (),
        None,
        "text",
    )
    monkeypatch.setenv("LWDASH_AUTH", "oidc")
    monkeypatch.setenv("LWDASH_AUTH_ALLOW", " @Example.org, guest@other.example ,")
    monkeypatch.setenv("LWDASH_LOG", "json")
    settings = load_settings()
    assert (settings.auth, settings.log) == ("oidc", "json")
    assert settings.auth_allow == ("@example.org", "guest@other.example")
    monkeypatch.setenv("LWDASH_LOG", "xml")
    with pytest.raises(UserMistake, match="LWDASH_LOG must be text or json, but got 'xml'"):
        load_settings()
