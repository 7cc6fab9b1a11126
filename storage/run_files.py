"""The files of a run in the artifact store, checked against their hashes, with advice on missing or damaged ones."""

from pathlib import Path

from storage.errors import DamagedArtifact, MissingArtifact
from storage.records import StoredRun
from storage.store import Store

REMEDY = "start its recipe again: that makes the same file again, for this run too"


def tflite_path(store: Store, run: StoredRun) -> Path:
    """A local copy of a succeeded run's .tflite.

    Raises MissingArtifact or DamagedArtifact, which name the run and give advice.
    """
    sha256 = run.files().tflite
    try:
        return store.artifacts.local_path(sha256)
    except MissingArtifact as error:
        raise type(error)(f"{_problem(run.id, sha256, error)}; {REMEDY}") from error


def file_problem(store: Store, run: StoredRun) -> str | None:
    """Message on why a succeeded run's .tflite cannot be used, or None."""
    sha256 = run.tflite_sha256
    if sha256 is None or store.artifacts.is_whole(sha256):
        return None
    error = DamagedArtifact() if store.artifacts.has(sha256) else MissingArtifact()
    return _problem(run.id, sha256, error)


def _problem(run_id: int, sha256: str, error: MissingArtifact) -> str:
    if isinstance(error, DamagedArtifact):
        return (
            f"the file of run {run_id} is damaged: its content in the artifact store is not the measured "
            f"one (SHA-256 {sha256[:12]}…)"
        )
    return f"the file of run {run_id} is no longer in the artifact store"
