"""The routes: who may upload, what a download looks like, what /healthz says."""

import hashlib
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.testclient import TestClient

from lwdash.errors import NotFound, UploadRefused
from lwdash.server.responses import SignInNeeded
from lwdash.server.routes import routes
from lwdash.server.upload_access import TOKEN_HEADER, refusal
from lwdash.serving.upload_token import upload_token

TOKEN = "a-token"
MODEL = bytes(range(256)) * 40


class Dashboard:
    """Stands in for storage: what the routes are given as callables."""

    def __init__(self, folder: Path):
        self.folder, self.stored = folder, {}
        self.health = {"ok": True, "database": "ok"}
        (folder / "a.tflite").write_bytes(MODEL)

    def store_upload(self, path: Path, sha256: str) -> Path:
        self.stored[sha256] = path.read_bytes()
        if self.stored[sha256] == b"unwanted":
            raise UploadRefused("not wanted here")
        if self.stored[sha256] == b"trouble":
            raise RuntimeError("the database said: secret detail")
        return path.rename(self.folder / sha256)

    def find_artifact(self, run_id: str, request: Request) -> tuple[Path, str]:
        if run_id == "6" and "me" not in request.cookies:
            raise SignInNeeded
        names = {"6": "mine.tflite", "7": "digits int8.tflite", "8": "Größe.tflite"}
        if run_id == "9":
            return self.folder / "gone.tflite", "gone.tflite"
        if run_id not in names:
            raise NotFound(f"there is no run {run_id}")
        return self.folder / "a.tflite", names[run_id]

    def find_log(self, run_id: str, request: Request) -> tuple[Path, str]:
        path = self.folder / f"run-{run_id}.log"
        path.write_bytes(b"<b>what it said</b>\n")
        return path, path.name


@pytest.fixture
def dashboard(tmp_path) -> Dashboard:
    return Dashboard(tmp_path)


def client_of(dashboard: Dashboard, **settings) -> TestClient:
    given = {
        "folder": dashboard.folder / "partial",
        "limit_bytes": 1000,
        "token": TOKEN,
        "store_upload": dashboard.store_upload,
        "find_artifact": dashboard.find_artifact,
        "find_log": dashboard.find_log,
        "health": lambda: dashboard.health,
        "metrics": lambda: b"a_metric 1\n",
        "is_known": lambda cookies: True,
        **settings,
    }
    listed = routes(**given)
    # Streamlit puts this middleware around every route.
    return TestClient(Starlette(routes=listed, middleware=[Middleware(GZipMiddleware)]))


@pytest.fixture
def client(dashboard) -> TestClient:
    return client_of(dashboard)


def put(client: TestClient, content: bytes, path: str = "/upload/m.keras", **headers: str):
    return client.put(path, content=content, headers={TOKEN_HEADER: TOKEN, **headers})


def test_an_upload_answers_with_hash_size_and_name(client, dashboard):
    answer = put(client, b"abc", "/upload/my%20model.keras")
    sha256 = hashlib.sha256(b"abc").hexdigest()
    assert answer.status_code == 201
    assert answer.json() == {"name": "my model.keras", "sha256": sha256, "size_bytes": 3}
    assert dashboard.stored == {sha256: b"abc"}


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"x" * 1001, 413, "at most 1,000 bytes"),
        (b"", 400, "empty"),
        (b"unwanted", 400, "not wanted"),
        (b"trouble", 500, "Its log has the reason"),
    ],
)
def test_a_refused_upload_says_why_as_json(client, content, status, words):
    answer = put(client, content)
    assert answer.status_code == status
    assert words in answer.json()["error"]
    assert "secret detail" not in answer.text


@pytest.mark.parametrize("token", [None, "", "another-token", "ä"])
def test_without_the_token_nothing_is_taken(client, dashboard, token):
    headers = {} if token is None else {TOKEN_HEADER: token.encode()}
    answer = client.put("/upload/m.keras", content=b"abc", headers=headers)
    assert answer.status_code == 403
    assert "Reload" in answer.json()["error"]
    assert dashboard.stored == {}
    assert not (dashboard.folder / "partial").exists()


@pytest.mark.parametrize(
    ("headers", "taken"),
    [
        ({}, True),
        ({"origin": "http://127.0.0.1:8501"}, True),
        ({"origin": "http://127.0.0.1:8502"}, False),
        ({"origin": "https://elsewhere.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": "https://dash.example", "sec-fetch-site": "same-origin"}, True),
        ({"origin": "http://127.0.0.1:8501", "sec-fetch-site": "same-site"}, False),
        ({"origin": "http://127.0.0.1:8501", "sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "none"}, False),
    ],
)
def test_only_pages_of_this_dashboard_may_upload(headers, taken):
    given = Headers({"host": "127.0.0.1:8501", TOKEN_HEADER: TOKEN, **headers})
    assert (refusal(given, TOKEN) is None) == taken


def test_a_foreign_page_is_refused_by_the_route(client, dashboard):
    answer = put(client, b"abc", origin="https://elsewhere.example")
    assert answer.status_code == 403
    assert "elsewhere.example" in answer.json()["error"]
    assert dashboard.stored == {}


def test_the_token_is_the_same_in_one_process_and_does_not_show_the_cookie_secret():
    import streamlit as st

    assert upload_token() == upload_token()
    assert len(upload_token()) == 64
    assert st.get_option("server.cookieSecret") not in upload_token()


def test_a_download_has_a_name_a_size_and_is_not_guessed_at(client):
    answer = client.get("/download/run/7.tflite", headers={"accept-encoding": "gzip"})
    assert answer.content == MODEL
    assert answer.headers["content-length"] == str(len(MODEL))
    assert answer.headers["content-disposition"] == "attachment; filename*=utf-8''digits%20int8.tflite"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-type"] == "application/octet-stream"
    other = client.get("/download/run/8.tflite").headers["content-disposition"]
    assert other == "attachment; filename*=utf-8''Gr%C3%B6%C3%9Fe.tflite"


def test_a_download_can_be_resumed(client):
    answer = client.get("/download/run/7.tflite", headers={"range": "bytes=10000-"})
    assert answer.status_code == 206
    assert answer.content == MODEL[10000:]
    assert answer.headers["content-range"] == f"bytes 10000-{len(MODEL) - 1}/{len(MODEL)}"
    assert client.get("/download/run/7.tflite", headers={"range": "bytes=99999-"}).status_code == 416


def test_an_unknown_run_and_a_lost_file_are_told_apart(client):
    unknown, lost = client.get("/download/run/1.tflite"), client.get("/download/run/9.tflite")
    assert (unknown.status_code, unknown.json()) == (404, {"error": "there is no run 1"})
    assert lost.status_code == 410
    assert "Start the run again" in lost.json()["error"]


def test_health_is_200_when_ok_and_503_otherwise(client, dashboard):
    assert client.get("/healthz").status_code == 200
    dashboard.health = {"ok": False, "engine": "no worker"}
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (503, {"ok": False, "engine": "no worker"})


@pytest.mark.parametrize("base_url", ["tools/lwdash", "/tools/lwdash/"])
def test_the_routes_lie_below_the_base_url(dashboard, base_url):
    client = client_of(dashboard, base_url=base_url)
    assert client.get("/tools/lwdash/healthz").status_code == 200
    assert put(client, b"abc", "/tools/lwdash/upload/m.keras").status_code == 201
    assert client.get("/healthz").status_code == 404


def test_a_log_is_text_that_no_browser_takes_for_a_page(client):
    answer = client.get("/download/run/3.log")
    assert answer.text == "<b>what it said</b>\n"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_download_for_somebody_else_asks_for_the_sign_in(client):
    assert client.get("/download/run/6.tflite").status_code == 401
    client.cookies.set("me", "1")
    assert client.get("/download/run/6.tflite").status_code == 200


def test_uploads_and_metrics_are_for_those_who_are_known(dashboard):
    client = client_of(dashboard, is_known=lambda cookies: "me" in cookies)
    assert put(client, b"abc").status_code == 401
    assert client.get("/metrics").status_code == 401
    assert dashboard.stored == {}
    client.cookies.set("me", "1")
    assert put(client, b"abc").status_code == 201
    assert client.get("/metrics").text == "a_metric 1\n"


@pytest.mark.parametrize(
    ("header", "status"),
    [(None, 401), ("Bearer no", 401), ("s3cret", 401), ("Basic s3cret", 401), ("Bearer s3cret", 200)],
)
def test_with_a_token_metrics_are_for_who_has_it(dashboard, header, status):
    client = client_of(dashboard, metrics_token="s3cret")
    client.cookies.set("me", "1")
    headers = {"Authorization": header} if header else {}
    assert client.get("/metrics", headers=headers).status_code == status


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/upload/m.keras"), ("GET", "/upload/m.keras"), ("DELETE", "/download/run/7.tflite"),
        ("PUT", "/download/run/7.log"), ("POST", "/metrics"), ("PUT", "/healthz"), ("PATCH", "/upload/m.keras"),
    ],
)  # fmt: skip
def test_other_methods_are_not_allowed(client, dashboard, method, path):
    assert client.request(method, path, content=b"abc").status_code == 405
    assert dashboard.stored == {}
