"""Sign-in over real HTTP: the whole code flow, and every route without it."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

import httpx
import pytest
from conftest import poll
from joserfc import jwt
from joserfc.jwk import OctKey
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value
from support.seeding import seed_experiment
from support.served import Dashboard

from server.provider import Provider, secrets_for
from storage import run_rows, sharing
from storage.records import ExperimentAccess
from storage.store import Store, open_store
from storage.visitors import EVERYBODY

COOKIE_SECRET = "not to be guessed " * 3
ADA, BOB = "ada@example.org", "bob@example.org"
METRICS_TOKEN = "for the scraper only"


@dataclass
class Team:
    """A dashboard where people sign in, with Ada's private experiment 1 (runs 1, 2) and experiment 2 (runs 3, 4)."""

    dashboard: Dashboard
    provider: Provider
    store: Store

    @contextmanager
    def client(self, email: str | None = None) -> Iterator[httpx.Client]:
        """A browser without a screen; with `email`, after the whole sign-in."""
        with httpx.Client(base_url=self.dashboard.url, timeout=20) as client:
            yield client if email is None else self.sign_in(client, email)

    def sign_in(self, client: httpx.Client, email: str) -> httpx.Client:
        expires = int(time.time()) + 100
        token = jwt.encode(
            {"alg": "HS256"}, {"provider": "default", "exp": expires}, OctKey.import_key(COOKIE_SECRET)
        )
        there = client.get(f"/auth/login?provider={token}")
        assert there.headers["location"].startswith(self.provider.url)
        back = client.post(there.headers["location"], data={"email": email})
        assert client.get(back.headers["location"]).status_code == 302
        return client


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    home = tmp_path_factory.mktemp("team")
    store = open_store(f"sqlite:///{home / 'lwdash.sqlite'}", str(home / "artifacts"), home / "cache")
    for name in ("secret beats", "open beats"):
        seed_experiment(store, name, 2)
    sharing.set_private(store.database, 1, True, ADA)
    (home / "logs").mkdir()
    for run in (1, 3):
        (home / "logs" / f"run-{run}.log").write_text(f"what run {run} said")
    provider = Provider().start()
    provider.people["mallory@example.org"] = {"email": ADA, "email_verified": False}
    dashboard = Dashboard(
        home,
        secrets=lambda port: secrets_for(provider, port, COOKIE_SECRET),
        LWDASH_AUTH_ALLOW="@example.org, guest@elsewhere.example",
        LWDASH_METRICS_TOKEN=METRICS_TOKEN,
        LWDASH_LOG="json",
    )
    try:
        poll("the server answers", dashboard.answers)
        yield Team(dashboard, provider, store)
    finally:
        dashboard.stop()
        provider.stop()


CLOSED = [
    ("GET", "/download/run/3.tflite"),
    ("HEAD", "/download/run/3.tflite"),
    ("GET", "/download/run/3.log"),
    ("GET", "/download/run/3.zip"),
    ("GET", "/download/run/3.h"),
    ("GET", "/download/run/3.cc"),
    ("GET", "/download/run/3.json"),
    ("GET", "/download/run/3.tables.zip"),
    ("GET", "/download/run/1.log"),
    ("GET", "/download/run/999.tflite"),
    ("GET", "/download/run/3.tflite?share="),
    ("GET", "/download/run/3.tflite?share=wrong"),
    ("GET", "/metrics"),
    ("GET", "/media/0000.svg"),
    ("GET", "/_stcore/metrics"),
    ("GET", "/_stcore/upload_file/a/b"),
    ("PUT", "/_stcore/upload_file/a/b"),
    ("DELETE", "/_stcore/upload_file/a/b"),
    ("POST", "/_stcore/agent/interact"),
    ("GET", "/_stcore/agent/openapi.json"),
    ("POST", "/_stcore/agent/mcp"),
    ("POST", "/"),
    ("PUT", "/experiment"),
    ("DELETE", "/run?id=1"),
]


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_without_a_sign_in_nothing_is_given(team: Team, method: str, path: str) -> None:
    with team.client() as client:
        answer = client.request(method, path)
    assert answer.status_code == 401, answer.text
    assert method == "HEAD" or "sign in" in answer.text or "LWDASH_METRICS_TOKEN" in answer.text


def upload_headers(team: Team) -> dict[str, str]:
    """What an upload from a page of this server brings besides the cookie."""
    import hashlib
    import hmac

    token = hmac.new(COOKIE_SECRET.encode(), b"lwdash upload", hashlib.sha256).hexdigest()
    return {"X-Lwdash-Token": token, "Origin": team.dashboard.url.rstrip("/")}


def test_an_upload_needs_the_sign_in_and_the_token(team: Team) -> None:
    headers = upload_headers(team)
    with team.client() as client:
        assert client.put("/upload/m.keras", content=b"abc", headers=headers).status_code == 401
    with team.client(BOB) as client:
        assert client.put("/upload/m.keras", content=b"abc").status_code == 403
        foreign = {**headers, "Origin": "https://elsewhere.example"}
        assert client.put("/upload/m.keras", content=b"abc", headers=foreign).status_code == 403
        assert client.put("/upload/m.keras", content=b"abc", headers=headers).status_code == 201
    assert not list((team.dashboard.home / "uploads").glob("*.part"))


def test_who_signed_in_gets_files_logs_and_no_private_ones_of_others(team: Team) -> None:
    with team.client(BOB) as client:
        answer = client.get("/download/run/3.tflite")
        assert answer.status_code == 200
        assert answer.content == b"not a model, but a file to download"
        assert client.get("/download/run/3.log").text == "what run 3 said"
        for ending in ("tflite", "log", "zip", "h", "cc", "json", "tables.zip"):
            assert client.get(f"/download/run/1.{ending}").json() == {"error": "there is no run 1"}
    with team.client("ADA@Example.org") as client:
        assert client.get("/download/run/1.log").text == "what run 1 said"
        assert client.get("/download/run/1.tflite").status_code == 200


@pytest.mark.parametrize(
    ("email", "words"),
    [
        ("eve@elsewhere.example", "may not use this dashboard"),
        ("mallory@example.org", "has not verified"),
        ("ada@example.org.elsewhere.example", "may not use this dashboard"),
    ],
)
def test_who_is_not_allowed_stays_out_after_signing_in(team: Team, email: str, words: str) -> None:
    with team.client(email) as client:
        assert client.cookies.get("_streamlit_user")
        assert client.get("/download/run/3.tflite").status_code == 401
        assert client.get("/download/run/1.tflite").status_code == 401
    assert words in team.dashboard.log()


def test_a_single_address_of_another_domain_is_allowed(team: Team) -> None:
    with team.client("guest@elsewhere.example") as client:
        assert client.get("/download/run/3.tflite").status_code == 200


def identity(
    origin: str, secret: str = COOKIE_SECRET, name: str = "_streamlit_user", **claims: object
) -> str:
    said = {"email": ADA, "is_logged_in": True, "origin": origin, **claims}
    return create_signed_value(secret, name, json.dumps(said)).decode()


def test_only_a_cookie_that_this_server_signed_for_this_address_counts(team: Team) -> None:
    here = team.dashboard.url.rstrip("/")

    def status(cookie: str) -> int:
        with team.client() as client:
            client.cookies.set("_streamlit_user", cookie)
            return client.get("/download/run/1.tflite").status_code

    good = identity(here)
    assert status(good) == 200
    forged = {
        "another secret": identity(here, secret="x" * 32),
        "another cookie's": identity(here, name="_streamlit_xsrf"),
        "another address": identity("http://127.0.0.1:1"),
        "not signed in": identity(here, is_logged_in=False),
        "signed in, as text": identity(here, is_logged_in="true"),
        "changed": good[:20] + ("A" if good[20] != "A" else "B") + good[21:],
        "without its signature": good.rpartition(".")[0],
        "empty": "",
        "no text": "%FF%FE",
        "no object": create_signed_value(COOKIE_SECRET, "_streamlit_user", "[1]").decode(),
        "chunks that are not there": create_signed_value(
            COOKIE_SECRET, "_streamlit_user", "chunks-3"
        ).decode(),
    }
    assert {name: status(cookie) for name, cookie in forged.items()} == dict.fromkeys(forged, 401)


def test_an_identity_too_large_for_one_cookie_counts(team: Team) -> None:
    """Streamlit spreads it over several."""
    team.provider.people[ADA] = {"groups": [token_hex(16) for _ in range(200)]}
    try:
        with team.client(ADA) as client:
            assert client.cookies.get("_streamlit_user_1")
            assert client.get("/download/run/1.tflite").status_code == 200
    finally:
        del team.provider.people[ADA]


def test_a_replayed_callback_signs_nobody_in(team: Team) -> None:
    with team.client() as client, team.client() as other:
        expires = int(time.time()) + 100
        token = jwt.encode(
            {"alg": "HS256"}, {"provider": "default", "exp": expires}, OctKey.import_key(COOKIE_SECRET)
        )
        there = client.get(f"/auth/login?provider={token}").headers["location"]
        back = client.post(there, data={"email": ADA}).headers["location"]
        other.get(back)  # without the state that the first browser has
        assert not other.cookies.get("_streamlit_user")
        client.get(back)
        assert client.cookies.get("_streamlit_user")


def test_signing_out_ends_it(team: Team) -> None:
    with team.client(BOB) as client:
        assert client.get("/auth/logout").headers["location"].startswith(f"{team.provider.url}/end")
        assert client.get("/download/run/3.tflite").status_code == 401


def test_a_share_link_opens_one_experiment_until_it_is_revoked(team: Team) -> None:
    token = sharing.share(team.store.database, 1)
    with team.client() as client:
        assert client.get(f"/download/run/1.tflite?share={token}").status_code == 200
        assert client.get(f"/download/run/2.log?share={token}").status_code == 404
        assert client.get(f"/download/run/1.log?share={token}").text == "what run 1 said"
        assert client.get(f"/download/run/3.tflite?share={token}").json() == {"error": "there is no run 3"}
        assert client.get(f"/metrics?share={token}").status_code == 401
        assert token not in team.dashboard.log()
        put = client.put(f"/upload/m.keras?share={token}", content=b"abc", headers=upload_headers(team))
        assert put.status_code == 401
        assert client.get("/download/run/1.tflite").status_code == 401
        assert client.get(f"/media/none.svg?share={token}").status_code == 401
        client.get(f"/experiment?id=1&share={token}", headers={"Accept": "text/html"})
        assert client.get("/media/none.svg").status_code == 404  # it may ask; there is none
        assert client.get("/_stcore/metrics").status_code == 401
        sharing.revoke(team.store.database, 1)
        assert client.get(f"/download/run/1.tflite?share={token}").status_code == 401
        assert client.get("/media/none.svg").status_code == 401
    assert sharing.share(team.store.database, 1) != token
    sharing.revoke(team.store.database, 1)


def test_health_is_for_everybody_and_metrics_for_the_token(team: Team) -> None:
    with team.client() as client:
        assert client.get("/healthz").json()["ok"] is True
        assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401
        answer = client.get("/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"})
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'lwdash_runs{state="succeeded"} 4.0' in answer.text


def test_the_page_that_was_asked_for_comes_after_the_sign_in(team: Team) -> None:
    html = {"Accept": "text/html"}
    with team.client() as client:
        client.get("/experiment?id=2", headers=html)
        team.sign_in(client, BOB)
        assert client.get("/", headers=html).headers["location"] == "/experiment?id=2"
        assert client.get("/", headers=html).status_code == 200


@pytest.mark.parametrize(
    "wanted", ["//evil.example", "\\\\evil.example", "https://evil.example", "a/b", "x\r\ny"]
)
def test_the_way_back_never_leaves_the_dashboard(team: Team, wanted: str) -> None:
    from urllib.parse import quote

    with team.client(BOB) as client:
        client.cookies.set("_lwdash_return", quote(wanted, safe=""), domain="127.0.0.1", path="/")
        answer = client.get("/", headers={"Accept": "text/html"})
    assert answer.status_code == 200


def test_the_log_is_one_json_object_a_line(team: Team) -> None:
    lines = [line for line in team.dashboard.log().splitlines() if line.startswith("{")]
    records = [json.loads(line) for line in lines]
    assert {"time", "level", "logger", "message"} <= set(records[0])
    assert any("sign-in is enabled" in record["message"] for record in records)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", record["time"]) for record in records)


def test_every_route_of_the_server_is_known_to_be_open_or_closed(tmp_path: Path) -> None:
    """A route that a new Streamlit brings must be looked at before it is served."""
    from unittest.mock import MagicMock

    from streamlit.web.server.starlette.starlette_app import create_streamlit_routes

    known = {
        "/_stcore/health", "/_stcore/script-health-check", "/_stcore/metrics", "/_stcore/host-config",
        "/media/{file_id:path}", "/_stcore/upload_file/{session_id}/{file_id}", "/component/{path:path}",
        "/_stcore/bidi-components/{path:path}", "/_stcore/stream", "/auth/login", "/auth/logout", "/oauth2callback",
        "/_stcore/agent/interact", "/_stcore/agent/openapi.json", "/_stcore/agent/mcp", "",
    }  # fmt: skip
    assert {route.path for route in create_streamlit_routes(MagicMock())} - known == set()


def test_the_store_itself_keeps_what_nobody_may_see(team: Team) -> None:
    assert run_rows.get_run(team.store.database, 1) is not None
    assert EVERYBODY.can_see(ExperimentAccess(id=1, owner=None, is_private=False))
