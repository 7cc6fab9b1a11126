"""Uploads into a real server process: flat memory, nothing left of a broken connection, others are served."""

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.processes

TOKEN = "a-token"
SERVER = """
import sys
from pathlib import Path
import uvicorn
from starlette.applications import Starlette
from lwdash.server.routes import routes

folder, port = Path(sys.argv[1]), int(sys.argv[2])

def store_upload(path, sha256):
    return path.rename(folder / sha256)

def find_artifact(run_id, request):
    return folder / run_id, run_id

listed = routes(
    folder=folder / "partial", limit_bytes=2_000_000_000, token="a-token", health=lambda: {"ok": True},
    store_upload=store_upload, find_artifact=find_artifact, find_log=find_artifact,
    metrics=lambda: b"", is_known=lambda cookies: True,
)
uvicorn.run(Starlette(routes=listed), host="127.0.0.1", port=port, log_level="warning")
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except ConnectionRefusedError:
        return False
    finally:
        connection.close()


class Server:
    def __init__(self, folder: Path):
        self.folder, self.port = folder, free_port()
        command = [sys.executable, "-c", SERVER, str(folder), str(self.port)]
        self.child = subprocess.Popen(command)
        self.process = psutil.Process(self.child.pid)

    def partials(self) -> list[Path]:
        return list((self.folder / "partial").glob("*"))

    def stop(self) -> None:
        self.child.terminate()
        try:
            self.child.wait(10)
        finally:
            self.child.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server"))
    try:
        wait_for(lambda: healthy(server.port))
        yield server
    finally:
        server.stop()


def upload(server: Server, size_bytes: int) -> tuple[int, dict]:
    """Send `size_bytes` without ever holding them."""
    piece = bytes(1 << 20)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    pieces = (piece[: min(len(piece), size_bytes - at)] for at in range(0, size_bytes, len(piece)))
    headers = {"Content-Length": str(size_bytes), "X-Lwdash-Token": TOKEN}
    connection.request("PUT", "/upload/large.csv", body=pieces, headers=headers)
    answer = connection.getresponse()
    result = answer.status, json.loads(answer.read())
    connection.close()
    return result


def test_a_gigabyte_leaves_the_memory_flat_and_the_server_answering(server):
    assert upload(server, 10_000_000)[0] == 201
    before = server.process.memory_info().rss
    peak, waits, done = before, [], threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.05):
            peak = max(peak, server.process.memory_info().rss)
            begun = time.monotonic()
            assert healthy(server.port)
            waits.append(time.monotonic() - begun)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        status, answer = upload(server, 1_000_000_000)
    finally:
        done.set()
        watcher.join()
    after = server.process.memory_info().rss
    print(
        f"memory: peak {peak - before:+,} B, after {after - before:+,} B; slowest answer {max(waits):.3f} s"
    )
    (server.folder / answer["sha256"]).unlink()
    assert (status, answer["size_bytes"]) == (201, 1_000_000_000)
    assert peak - before < 50e6
    assert abs(after - before) < 50e6
    assert len(waits) >= 5
    assert sorted(waits)[len(waits) // 2] < 0.25


def test_a_broken_connection_leaves_no_half_file(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        lines = [
            "PUT /upload/m.keras HTTP/1.1",
            "Host: x",
            f"X-Lwdash-Token: {TOKEN}",
            "Content-Length: 9000000",
        ]
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + bytes(3_000_000))
        wait_for(lambda: server.partials() and server.partials()[0].stat().st_size > 0)
    wait_for(lambda: not server.partials())
    assert healthy(server.port)


def test_a_refusal_reaches_a_sender_that_does_not_stop(server):
    """Were the connection closed with bytes unread, it would be reset and the reason lost on the way."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    body = (bytes(1 << 20) for _ in range(100))
    connection.request("PUT", "/upload/m.keras", body=body, headers={"Content-Length": str(100 << 20)})
    answer = connection.getresponse()
    assert answer.status == 403
    assert "Reload" in json.loads(answer.read())["error"]
