"""Hostile zips: paths, links, bombs, and files that are two things at once."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from forge import dense, forger, h5_file, keras_file, lambda_layer, sequential


@forger("leaves its folder")
def zip_member_that_climbs_out(folder: Path, trace: Path) -> Path:
    return keras_file(folder / "m.keras", sequential(dense()), more={f"assets/../../{trace.name}": b"trace"})


@forger("absolute path")
def zip_member_with_absolute_path(folder: Path, trace: Path) -> Path:
    return keras_file(folder / "m.keras", sequential(dense()), more={str(trace): b"trace"})


@forger("backslash")
def zip_member_with_backslashes(folder: Path, trace: Path) -> Path:
    return keras_file(
        folder / "m.keras", sequential(dense()), more={f"assets\\..\\..\\{trace.name}": b"trace"}
    )


@forger("symbolic link")
def zip_symbolic_link(folder: Path, trace: Path) -> Path:
    path = keras_file(folder / "m.keras", sequential(dense()))
    link = zipfile.ZipInfo("assets/link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, str(trace.parent))
    return path


@forger("zip bomb")
def zip_bomb(folder: Path, trace: Path) -> Path:
    path = keras_file(folder / "m.keras", sequential(dense()))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("assets/zeros", b"\0" * (32 << 20))
    return path


@forger("overlaps")
def zip_with_overlapping_members(folder: Path, trace: Path) -> Path:
    path = keras_file(folder / "m.keras", sequential(dense()), more={"assets/a": b"x" * 400})
    data = bytearray(path.read_bytes())
    first = data.index(b"PK\x01\x02")  # the directory's first entry; give the last one its place in the file
    last = data.rindex(b"PK\x01\x02")
    data[last + 42 : last + 46] = data[first + 42 : first + 46]
    path.write_bytes(data)
    return path


@forger("twice")
def zip_with_two_configs(folder: Path, trace: Path) -> Path:
    path = keras_file(folder / "m.keras", sequential(dense()))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("Config.json", json.dumps(sequential(lambda_layer(trace))))
    return path


@forger("at most 10,000")
def zip_with_too_many_members(folder: Path, trace: Path) -> Path:
    return keras_file(
        folder / "m.keras", sequential(dense()), more={f"assets/{n}": b"" for n in range(10_001)}
    )


@forger("both an HDF5 file and a zip")
def hdf5_and_zip_at_once(folder: Path, trace: Path) -> Path:
    path = h5_file(folder / "m.keras", sequential(dense(), version=2))
    evil = keras_file(folder / "evil.keras", sequential(lambda_layer(trace), dense()))
    path.write_bytes(path.read_bytes() + evil.read_bytes())
    return path
