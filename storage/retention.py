"""Removal of what is no longer needed: found first, reported, and only then removed.

Never what a run needs: files of experiments and the results of runs stay, and cached stages stay while any
step runs, since it may be about to start from one. A run that is still queued makes them again.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, delete, select

from storage.artifacts import Stored
from storage.installation import installation_of
from storage.logs import forget_log, log_file
from storage.store import Store
from storage.tables import FINAL, Experiment, File, Run, Stage, State

DAY_S = 86400.0
YOUNG_S = DAY_S
"""What no table names is left alone for so long: somebody may be about to name it."""

STAGE, UPLOAD, ORPHAN, LOG, PARTIAL, COPY = (
    "cached stage",
    "upload that no experiment uses",
    "file that nothing refers to",
    "log of an ended run",
    "partial file",
    "copy of a remote file",
)


@dataclass(frozen=True)
class Spare:
    """One thing that may go: a file on this host (`path`), or an artifact."""

    kind: str
    name: str
    size_bytes: int
    path: Path | None = None


def find_spare(store: Store, home: Path, *, older_than_days: float) -> list[Spare]:
    """All that may go, for things that are at least so many days old, the oldest of each kind first."""
    before = time.time() - older_than_days * DAY_S
    stored = {file.sha256: file for file in store.artifacts.listed()}
    found: list[Spare] = []
    found += _artifacts(store.database, stored, before)
    found += _logs(store.database, home / "logs", before)
    if not store.artifacts.is_local:
        copies = _old_files((home / "cache").glob("??/*"), before)
        found += [Spare(COPY, p.name, p.stat().st_size, p) for p in copies]
    parts = [*(home / "uploads").glob("*.part"), *(home / "cache").rglob("*.part")]
    if store.artifacts.is_local:
        parts += Path(store.artifacts.root).glob("??/.*.part")
    old = _old_files(parts, time.time() - YOUNG_S)
    return found + [Spare(PARTIAL, p.name, p.stat().st_size, p) for p in old]


def remove_spare(store: Store, spare: Spare) -> None:
    """Removes one thing that `find_spare` found: first what refers to it, then the file."""
    if spare.kind == LOG and spare.path is not None:
        forget_log(store.artifacts, int(spare.name))
    if spare.path is not None:
        spare.path.unlink(missing_ok=True)
        return
    with store.database.begin() as connection:
        if spare.kind == STAGE:
            connection.execute(delete(Stage).where(Stage.sha256 == spare.name))
        elif spare.kind == UPLOAD:
            connection.execute(delete(File).where(File.sha256 == spare.name))
    store.artifacts.remove(spare.name)


def used_bytes(store: Store, home: Path) -> int:
    """What the installation keeps: its home, and its artifacts where they are elsewhere."""
    here = sum(path.stat().st_size for path in home.rglob("*") if path.is_file())
    artifacts = store.artifacts
    is_inside = artifacts.is_local and Path(artifacts.root).is_relative_to(home)
    return here if is_inside else here + sum(file.size_bytes for file in artifacts.listed())


def _artifacts(engine: Engine, stored: dict[str, Stored], before: float) -> Iterator[Spare]:
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
        ):
            needed |= set(connection.execute(select(column).distinct()).scalars())
        for parts in connection.execute(select(Experiment.own_parts)).scalars():
            needed |= {part["sha256"] for part in (parts or {}).values()}
    for file in sorted(stored.values(), key=lambda file: file.written_at):
        if file.sha256 in needed:
            continue
        if file.sha256 in stages:
            # a stage that is also an upload is no use to anybody as such, but somebody sent it
            if not is_busy and stages[file.sha256] < before and file.sha256 not in uploads:
                yield Spare(STAGE, file.sha256, file.size_bytes)
        elif file.sha256 in uploads:
            if uploads[file.sha256] < before:
                yield Spare(UPLOAD, file.sha256, file.size_bytes)
        elif file.written_at < time.time() - YOUNG_S:
            yield Spare(ORPHAN, file.sha256, file.size_bytes)


def _logs(engine: Engine, logs: Path, before: float) -> Iterator[Spare]:
    ended = select(Run.id).where(Run.state.in_(FINAL), Run.finished_at < before).order_by(Run.id)
    with engine.connect() as connection:
        ids = list(connection.execute(ended).scalars())
    for run_id in ids:
        path = log_file(logs, run_id)
        if path.exists():
            yield Spare(LOG, str(run_id), path.stat().st_size, path)


def _old_files(paths: Iterable[Path], before: float) -> list[Path]:
    dated = [(path.stat().st_mtime, path) for path in paths if path.is_file()]
    return [path for written_at, path in sorted(dated) if written_at < before]
