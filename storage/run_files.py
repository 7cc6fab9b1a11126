"""The files of a run in the artifact store, checked against their hashes, and what to do where one is gone or damaged."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from storage.errors import DamagedArtifact, MissingArtifact
from storage.store import Store

REMEDY = "start its recipe again: that makes the same file anew, for this run too"


def tflite_path(store: Store, run: Mapping[str, Any]) -> Path:
    """A local copy of a succeeded run's .tflite.

    run: a row with `id` and `tflite_sha256`. Raises MissingArtifact or DamagedArtifact, which name the run and say what
    to do.
    """
    try:
        return store.artifacts.local_path(run["tflite_sha256"])
    except MissingArtifact as error:
        raise type(error)(f"{_problem(run, error)}; {REMEDY}") from error


def file_problem(store: Store, run: Mapping[str, Any]) -> str | None:
    """Why a succeeded run's .tflite cannot be used, in words, or None."""
    sha256 = run["tflite_sha256"]
    if sha256 is None or store.artifacts.is_whole(sha256):
        return None
    error = DamagedArtifact() if store.artifacts.has(sha256) else MissingArtifact()
    return _problem(run, error)


def _problem(run: Mapping[str, Any], error: MissingArtifact) -> str:
    if isinstance(error, DamagedArtifact):
        return (
            f"the file of run {run['id']} is damaged: its content in the artifact store is not the one that was measured "
            f"(SHA-256 {run['tflite_sha256'][:12]}…)"
        )
    return f"the file of run {run['id']} is no longer in the artifact store"
