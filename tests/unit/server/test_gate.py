"""The gate before every route: names, origins, cookies and headers, without a server."""

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from lwdash.server.gate import Gate, host_name, local_names

LOCAL = "http://127.0.0.1:8501"


async def answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse("in")


async def stream(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("in")
    await websocket.close()


def client_of(base_url: str = LOCAL, prefix: str = "", **settings: object) -> TestClient:
    routes = [
        WebSocketRoute(f"{prefix}/_stcore/stream", stream),
        WebSocketRoute(f"{prefix}/_stcore/other", stream),
        Route("/{path:path}", answer, methods=["GET", "POST", "PUT"]),
    ]
    given = {
        "must_sign_in": True,
        "identify": lambda cookies: cookies.get("me"),
        "is_shared": lambda token: token == "good",
        "base_url": prefix,
        **settings,
    }
    return TestClient(Gate(Starlette(routes=routes), **given), base_url=base_url)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200), ("/experiment", 200), ("/healthz", 200), ("/static/js/x.js", 200), ("/auth/login", 200),
        ("/oauth2callback", 200), ("/_stcore/health", 200), ("/_stcore/host-config", 200),
        ("/_stcore/bidi-components/x/y.js", 200), ("/download/run/1.tflite", 200), ("/metrics", 200),
        ("/media/x.png", 401), ("/media//x.png", 401), ("/_stcore/metrics", 401), ("/_stcore/agent/mcp", 401),
        ("/_stcore", 401), ("/_stcore/anything/new", 401), ("/app/static/x", 401), ("/media/../media/x", 401),
    ],
)  # fmt: skip
def test_what_tells_nothing_is_open_and_the_rest_is_closed(path: str, status: int) -> None:
    client = client_of()
    assert client.get(path).status_code == status
    client.cookies.set("me", "ada")
    assert client.get(path).status_code == 200
    assert client_of(must_sign_in=False).get(path).status_code == 200


def test_below_a_base_url_the_same_holds() -> None:
    client = client_of(prefix="/tools/lwdash")
    assert client.get("/tools/lwdash/media/x.png").status_code == 401
    assert client.get("/tools/lwdash/_stcore/metrics").status_code == 401
    assert client.get("/media/x.png").status_code == 401
    assert client.get("/tools/lwdash/_stcore/health").status_code == 200


def test_who_only_reads_pages_may_not_send() -> None:
    assert client_of().post("/experiment").status_code == 401


def test_agents_of_devices_have_a_token_and_need_no_sign_in() -> None:
    """Their routes check it."""
    assert client_of().post("/device/work").status_code != 401
    assert client_of(prefix="/tools/lwdash").post("/tools/lwdash/device/work").status_code != 401


@pytest.mark.parametrize(
    ("host", "is_taken"),
    [
        ("127.0.0.1:8501", True), ("localhost", True), ("LOCALHOST:9", True), ("[::1]:8501", True),
        ("evil.example", False), ("127.0.0.1.evil.example", False), ("localhost.evil.example:8501", False),
        ("", False), ("x@127.0.0.1@evil.example", False), ("[", False),
    ],
)  # fmt: skip
def test_a_local_server_answers_to_local_names_only(host: str, is_taken: bool) -> None:
    client = client_of(allowed_hosts=local_names("127.0.0.1"), must_sign_in=False)
    answer = client.get("/experiment", headers={"host": host})
    assert answer.status_code == (200 if is_taken else 421)
    assert is_taken or "server.allowedHosts" in answer.json()["error"]


def test_probes_may_call_the_host_by_its_address() -> None:
    client = client_of(allowed_hosts=frozenset({"dash.test"}), must_sign_in=False)
    paths = ("/healthz", "/_stcore/health", "/metrics", "/")
    got = [client.get(path, headers={"host": "10.0.0.7:8501"}).status_code for path in paths]
    assert got == [200, 200, 421, 421]
    assert client.get("/", headers={"host": "127.0.0.1:8501"}).status_code == 200


def test_names_below_a_domain_can_be_allowed() -> None:
    client = client_of(allowed_hosts=frozenset({"*.example.com", "dash.test"}), must_sign_in=False)
    given = {
        "a.example.com": 200,
        "example.com": 421,
        "evilexample.com": 421,
        "dash.test:8501": 200,
        "DASH.test": 200,
    }
    assert {host: client.get("/", headers={"host": host}).status_code for host in given} == given


@pytest.mark.parametrize(("address", "is_local"), [("127.0.0.1", True), ("localhost", True), ("::1", True),
                                                    ("0.0.0.0", False), (None, False), ("dash.example", False)])  # fmt: skip
def test_only_a_local_address_means_local_names(address: str | None, is_local: bool) -> None:
    assert bool(local_names(address)) == is_local


@pytest.mark.parametrize(
    ("origin", "allowed", "is_taken"),
    [
        (LOCAL, frozenset(), True),
        (None, frozenset(), True),
        ("http://127.0.0.1:9999", frozenset(), False),
        ("http://localhost:8501", frozenset(), False),
        ("https://evil.example", frozenset(), False),
        ("null", frozenset(), False),
        ("https://dash.example", frozenset({"https://dash.example"}), True),
        ("https://other.example", frozenset({"https://dash.example"}), False),
        ("https://other.example", frozenset({"*"}), True),
    ],
)
def test_a_connection_is_taken_from_the_dashboards_own_pages(
    origin: str | None, allowed: frozenset[str], is_taken: bool
) -> None:
    client = client_of(allowed_origins=allowed)
    headers = {"host": "127.0.0.1:8501", **({"origin": origin} if origin else {})}
    if is_taken:
        with client.websocket_connect("/_stcore/stream", headers=headers) as connection:
            assert connection.receive_text() == "in"
    else:
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/_stcore/stream", headers=headers):
            pass


def test_no_other_connection_is_open_to_strangers() -> None:
    with pytest.raises(WebSocketDisconnect), client_of().websocket_connect("/_stcore/other"):
        pass


def test_every_answer_has_the_headers() -> None:
    client = client_of()
    for path in ("/", "/media/x", "/healthz"):
        headers = client.get(path).headers
        assert headers["x-frame-options"] == "SAMEORIGIN"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


def test_a_share_link_opens_the_pages_media_as_long_as_it_lives() -> None:
    alive = {"good"}
    client = client_of(is_shared=alive.__contains__)
    client.get("/experiment?id=1&share=bad", headers={"accept": "text/html"})
    assert client.get("/media/x").status_code == 401
    page = client.get("/experiment?id=1&share=good", headers={"accept": "text/html"})
    assert "HttpOnly" in page.headers["set-cookie"]
    assert "SameSite=Lax" in page.headers["set-cookie"]
    assert client.get("/media/x").status_code == 200
    assert client.post("/media/x").status_code == 401
    alive.clear()
    assert client.get("/media/x").status_code == 401


def test_a_host_without_a_name_has_none() -> None:
    assert [host_name(h) for h in ("", "[", "a:b", "A.example.:80")] == ["", "", "a", "a.example"]
