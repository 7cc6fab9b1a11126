"""A dashboard without a sign-in, as an attacker sees it: from the network, and from another site in the user's browser."""

import base64
import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from conftest import poll
from support.seeding import seed_experiment
from support.served import Dashboard

from storage.store import open_store


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    home = tmp_path_factory.mktemp("attacked")
    store = open_store(f"sqlite:///{home / 'lwdash.sqlite'}", str(home / "artifacts"), home / "cache")
    seed_experiment(store, "beats", 2)
    store.database.dispose()
    (home / "logs").mkdir()
    (home / "logs" / "secret.log").write_text("classified words")
    (home / "run-1.log").write_text("classified words")
    served = Dashboard(home)
    try:
        poll("the server answers", served.answers)
        yield served
        assert served.answers(), "the server survived"
    finally:
        served.stop()


def raw(dashboard: Dashboard, request: bytes, seconds: float = 20) -> bytes:
    """Sends bytes as they are, and returns what comes until the server closes or falls silent."""
    with socket.create_connection(("127.0.0.1", dashboard.port), timeout=seconds) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(request)
        found = b""
        with contextlib.suppress(TimeoutError, ConnectionError):
            while piece := connection.recv(65_536):
                found += piece
        return found


def get(path: str, host: str = "127.0.0.1") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode("latin-1")


PATHS = [
    "/download/run/../../lwdash.sqlite.tflite", "/download/run/..%2f..%2flwdash.sqlite.tflite",
    "/download/run/%2e%2e%2fsecret.log", "/download/run/..%5c..%5csecret.log", "/download/run/1%00.tflite",
    "/download/run/1/../../../secret.log", "/download/run/secret.log", "/download/run/-1.log",
    "/download/run/1e0.tflite", "/download/run/%D9%A1%00.tflite", "/download/run/" + "9" * 5000 + ".tflite",
    "/download/run/" + "9" * 18 + ".log", "/download/run/.tflite", "/download/run/1%20OR%201=1.tflite",
    "/static/../../app.py", "/static/%2e%2e/%2e%2e/app.py", "/media/../lwdash.sqlite", "/plotly.min.js/../app.py",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS, ids=range(len(PATHS)))
def test_no_path_leads_out_of_what_is_served(dashboard: Dashboard, path: str) -> None:
    answer = raw(dashboard, get(path))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"classified words" not in body
    assert b"SQLite format" not in body
    assert b"st.App" not in body
    assert b" 500 " not in head.splitlines()[0], answer[:500]
    assert b"Traceback" not in body
    assert b" 200 " not in head.splitlines()[0] or b"<!doctype html>" in body.lower()


def test_names_of_uploads_are_never_paths(dashboard: Dashboard) -> None:
    for name in ("..%2f..%2fevil.keras", "%2e%2e", "/etc/passwd", "a%00b", "x" * 5000):
        answer = raw(dashboard, f"PUT /upload/{name} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\n"
                                "Connection: close\r\n\r\nabc".encode("latin-1"))  # fmt: skip
        assert answer.split(b" ")[1] in (b"400", b"403", b"404", b"405"), (name, answer[:200])
    assert not list(dashboard.home.rglob("evil*"))


def test_giant_and_broken_requests_are_refused(dashboard: Dashboard) -> None:
    giant = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 3_000_000 + b"\r\n\r\n"
    assert b" 200 " not in raw(dashboard, giant, 10)[:20]
    for broken in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
        b"PUT /upload/m HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"PUT /upload/m HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
    ):
        answer = raw(dashboard, broken, 10)
        assert b" 500 " not in answer[:20]
        assert b" 201 " not in answer[:20]


def test_another_name_for_this_host_is_not_the_dashboard(dashboard: Dashboard) -> None:
    """DNS rebinding: a foreign site's name that points to 127.0.0.1."""
    for path in ("/", "/download/run/1.tflite", "/metrics", "/_stcore/host-config"):
        assert raw(dashboard, get(path, "evil.example")).startswith(b"HTTP/1.1 421")
    assert raw(dashboard, get("/healthz")).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("origin", "host", "is_taken"),
    [
        ("http://127.0.0.1:{port}", "127.0.0.1:{port}", True),
        ("http://127.0.0.1:1", "127.0.0.1:{port}", False),
        ("http://localhost:3000", "127.0.0.1:{port}", False),
        ("https://evil.example", "127.0.0.1:{port}", False),
        ("http://evil.example:{port}", "evil.example:{port}", False),
        ("null", "127.0.0.1:{port}", False),
    ],
)
def test_pages_of_other_sites_cannot_connect(
    dashboard: Dashboard, origin: str, host: str, is_taken: bool
) -> None:
    lines = [
        "GET /_stcore/stream HTTP/1.1", f"Host: {host}", f"Origin: {origin}", "Upgrade: websocket",
        "Connection: Upgrade", "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}", "", "",
    ]  # fmt: skip
    answer = raw(dashboard, "\r\n".join(lines).format(port=dashboard.port).encode(), 3)
    assert answer.startswith(b"HTTP/1.1 101" if is_taken else b"HTTP/1.1 403"), answer[:200]


def test_streamlits_own_upload_takes_no_large_file_and_nothing_without_a_session(
    dashboard: Dashboard,
) -> None:
    with httpx.Client(base_url=dashboard.url) as client:
        large = client.put("/_stcore/upload_file/a/b", files={"file": b"x" * 3_000_000})
        small = client.put("/_stcore/upload_file/a/b", files={"file": b"x"})
    assert large.status_code in (400, 403, 413)
    assert small.status_code in (400, 403)


def test_many_slow_connections_do_not_stop_the_others(dashboard: Dashboard) -> None:
    """Headers that never end, from two hundred connections at once."""
    slow = []
    try:
        for _ in range(200):
            connection = socket.create_connection(("127.0.0.1", dashboard.port), timeout=10)
            connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
            slow.append(connection)
        assert raw(dashboard, get("/healthz")).startswith(b"HTTP/1.1 200")
        assert raw(dashboard, get("/download/run/1.tflite")).startswith(b"HTTP/1.1 200")
    finally:
        for connection in slow:
            connection.close()


def test_nothing_of_it_was_kept(dashboard: Dashboard) -> None:
    assert not list((dashboard.home / "uploads").glob("*"))
    assert Path(dashboard.home / "lwdash.sqlite").exists()
    assert "Traceback" not in dashboard.log()
