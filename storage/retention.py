"""Removal of files that are no longer needed: first found, reported, and only then removed.

Files of experiments and results of runs always stay. Cached stages stay while any step runs, since it may
need one. A queued run computes them again.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, delete, select

from storage.artifacts import StoredArtifact
from storage.installation import installation_of
from storage.logs import forget_log, log_file
from storage.store import Store
from storage.tables import FINAL, Experiment, File, Run, Stage, State

DAY_S = 86400.0
YOUNG_S = DAY_S
"""Files that no table names stay for this long: a process may be about to name them."""

STAGE, UPLOAD, ORPHAN, LOG, PARTIAL, COPY = (
    "cached stage",
    "upload that no experiment uses",
    "file that nothing refers to",
    "log of an ended run",
    "partial file",
    "copy of a remote file",
)


@dataclass(frozen=True)
class Removable:
    """One removable thing: a file on this host (`path`), or an artifact."""

    kind: str
    name: str
    size_bytes: int
    path: Path | None = None


def find_removable(store: Store, home: Path, *, older_than_days: float) -> list[Removable]:
    """Everything removable that is at least so many days old, the oldest of each kind first."""
    before = time.time() - older_than_days * DAY_S
    stored = {file.sha256: file for file in store.artifacts.listed()}
    found: list[Removable] = []
    found += _artifacts(store.database, stored, before)
    found += _logs(store.database, home / "logs", before)
    if not store.artifacts.is_local:
        copies = _old_files((home / "cache").glob("??/*"), before)
        found += [Removable(COPY, p.name, p.stat().st_size, p) for p in copies]
    parts = [*(home / "uploads").glob("*.part"), *(home / "cache").rglob("*.part")]
    if store.artifacts.is_local:
        parts += Path(store.artifacts.root).glob("??/.*.part")
    old = _old_files(parts, time.time() - YOUNG_S)
    return found + [Removable(PARTIAL, p.name, p.stat().st_size, p) for p in old]


def remove(store: Store, removable: Removable) -> None:
    """Remove one result of `find_removable`: first the rows that refer to it, then the file."""
    if removable.kind == LOG and removable.path is not None:
        forget_log(store.artifacts, int(removable.name))
    if removable.path is not None:
        removable.path.unlink(missing_ok=True)
        return
    with store.database.begin() as connection:
        if removable.kind == STAGE:
            connection.execute(delete(Stage).where(Stage.sha256 == removable.name))
        elif removable.kind == UPLOAD:
            connection.execute(delete(File).where(File.sha256 == removable.name))
    store.artifacts.remove(removable.name)


def used_bytes(store: Store, home: Path) -> int:
    """Size of the installation: its home, and its artifacts if they are elsewhere."""
    here = sum(path.stat().st_size for path in home.rglob("*") if path.is_file())
    artifacts = store.artifacts
    is_inside = artifacts.is_local and Path(artifacts.root).is_relative_to(home)
    return here if is_inside else here + sum(file.size_bytes for file in artifacts.listed())


def _artifacts(engine: Engine, stored: dict[str, StoredArtifact], before: float) -> Iterator[Removable]:
    with engine.connect() as connection:
        is_busy = connection.execute(select(Run.id).where(Run.state == State.RUNNING).limit(1)).scalar()
        stages = dict(connection.execute(select(Stage.sha256, Stage.created_at)).tuples().all())
        uploads = dict(connection.execute(select(File.sha256, File.created_at)).tuples().all())
        needed = {installation_of(engine)}
        for column in (
            Experiment.model_sha256,
            Experiment.data_sha256,
            Run.tflite_sha256,
            Run.baseline_sha256,
            Run.stored_sha256,
        ):
            needed |= set(connection.execute(select(column).distinct()).scalars())
        for parts in connection.execute(select(Experiment.own_parts)).scalars():
            needed |= {part["sha256"] for part in (parts or {}).values()}
    for file in sorted(stored.values(), key=lambda file: file.written_at):
        if file.sha256 in needed:
            continue
        if file.sha256 in stages:
            # a stage that is also an upload is useless as a stage, but a user uploaded it
            if not is_busy and stages[file.sha256] < before and file.sha256 not in uploads:
                yield Removable(STAGE, file.sha256, file.size_bytes)
        elif file.sha256 in uploads:
            if uploads[file.sha256] < before:
                yield Removable(UPLOAD, file.sha256, file.size_bytes)
        elif file.written_at < time.time() - YOUNG_S:
            yield Removable(ORPHAN, file.sha256, file.size_bytes)


def _logs(engine: Engine, logs: Path, before: float) -> Iterator[Removable]:
    ended = select(Run.id).where(Run.state.in_(FINAL), Run.finished_at < before).order_by(Run.id)
    with engine.connect() as connection:
        ids = list(connection.execute(ended).scalars())
    for run_id in ids:
        path = log_file(logs, run_id)
        if path.exists():
            yield Removable(LOG, str(run_id), path.stat().st_size, path)


def _old_files(paths: Iterable[Path], before: float) -> list[Path]:
    dated = [(path.stat().st_mtime, path) for path in paths if path.is_file()]
    return [path for written_at, path in sorted(dated) if written_at < before]
