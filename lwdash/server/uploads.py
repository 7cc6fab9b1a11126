"""Receives one uploaded file: streamed to disk and hashed at the same time, stored completely or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from anyio import fail_after, to_thread
from starlette.requests import ClientDisconnect, Request

from lwdash.errors import UploadRefused

# Bytes per call into a thread: large enough to make the calls cheap, small enough to limit memory.
PIECE_BYTES = 1 << 20
PARTIAL_PREFIX, PARTIAL_SUFFIX = "upload-", ".part"
# Otherwise a connection that died silently would keep its partial file, and prevent the server from stopping.
STALL_SECONDS = 30.0
# A connection that sends a byte now and then must not last forever: after a while, this average rate is
# required.
SLOWEST_BYTES_PER_SECOND, PATIENCE_SECONDS = 1000, 60.0


class UploadTooLarge(UploadRefused):
    """The file is larger than the limit of this server."""

    status = 413


class UploadEmpty(UploadRefused):
    """The file is empty."""

    status = 400


class UploadInterrupted(UploadRefused):
    """The upload was interrupted; nothing was kept. Send the file again."""

    status = 400


class UploadDiskFull(UploadRefused):
    """The disk of the server is full; nothing was kept."""

    status = 507


@dataclass(frozen=True)
class Received:
    """A complete uploaded file. `path` is its place after `store`."""

    sha256: str
    size_bytes: int
    path: Path


class _PartialFile:
    """A temporary file that is written and hashed piece by piece; used from threads, one call at a time."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=PARTIAL_PREFIX, suffix=PARTIAL_SUFFIX, dir=folder)
        self.path = Path(name)
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        self._hash = hashlib.sha256()

    def write(self, piece: bytes | bytearray) -> None:
        self._hash.update(piece)
        rest = memoryview(piece)
        while rest:
            rest = rest[self._file.write(rest) :]

    def close(self) -> str:
        """Close and return the SHA-256 of the written bytes, in hexadecimal."""
        self._file.close()
        return self._hash.hexdigest()

    def discard(self) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)


async def receive_upload(
    request: Request, *, folder: Path, limit_bytes: int, store: Callable[[Path, str], Path]
) -> Received:
    """Stream the body of `request` to a temporary file in `folder`, then pass it to `store(path, sha256)`.

    `store` runs in a thread, makes the file durable (fsync), moves it to its final place, and returns that.
    At any moment about 1 MiB of the body is in memory. Disk work runs in threads, so that the event loop
    stays free.

    Raises UploadTooLarge (the announced or the counted size is over `limit_bytes`), UploadEmpty,
    UploadInterrupted (the client disconnected, stopped sending, sent too slowly, or sent fewer bytes than
    announced), DiskFull.
    In all cases, no partial file is left.
    """
    announced = _announced_bytes(request)
    try:
        if announced is not None:
            await to_thread.run_sync(_check_announced, announced, folder, limit_bytes)
        partial = await to_thread.run_sync(_PartialFile, folder)
        try:
            size_bytes = await _write_body(request.stream(), partial, limit_bytes)
            _check_whole(size_bytes, announced)
            sha256 = await to_thread.run_sync(partial.close)
            path = await to_thread.run_sync(store, partial.path, sha256)
        finally:
            # Also after success: a `store` that already had this content may leave the temporary file.
            partial.discard()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UploadDiskFull(
                "the disk is full, and the file was not stored. Free space in LWDASH_HOME and send it again."
            ) from error
        raise
    return Received(sha256=sha256, size_bytes=size_bytes, path=path)


def remove_partial_uploads(folder: Path, *, older_than_seconds: float = 3600.0) -> int:
    """Delete partial uploads of a killed server in `folder`; return the number of files.

    Only files without a write for `older_than_seconds`, since another server may be receiving into the same
    folder.
    """
    removed = 0
    for path in folder.glob(f"{PARTIAL_PREFIX}*{PARTIAL_SUFFIX}"):
        if time.time() - path.stat().st_mtime > older_than_seconds:
            path.unlink(missing_ok=True)
            removed += 1
    return removed


async def _write_body(body: AsyncIterator[bytes], partial: _PartialFile, limit_bytes: int) -> int:
    """Write the body to `partial` in pieces of about 1 MiB; return its size in bytes."""
    size_bytes, piece, began = 0, bytearray(), time.monotonic()
    try:
        while True:
            with fail_after(STALL_SECONDS):
                chunk = await anext(body, None)
            if chunk is None:
                break
            size_bytes += len(chunk)
            if size_bytes > limit_bytes:
                raise UploadTooLarge(_too_large(f"more than {limit_bytes:,} bytes arrived", limit_bytes))
            piece += chunk
            _check_pace(size_bytes, time.monotonic() - began)
            if len(piece) >= PIECE_BYTES:
                await to_thread.run_sync(partial.write, piece)
                piece = bytearray()
    except ClientDisconnect as error:
        raise UploadInterrupted from error
    except TimeoutError as error:
        raise UploadInterrupted(
            f"no byte came for {STALL_SECONDS:.0f} seconds; nothing was kept. Send the file again."
        ) from error
    if piece:
        await to_thread.run_sync(partial.write, piece)
    return size_bytes


def _check_pace(size_bytes: int, seconds: float) -> None:
    if seconds > PATIENCE_SECONDS and size_bytes < SLOWEST_BYTES_PER_SECOND * seconds:
        raise UploadInterrupted(
            f"only {size_bytes:,} bytes came in {seconds:.0f} seconds; nothing was kept. Send the file again."
        )


def _announced_bytes(request: Request) -> int | None:
    """The Content-Length (checked by the HTTP server), or None for a body sent in chunks."""
    value = request.headers.get("content-length")
    return None if value is None else int(value)


def _check_announced(announced: int, folder: Path, limit_bytes: int) -> None:
    """Refuse by the announced size, before a byte is read."""
    if announced == 0:
        raise UploadEmpty("the file is empty (0 bytes). Choose another one.")
    if announced > limit_bytes:
        raise UploadTooLarge(_too_large(f"the file has {announced:,} bytes", limit_bytes))
    folder.mkdir(parents=True, exist_ok=True)
    free_bytes = shutil.disk_usage(folder).free
    if announced > free_bytes:
        raise UploadDiskFull(
            f"the file has {announced:,} bytes, but the server's disk has only {free_bytes:,} bytes left. "
            "Make room in LWDASH_HOME, then send the file again."
        )


def _check_whole(size_bytes: int, announced: int | None) -> None:
    if announced is not None and size_bytes != announced:
        raise UploadInterrupted(
            f"the upload ended after {size_bytes:,} of {announced:,} bytes; nothing was kept. "
            "Send the file again."
        )
    if size_bytes == 0:
        raise UploadEmpty("the file is empty (0 bytes). Choose another one.")


def _too_large(what: str, limit_bytes: int) -> str:
    return (
        f"{what}, but this server takes at most {limit_bytes:,} bytes. Choose a smaller file, or start the "
        "server with a larger LWDASH_MAX_UPLOAD."
    )
