"""Files of a run for use elsewhere: the commands `export` and `capsule`."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lwdash.engine import capsules
from lwdash.errors import NotFound, UserMistake
from lwdash.settings import Settings
from storage import run_rows
from storage.run_files import tflite_path
from storage.store import Store

FORMS = ("c_array", "project", "stored")
"""Forms of a run's file besides the .tflite, as the options are called."""


def write_capsule(
    settings: Settings, store: Store, run_id: int, out: Path, *, with_originals: bool
) -> dict[str, Any]:
    """Write the zip; return the command's record. Raises NotFound, UserMistake, MissingArtifact."""
    _check_folder(out)
    capsules.make_capsule(settings, store, run_id, out, with_originals=with_originals)
    return {
        "run": run_id,
        "file": str(out),
        "size_bytes": out.stat().st_size,
        "with_originals": with_originals,
    }


def write_export(
    settings: Settings, store: Store, run_id: int, out: Path, form: str | None
) -> dict[str, Any]:
    """Write a run's .tflite, or another of FORMS; return the command's record.

    Raises NotFound, UserMistake, MissingArtifact.
    """
    row = run_rows.get_run(store.database, run_id)
    if row is None or row.tflite_sha256 is None or not row.has_succeeded:
        raise NotFound(f"run {run_id} has no file to export" if row else f"there is no run {run_id}")
    _check_folder(out)
    if form == "c_array":
        return write_c_array(store, run_id, out)
    if form == "project":
        return write_project(settings, store, run_id, out)
    if form == "stored":
        return write_stored(store, run_id, out)
    shutil.copyfile(tflite_path(store, row), out)
    return {"run": run_id, "file": str(out), "size_bytes": out.stat().st_size}


def lines(record: Mapping[str, Any]) -> list[str]:
    """A command's record for a terminal."""
    if "header" in record:
        return [f"{record['file']} and {record['header']}"]
    return [f"{record['file']}: {record['size_bytes']:,} bytes"]


def write_c_array(store: Store, run_id: int, out: Path) -> dict[str, Any]:
    """Write `out` and the header of the same name beside it; return the command's record."""
    _check_folder(out)
    if out.suffix.lower() in (".h", ".hpp"):
        raise UserMistake(
            f"{out} would be the header. Name the source file, such as {out.with_suffix('.cc').name}"
        )
    header = out.with_suffix(".h")
    pieces = capsules.c_source(store, run_id, header.name)
    header.write_text(capsules.c_header(store, run_id), encoding="utf-8")
    with out.open("w", encoding="utf-8") as file:
        file.writelines(pieces)
    return {"run": run_id, "file": str(out), "header": str(header), "size_bytes": out.stat().st_size}


def write_project(settings: Settings, store: Store, run_id: int, out: Path) -> dict[str, Any]:
    """Write the zip of the project to flash; return the command's record."""
    _check_folder(out)
    capsules.make_project(settings, store, run_id, out)
    return {"run": run_id, "file": str(out), "size_bytes": out.stat().st_size}


def write_stored(store: Store, run_id: int, out: Path) -> dict[str, Any]:
    """Write the run's file in its storage form, look-up tables or coded; return the command's record."""
    _check_folder(out)
    out.write_bytes(capsules.stored_file(store, run_id, out.stem))
    return {"run": run_id, "file": str(out), "size_bytes": out.stat().st_size}


def _check_folder(out: Path) -> None:
    if not out.parent.is_dir():
        raise UserMistake(f"there is no folder {out.parent}")
