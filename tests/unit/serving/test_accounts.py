"""What a provider's claims make of a person, and what the settings for the sign-in must say."""

import pytest
from streamlit.runtime.secrets import AttrDict

from lwdash.errors import UserMistake
from lwdash.serving.accounts import DEFAULT_PROVIDER, check_sign_in, is_sign_in_on, person, providers


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({}, None),
        ({"email": "ada@example.org"}, None),
        ({"email": "ada@example.org", "is_logged_in": False}, None),
        ({"email": " Ada@Example.org ", "is_logged_in": True}, "ada@example.org"),
        ({"email": "a@b.c", "email_verified": True, "is_logged_in": True}, "a@b.c"),
        ({"sub": "00ff", "preferred_username": "root@example.org", "is_logged_in": True}, "00ff"),
        ({"email": "", "sub": "00ff", "is_logged_in": True}, "00ff"),
    ],
)
def test_a_person_is_an_address_or_a_subject(claims: dict, expected: str | None) -> None:
    assert person(claims, ()) == expected


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"email": "a@b.c", "email_verified": False}, "has not verified"),
        ({"email": "a@b.c", "email_verified": "false"}, "has not verified"),
        ({"name": "Ada"}, "neither your e-mail"),
        ({"email": 7}, "neither your e-mail"),
    ],
)
def test_who_cannot_be_told_is_refused_in_words(claims: dict, words: str) -> None:
    with pytest.raises(UserMistake, match=words):
        person({**claims, "is_logged_in": True}, ())


@pytest.mark.parametrize(
    ("email", "may"),
    [
        ("ada@example.org", True), ("ADA@EXAMPLE.ORG", True), ("guest@other.example", True),
        ("eve@other.example", False), ("ada@example.org.evil.example", False), ("ada@sub.example.org", False),
        ("@example.org@evil.example", False), ("", False), (None, False),
    ],
)  # fmt: skip
def test_only_those_on_the_list_come_in(email: str | None, may: bool) -> None:
    claims = {"email": email, "sub": "1", "is_logged_in": True}
    allowed = ("@example.org", "guest@other.example")
    if may:
        assert person(claims, allowed) == str(email).lower()
    else:
        with pytest.raises(UserMistake, match="may not use this dashboard"):
            person(claims, allowed)


GOOD = {
    "redirect_uri": "https://dash.example/oauth2callback", "cookie_secret": "x" * 32,
    "client_id": "a", "client_secret": "b", "server_metadata_url": "https://provider.example/d",
}  # fmt: skip


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch):
    """secrets({…}) makes this the `[auth]` section."""
    import streamlit.auth_util as streamlit_auth

    class Secrets(dict):
        def load_if_toml_exists(self) -> bool:
            return True

    def use(section: dict | None) -> None:
        found = Secrets() if section is None else Secrets(auth=AttrDict(section))
        monkeypatch.setattr(streamlit_auth, "secrets_singleton", found)

    return use


def test_the_secrets_switch_the_sign_in_on_unless_it_is_said_otherwise(secrets) -> None:
    secrets(None)
    assert [is_sign_in_on(auth) for auth in (None, "none", "oidc")] == [False, False, True]
    secrets(GOOD)
    assert [is_sign_in_on(auth) for auth in (None, "none", "oidc")] == [True, False, True]


@pytest.mark.parametrize(
    ("auth", "section", "words"),
    [
        ("google", None, "LWDASH_AUTH must be oidc or none, but got 'google'"),
        ("oidc", None, "at least one authentication provider"),
        (None, {k: v for k, v in GOOD.items() if k != "client_secret"}, "client_secret"),
        (None, {k: v for k, v in GOOD.items() if k != "cookie_secret"}, "cookie_secret"),
        (None, {**GOOD, "cookie_secret": "short"}, "at least 32 characters"),
        (None, {**GOOD, "redirect_uri": "https://dash.example/"}, "oauth2callback at its end"),
        (None, {k: GOOD[k] for k in ("redirect_uri", "cookie_secret")}, "missing"),
    ],
)
def test_a_sign_in_that_cannot_work_stops_the_start_in_words(secrets, auth, section, words) -> None:
    secrets(section)
    with pytest.raises(UserMistake, match=words):
        check_sign_in(auth)


def test_a_whole_configuration_is_taken(secrets) -> None:
    secrets(GOOD)
    check_sign_in("oidc")
    assert providers() == [DEFAULT_PROVIDER]
    shared = {k: GOOD[k] for k in ("redirect_uri", "cookie_secret")}
    one = {k: GOOD[k] for k in ("client_id", "client_secret", "server_metadata_url")}
    secrets({**shared, "google": one, "okta": one})
    check_sign_in(None)
    assert providers() == ["google", "okta"]
    secrets(None)
    check_sign_in(None)
    check_sign_in("none")
