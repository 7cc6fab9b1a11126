"""Files by content hash: written under a temporary name, flushed, renamed; equal content is stored once."""

import contextlib
import hashlib
import os
import shutil
import tempfile
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem

from storage.errors import MissingArtifact, StorageError

PIECE = 1 << 20


@dataclass(frozen=True)
class Stored:
    """A file of the store: written at `written_at`, in seconds since 1970."""

    sha256: str
    size_bytes: int
    written_at: float


class Artifacts:
    """A folder or bucket of immutable files; `url` is a path or any fsspec URL.

    Thread-safe; several processes may write the same content at once.
    `cache` is a local folder for copies of remote files.
    Raises StorageError for a URL of which the library is not installed, naming it.
    """

    def __init__(self, url: str, cache: Path):
        try:
            self.filesystem, self.root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise StorageError(f"the artifact store {url} cannot be opened: {error}") from error
        self.is_local = isinstance(self.filesystem, LocalFileSystem)
        self.cache = cache
        self.fetching = threading.Lock()

    def put(self, source: Path) -> str:
        """Stores a copy of `source`; returns its SHA-256 in hex."""
        sha256 = _sha256(source)
        if not self.has(sha256):
            self._write(source, sha256)
        return sha256

    def put_bytes(self, data: bytes) -> str:
        """Stores `data`; returns its SHA-256 in hex."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            return self.put(Path(file.name))

    def adopt(self, source: Path, sha256: str) -> None:
        """Takes a local file whose hash is known into the store; `source` is gone afterwards."""
        if self.has(sha256):
            source.unlink()
        elif self.is_local:
            target = Path(self._place(sha256))
            target.parent.mkdir(parents=True, exist_ok=True)
            _flush(source)
            try:
                os.replace(source, target)
            except OSError:  # another file system: copy, then rename there
                self._write(source, sha256)
                source.unlink()
        else:
            self._write(source, sha256)
            source.unlink()

    def has(self, sha256: str) -> bool:
        return self.filesystem.exists(self._place(sha256))

    def local_path(self, sha256: str) -> Path:
        """A local file with this content, which must not be changed. Raises MissingArtifact."""
        place = self._place(sha256)
        if self.is_local:
            if not Path(place).is_file():
                raise MissingArtifact(f"the file {sha256[:12]}… is no longer in the artifact store")
            return Path(place)
        copy = self.cache / sha256[:2] / sha256
        with self.fetching:
            if not copy.is_file():
                self._fetch(sha256, copy)
        return copy

    def listed(self) -> Iterator[Stored]:
        """Every file of the store by its hash; what is not named by a hash is left out."""
        self.filesystem.invalidate_cache()
        if not self.filesystem.exists(self.root):
            return
        for place, info in self.filesystem.find(self.root, detail=True).items():
            folder, name = place.split("/")[-2:]
            if len(name) == 64 and folder == name[:2]:
                yield Stored(name, info["size"], self.filesystem.modified(place).timestamp())

    def remove(self, sha256: str) -> None:
        """Removes a file, and this host's copy of it; nothing happens where there is none."""
        with contextlib.suppress(FileNotFoundError):
            self.filesystem.rm_file(self._place(sha256))
        (self.cache / sha256[:2] / sha256).unlink(missing_ok=True)

    def read(self, sha256: str) -> bytes:
        """The content. Raises MissingArtifact."""
        return self.local_path(sha256).read_bytes()

    def _fetch(self, sha256: str, copy: Path) -> None:
        copy.parent.mkdir(parents=True, exist_ok=True)
        part = copy.with_name(f"{copy.name}.{uuid.uuid4().hex}.part")
        try:
            self.filesystem.get_file(self._place(sha256), str(part))
            if _sha256(part) != sha256:
                raise MissingArtifact(f"the file {sha256[:12]}… arrived damaged from the artifact store")
            os.replace(part, copy)
        except FileNotFoundError:
            raise MissingArtifact(f"the file {sha256[:12]}… is no longer in the artifact store") from None
        finally:
            part.unlink(missing_ok=True)

    def _place(self, sha256: str) -> str:
        return f"{self.root}/{sha256[:2]}/{sha256}"

    def _write(self, source: Path, sha256: str) -> None:
        place = self._place(sha256)
        if not self.is_local:  # object stores show an object only when it is whole
            self.filesystem.put_file(str(source), place)
            return
        target = Path(place)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
        try:
            with source.open("rb") as read, part.open("wb") as write:
                shutil.copyfileobj(read, write, PIECE)
                write.flush()
                os.fsync(write.fileno())
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
