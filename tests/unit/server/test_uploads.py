"""Receiving an upload: whole, hashed and handed over once, or refused in words with nothing left behind."""

import asyncio
import errno
import hashlib
import os
import time
from pathlib import Path

import pytest
from starlette.requests import Request

from lwdash.server import uploads
from lwdash.server.uploads import (
    PIECE_BYTES,
    Received,
    UploadDiskFull,
    UploadEmpty,
    UploadInterrupted,
    UploadTooLarge,
    receive_upload,
    remove_partial_uploads,
)

DISCONNECT = {"type": "http.disconnect"}


class Client:
    """The sending side: gives one message after the other, then stays silent; counts what was taken."""

    def __init__(self, *chunks: bytes, end: dict | None = None, announced: int | None = None, **headers: str):
        self.messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
        if end is None:
            self.messages.append({"type": "http.request", "body": b"", "more_body": False})
        else:
            self.messages += [end] if end else []
        self.taken = 0
        self.headers = [(name.encode(), value.encode()) for name, value in headers.items()]
        if announced is not None:
            self.headers.append((b"content-length", str(announced).encode()))

    async def receive(self) -> dict:
        if self.taken == len(self.messages):
            await asyncio.Event().wait()
        self.taken += 1
        return self.messages[self.taken - 1]

    def request(self) -> Request:
        scope = {"type": "http", "method": "PUT", "path": "/upload/x", "headers": self.headers}
        return Request(scope, self.receive)


class Store:
    """Moves a file to where it stays, as the artifact store does, and remembers each call."""

    def __init__(self, folder: Path):
        self.folder, self.calls = folder, []

    def __call__(self, path: Path, sha256: str) -> Path:
        self.calls.append((path.read_bytes(), sha256))
        return path.rename(self.folder / sha256)


@pytest.fixture
def partials(tmp_path) -> Path:
    return tmp_path / "partial"


@pytest.fixture
def store(tmp_path) -> Store:
    (tmp_path / "store").mkdir()
    return Store(tmp_path / "store")


def receive(client: Client, partials: Path, store, limit_bytes: int = 10 * PIECE_BYTES) -> Received:
    work = receive_upload(client.request(), folder=partials, limit_bytes=limit_bytes, store=store)
    return asyncio.run(work)


def left(partials: Path) -> list[Path]:
    return list(partials.iterdir()) if partials.exists() else []


@pytest.mark.parametrize("announce", [True, False], ids=["announced", "in chunks"])
def test_a_whole_upload_is_stored_once_with_its_hash(partials, store, announce):
    content = os.urandom(3 * PIECE_BYTES + 17)
    chunks = [content[i : i + 65_536] for i in range(0, len(content), 65_536)]
    client = Client(*chunks, announced=len(content) if announce else None)
    received = receive(client, partials, store)
    sha256 = hashlib.sha256(content).hexdigest()
    assert received == Received(sha256=sha256, size_bytes=len(content), path=store.folder / sha256)
    assert store.calls == [(content, sha256)]
    assert left(partials) == []


def test_exactly_the_limit_is_taken(partials, store):
    assert receive(Client(b"x" * 100, announced=100), partials, store, limit_bytes=100).size_bytes == 100


def test_an_announced_size_over_the_limit_is_refused_before_a_file_exists(partials, store):
    with pytest.raises(UploadTooLarge, match=r"the file has 101 bytes.*at most 100 bytes.*LWDASH_MAX_UPLOAD"):
        receive(Client(b"x" * 101, announced=101), partials, store, limit_bytes=100)
    assert not partials.exists()
    assert store.calls == []


def test_more_than_the_limit_without_an_announcement_is_refused_when_it_is_counted(partials, store):
    with pytest.raises(UploadTooLarge, match="more than 100 bytes arrived"):
        receive(Client(b"x" * 60, b"x" * 60), partials, store, limit_bytes=100)
    assert left(partials) == []
    assert store.calls == []


@pytest.mark.parametrize("announced", [0, None])
def test_an_empty_file_is_refused(partials, store, announced):
    with pytest.raises(UploadEmpty, match="0 bytes"):
        receive(Client(announced=announced), partials, store)
    assert left(partials) == []
    assert store.calls == []


@pytest.mark.parametrize("announced", [500, None])
def test_a_client_that_goes_away_leaves_nothing(partials, store, announced):
    client = Client(b"x" * 100, end=DISCONNECT, announced=announced)
    with pytest.raises(UploadInterrupted, match="interrupted"):
        receive(client, partials, store)
    assert left(partials) == []
    assert store.calls == []


def test_fewer_bytes_than_announced_is_an_interruption(partials, store):
    with pytest.raises(UploadInterrupted, match="ended after 100 of 500 bytes"):
        receive(Client(b"x" * 100, announced=500), partials, store)
    assert left(partials) == []
    assert store.calls == []


def test_a_sender_that_falls_silent_is_given_up(partials, store, monkeypatch):
    monkeypatch.setattr(uploads, "STALL_SECONDS", 0.1)
    with pytest.raises(UploadInterrupted, match="no byte came"):
        receive(Client(b"x" * 100, end={}, announced=500), partials, store)
    assert left(partials) == []


def test_a_sender_that_dribbles_is_given_up(partials, store, monkeypatch):
    monkeypatch.setattr(uploads, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(uploads, "SLOWEST_BYTES_PER_SECOND", 10**12)
    with pytest.raises(UploadInterrupted, match="only 100 bytes came"):
        receive(Client(b"x" * 100, b"x" * 100, announced=200), partials, store)
    assert left(partials) == []


def test_a_full_disk_is_told_in_words(partials, store):
    def full(path: Path, sha256: str) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(UploadDiskFull, match="the disk is full"):
        receive(Client(b"x" * 100, announced=100), partials, full)
    assert left(partials) == []


def test_a_file_larger_than_the_free_disk_is_refused_by_its_announced_size(partials, store):
    with pytest.raises(UploadDiskFull, match="bytes left"):
        receive(Client(announced=1 << 60), partials, store, limit_bytes=1 << 61)


def test_another_fault_of_the_disk_is_not_called_full(partials, store):
    def broken(path: Path, sha256: str) -> Path:
        raise PermissionError(errno.EACCES, "Permission denied")

    with pytest.raises(PermissionError):
        receive(Client(b"x" * 100, announced=100), partials, broken)
    assert left(partials) == []


def test_a_store_that_has_this_content_already_may_leave_the_temporary_file(partials, tmp_path):
    kept = tmp_path / "kept"
    received = receive(Client(b"abc", announced=3), partials, lambda path, sha256: kept)
    assert received.path == kept
    assert left(partials) == []


def test_a_cancelled_upload_leaves_nothing(partials, store):
    async def cancel_midway() -> None:
        client = Client(b"x" * PIECE_BYTES, end={}, announced=2 * PIECE_BYTES)
        work = receive_upload(client.request(), folder=partials, limit_bytes=1 << 30, store=store)
        task = asyncio.create_task(work)
        deadline = time.monotonic() + 5
        while not [path for path in left(partials) if path.stat().st_size] and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        assert len(left(partials)) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel_midway())
    assert left(partials) == []


def test_what_a_killed_server_left_is_removed_and_an_upload_under_way_is_not(tmp_path):
    old, new, other = (tmp_path / name for name in ("upload-a.part", "upload-b.part", "model.keras"))
    for path in (old, new, other):
        path.write_bytes(b"x")
    for path in (old, other):
        os.utime(path, (time.time() - 7200,) * 2)
    assert remove_partial_uploads(tmp_path) == 1
    assert sorted(tmp_path.iterdir()) == [other, new]
