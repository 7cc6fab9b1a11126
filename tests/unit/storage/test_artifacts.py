"""The artifact store: by content, whole or not at all, in a folder or any fsspec file system."""

import hashlib
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.s3 import S3

from storage.artifacts import HASHED_EACH_TIME_BYTES, Artifacts
from storage.errors import DamagedArtifact, MissingArtifact, StorageError

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def remote(s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Artifacts:
    """In a new bucket, found by what the environment says, as in an installation."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    return Artifacts(s3.bucket(), tmp_path / "cache")


@pytest.fixture(params=["folder", "S3"])
def artifacts(request: pytest.FixtureRequest, tmp_path: Path) -> Artifacts:
    if request.param == "folder":
        return Artifacts(str(tmp_path / "artifacts"), tmp_path / "cache")
    return request.getfixturevalue("remote")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "model.tflite"
    path.write_bytes(CONTENT)
    return path


def stored_names(artifacts: Artifacts) -> list[str]:
    return [name.rpartition("/")[2] for name in artifacts.filesystem.find(artifacts.root)]


def test_a_file_is_found_by_its_content(artifacts: Artifacts, source: Path) -> None:
    assert artifacts.put(source) == SHA256
    assert artifacts.has(SHA256)
    assert artifacts.read(SHA256) == CONTENT
    assert artifacts.local_path(SHA256).read_bytes() == CONTENT
    assert source.exists()


def test_equal_content_is_stored_once(artifacts: Artifacts, source: Path) -> None:
    assert artifacts.put(source) == artifacts.put_bytes(CONTENT) == SHA256
    assert stored_names(artifacts) == [SHA256]


def test_an_adopted_file_moves_in(artifacts: Artifacts, source: Path) -> None:
    artifacts.adopt(source, SHA256)
    assert not source.exists()
    assert artifacts.read(SHA256) == CONTENT
    source.write_bytes(CONTENT)
    artifacts.adopt(source, SHA256)
    assert not source.exists()
    assert stored_names(artifacts) == [SHA256]


def test_an_upload_on_another_disk_is_copied(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifacts = Artifacts(str(tmp_path / "artifacts"), tmp_path / "cache")
    rename = os.replace

    def other_disk(old: str | Path, new: str | Path) -> None:
        if Path(old) == source:
            raise OSError(18, "Invalid cross-device link")
        rename(old, new)

    monkeypatch.setattr(os, "replace", other_disk)
    artifacts.adopt(source, SHA256)
    assert not source.exists()
    assert artifacts.read(SHA256) == CONTENT


def test_what_is_missing_is_said(artifacts: Artifacts, source: Path) -> None:
    with pytest.raises(MissingArtifact, match=SHA256[:12]):
        artifacts.local_path(SHA256)
    artifacts.put(source)
    artifacts.filesystem.rm(artifacts.root, recursive=True)
    assert not artifacts.has(SHA256)


def test_a_write_that_fails_leaves_nothing(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk: no half file may pass for the whole one."""
    artifacts = Artifacts(str(tmp_path / "artifacts"), tmp_path / "cache")

    def full(read: object, write: object, size: int) -> None:
        write.write(CONTENT[:100])  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfileobj", full)
        with pytest.raises(OSError, match="No space left"):
            artifacts.put(source)
    assert not artifacts.has(SHA256)
    assert [p for p in (tmp_path / "artifacts").rglob("*") if p.is_file()] == []
    assert artifacts.put(source) == SHA256


def test_many_writers_of_one_content(artifacts: Artifacts, source: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: artifacts.put(source), range(16))) == {SHA256}
        assert set(pool.map(lambda _: artifacts.read(SHA256), range(16))) == {CONTENT}
    assert stored_names(artifacts) == [SHA256]


def test_a_remote_file_is_fetched_once(remote: Artifacts, tmp_path: Path, source: Path) -> None:
    artifacts = remote
    artifacts.put(source)
    first = artifacts.local_path(SHA256)
    artifacts.filesystem.rm(artifacts.root, recursive=True)
    assert artifacts.local_path(SHA256) == first
    assert [p.name for p in (tmp_path / "cache").rglob("*") if p.is_file()] == [SHA256]


def test_a_copy_damaged_on_the_way_is_not_kept(remote: Artifacts, tmp_path: Path, source: Path) -> None:
    artifacts = remote
    artifacts.put(source)
    artifacts.filesystem.pipe_file(artifacts.filesystem.find(artifacts.root)[0], b"other bytes")
    with pytest.raises(MissingArtifact, match="damaged"):
        artifacts.read(SHA256)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_store_whose_library_is_missing_names_it(tmp_path: Path) -> None:
    """Each kind of bucket has its library, and none of them is a requirement."""
    with pytest.raises(StorageError, match=r"gs://bucket/lwdash cannot be opened: .*gcsfs"):
        Artifacts("gs://bucket/lwdash", tmp_path / "cache")
    with pytest.raises(StorageError, match="nonsense://here cannot be opened"):
        Artifacts("nonsense://here", tmp_path / "cache")


def overwrite(artifacts: Artifacts, content: bytes) -> None:
    """Changes the stored file behind the store's back, this host's copy of it included."""
    place = f"{artifacts.root}/{SHA256[:2]}/{SHA256}"
    artifacts.filesystem.pipe_file(place, content)
    (artifacts.cache / SHA256[:2] / SHA256).unlink(missing_ok=True)


@pytest.mark.parametrize("change", [b"other bytes", CONTENT[:-1], CONTENT[:-1] + b"S", b""])
def test_a_file_that_was_changed_is_not_given_out_and_is_repaired_by_the_next_put(
    artifacts: Artifacts, source: Path, change: bytes
) -> None:
    artifacts.put(source)
    overwrite(artifacts, change)
    with pytest.raises(DamagedArtifact, match=rf"{SHA256[:12]}.*damaged"):
        artifacts.local_path(SHA256)
    assert not artifacts.is_whole(SHA256)
    artifacts.put(source)
    assert artifacts.read(SHA256) == CONTENT
    overwrite(artifacts, change)
    with pytest.raises(DamagedArtifact):
        artifacts.read(SHA256)
    artifacts.adopt(source, SHA256)
    assert artifacts.read(SHA256) == CONTENT


def test_a_local_copy_of_a_remote_file_that_was_changed_is_fetched_again(
    remote: Artifacts, source: Path
) -> None:
    remote.put(source)
    remote.local_path(SHA256).write_bytes(b"changed")
    assert remote.read(SHA256) == CONTENT


def test_a_large_file_that_is_changed_with_its_times_put_back_is_noticed(tmp_path: Path) -> None:
    artifacts, source = Artifacts(str(tmp_path / "artifacts"), tmp_path / "cache"), tmp_path / "large"
    source.write_bytes(bytes(HASHED_EACH_TIME_BYTES + 1))
    sha256 = artifacts.put(source)
    stored = artifacts.local_path(sha256)
    times = stored.stat()
    with stored.open("r+b") as file:
        file.write(b"x")
    os.utime(stored, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(DamagedArtifact):
        artifacts.local_path(sha256)


@pytest.mark.parametrize(("folder_mode", "file_mode"), [(0o700, 0o600), (0o750, 0o640), (0o755, 0o644)])
def test_who_may_enter_the_folder_may_read_its_files(
    tmp_path: Path, source: Path, folder_mode: int, file_mode: int
) -> None:
    root = tmp_path / "artifacts"
    root.mkdir()
    root.chmod(folder_mode)
    artifacts = Artifacts(str(root), tmp_path / "cache")
    artifacts.put_bytes(b"another")
    artifacts.put(source)
    modes = {path.stat().st_mode & 0o777 for path in root.rglob("*") if path.is_file()}
    assert modes == {file_mode}
    assert {path.stat().st_mode & 0o777 for path in root.iterdir()} == {folder_mode}


def test_a_store_that_is_made_is_its_owners_alone(tmp_path: Path, source: Path) -> None:
    artifacts = Artifacts(str(tmp_path / "made"), tmp_path / "cache")
    artifacts.put(source)
    assert Path(artifacts.root).stat().st_mode & 0o777 == 0o700
    assert artifacts.local_path(SHA256).stat().st_mode & 0o777 == 0o600
