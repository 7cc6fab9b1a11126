"""Logs of runs on other hosts: each step stores its piece in the artifact store."""

from pathlib import Path

from storage.artifacts import Artifacts

FOLDER = "logs"


def log_file(logs: Path, run_id: int) -> Path:
    """The file to which a host writes the output of a run."""
    return logs / f"run-{run_id}.log"


def keep_log(artifacts: Artifacts, run_id: int, attempt: int, step: str, text: Path, start: int) -> None:
    """Store the part that a step has added to the log file since byte `start`."""
    with text.open("rb") as file:
        file.seek(start)
        piece = file.read()
    if piece:
        if artifacts.is_local:
            Path(_folder(artifacts, run_id)).mkdir(parents=True, exist_ok=True)
        artifacts.filesystem.pipe_file(f"{_folder(artifacts, run_id)}/{attempt:04d}-{step}.log", piece)


def read_log(artifacts: Artifacts, run_id: int) -> bytes:
    """All pieces of a run's log, in the order of its attempts and steps; empty where there are none."""
    artifacts.filesystem.invalidate_cache()
    try:
        pieces = sorted(artifacts.filesystem.find(_folder(artifacts, run_id)))
    except FileNotFoundError:
        return b""
    return b"".join(artifacts.filesystem.cat_file(piece) for piece in pieces)


def find_log(artifacts: Artifacts, logs: Path, run_id: int) -> Path:
    """A local file with the run's log: this host's own, otherwise one assembled from the artifact store.

    It does not exist where nothing was logged.
    """
    own = log_file(logs, run_id)
    if not own.exists() and (text := read_log(artifacts, run_id)):
        gathered = logs / "gathered" / own.name
        gathered.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        gathered.touch(mode=0o600)
        gathered.write_bytes(text)
        return gathered
    return own


def forget_log(artifacts: Artifacts, run_id: int) -> None:
    """Removes a run's pieces."""
    folder = _folder(artifacts, run_id)
    if artifacts.filesystem.exists(folder):
        artifacts.filesystem.rm(folder, recursive=True)


def _folder(artifacts: Artifacts, run_id: int) -> str:
    return f"{artifacts.root}/{FOLDER}/run-{run_id}"
