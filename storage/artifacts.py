"""Files by content hash: written under a temporary name, flushed, renamed; equal content is stored once."""

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem

from storage.errors import DamagedArtifact, MissingArtifact, StorageError

PIECE = 1 << 20
HASHED_EACH_TIME_BYTES = 8 << 20
"""Files up to this size are hashed at each use (some milliseconds). A larger one is hashed only if the file
system reports a change since this process last hashed it.
"""
GROUP_AND_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True)
class StoredArtifact:
    """A file of the store: written at `written_at`, in seconds since 1970."""

    sha256: str
    size_bytes: int
    written_at: float


class Artifacts:
    """A folder or bucket of immutable files; `url` is a path or any fsspec URL.

    Thread-safe; several processes may write the same content at once.
    `cache` is a local folder for copies of remote files.
    Access to the folder gives access to its files: a folder that this class creates is accessible to its
    owner only.
    Raises StorageError for a URL whose library is not installed, naming it.
    """

    def __init__(self, url: str, cache: Path):
        try:
            self.filesystem, self.root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise StorageError(f"the artifact store {url} cannot be opened: {error}") from error
        self.is_local = isinstance(self.filesystem, LocalFileSystem)
        self.cache = cache
        self.fetching = threading.Lock()
        self._known: dict[str, tuple[int, ...]] = {}
        """Path of a large file → its file system facts when its content was last hashed."""
        self._damaged: set[str] = set()
        """Hashes of remote files that arrived with another content."""

    def put(self, source: Path) -> str:
        """Store a copy of `source`, replacing a damaged one; return its SHA-256 in hex."""
        sha256 = _sha256(source)
        if not self.is_whole(sha256):
            self._write(source, sha256)
        return sha256

    def put_bytes(self, data: bytes) -> str:
        """Store `data`; return its SHA-256 in hex."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            return self.put(Path(file.name))

    def adopt(self, source: Path, sha256: str) -> None:
        """Move a local file with a known hash into the store; `source` is gone afterwards."""
        if self.is_whole(sha256):
            source.unlink()
        elif self.is_local:
            target = Path(self._place(sha256))
            self._make_folders(target.parent)
            source.chmod(0o600 | self._for_others() & 0o666)
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
        """A local file with this content, which must not be changed.

        Raises MissingArtifact, or its subclass DamagedArtifact if the content has another hash than its name.
        """
        place = self._place(sha256)
        if self.is_local:
            if not Path(place).is_file():
                raise MissingArtifact(f"the file {sha256[:12]}… is no longer in the artifact store")
            if not self._has_its_hash(Path(place), sha256):
                raise DamagedArtifact(
                    f"the file {sha256[:12]}… is damaged: its content in the artifact store has "
                    "another SHA-256"
                )
            return Path(place)
        copy = self.cache / sha256[:2] / sha256
        with self.fetching:
            if not copy.is_file() or not self._has_its_hash(copy, sha256):
                self._fetch(sha256, copy)
        return copy

    def is_whole(self, sha256: str) -> bool:
        """True if the store has the file undamaged. For a remote file this is known only for content fetched so far."""
        if not self.has(sha256):
            return False
        if self.is_local:
            return self._has_its_hash(Path(self._place(sha256)), sha256)
        return sha256 not in self._damaged

    def _has_its_hash(self, path: Path, sha256: str) -> bool:
        facts = path.stat()
        # A program cannot set back the time of change, unlike the time of modification.
        seen = (facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
        if facts.st_size > HASHED_EACH_TIME_BYTES and self._known.get(str(path)) == seen:
            return True
        is_whole = _sha256(path) == sha256
        if is_whole and facts.st_size > HASHED_EACH_TIME_BYTES:
            self._known[str(path)] = seen
        return is_whole

    def listed(self) -> Iterator[StoredArtifact]:
        """Every file of the store by its hash; files not named by a hash are left out."""
        self.filesystem.invalidate_cache()
        if not self.filesystem.exists(self.root):
            return
        for place, info in self.filesystem.find(self.root, detail=True).items():
            folder, name = place.split("/")[-2:]
            if len(name) == 64 and folder == name[:2]:
                yield StoredArtifact(name, info["size"], self.filesystem.modified(place).timestamp())

    def remove(self, sha256: str) -> None:
        """Remove a file, and this host's copy of it; no effect if there is none."""
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
                self._damaged.add(sha256)
                raise DamagedArtifact(
                    f"the file {sha256[:12]}… is damaged: the content from the artifact store has "
                    "another SHA-256"
                )
            os.replace(part, copy)
        except FileNotFoundError:
            raise MissingArtifact(f"the file {sha256[:12]}… is no longer in the artifact store") from None
        finally:
            part.unlink(missing_ok=True)

    def _place(self, sha256: str) -> str:
        return f"{self.root}/{sha256[:2]}/{sha256}"

    def _write(self, source: Path, sha256: str) -> None:
        place = self._place(sha256)
        if not self.is_local:  # object stores show an object only when it is complete
            self.filesystem.put_file(str(source), place)
            self._damaged.discard(sha256)
            return
        target = Path(place)
        self._make_folders(target.parent)
        part = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
        try:
            with source.open("rb") as read, part.open("wb") as write:
                os.fchmod(write.fileno(), 0o600 | self._for_others() & 0o666)
                shutil.copyfileobj(read, write, PIECE)
                write.flush()
                os.fsync(write.fileno())
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)

    def _make_folders(self, folder: Path) -> None:
        root = Path(self.root)
        if not root.is_dir():
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not folder.is_dir():
            folder.mkdir(exist_ok=True)
            folder.chmod(0o700 | self._for_others())

    def _for_others(self) -> int:
        """Permissions of the store's folder for its group and others: its files get the same."""
        return Path(self.root).stat().st_mode & GROUP_AND_OTHERS


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
