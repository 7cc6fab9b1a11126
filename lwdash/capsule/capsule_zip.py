"""The zip of a capsule: written completely, and checked when it is read."""

import hashlib
import zipfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import IO

from lwdash.capsule.manifest import CapsuleRefused, Manifest, read_manifest

MANIFEST, TFLITE, BASELINE, ROWS, README = (
    "capsule.json", "model.tflite", "baseline.tflite", "evaluation-rows.npz", "README.md",
)  # fmt: skip
EVALUATE, READ_SAMPLES, REBUILD = "evaluate.py", "read_samples.py", "rebuild.py"
SCRIPTS = (EVALUATE, READ_SAMPLES, REBUILD)
LIBRARIES = {"parquet": "pyarrow", "feather": "pyarrow", "images": "pillow"}
"""Kind of the data file → the library that its reading in evaluate.py needs besides NumPy."""
ORIGINALS = {
    "model": "original-model", "data": "data", "evaluation": "data-evaluation", "calibration": "data-calibration",
    "code": "model-code.py",
}  # fmt: skip
"""Role of an original file → the member's name."""
KNOWN = frozenset({MANIFEST, TFLITE, BASELINE, ROWS, README, *SCRIPTS, *ORIGINALS.values()})
MANIFEST_BYTES = 16 << 20
PIECE = 1 << 20
WRITTEN_AT = (1980, 1, 1, 0, 0, 0)
"""Every member's time stamp, so that the same run gives the same capsule."""


def write_capsule(target: Path, manifest: Manifest, files: Mapping[str, Path]) -> None:
    """Write the zip. files: member name → its content; the scripts, the manifest and the README are added
    automatically.
    """
    scripts = resources.files("lwdash.capsule") / "scripts"
    needed = [EVALUATE]
    if manifest.rows is not None and _kind(manifest) != "csv":
        needed.append(READ_SAMPLES)
    if not manifest.made_elsewhere:
        needed.append(REBUILD)
    texts = {
        MANIFEST: manifest.to_json(),
        README: readme(manifest, files),
        **{name: (scripts / name).read_text(encoding="utf-8") for name in needed},
    }
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, text in texts.items():
            archive.writestr(_member(name), text.encode())
        for name, path in files.items():
            with path.open("rb") as read, archive.open(_member(name), "w", force_zip64=True) as write:
                _copy(read, write, None)


def read_capsule(path: Path, folder: Path, limit_bytes: int) -> tuple[Manifest, dict[str, Path]]:
    """The manifest, and the other members unpacked into `folder`: member name → file. Nothing in it is
    executed.

    limit_bytes: limit on all unpacked members together. The .tflite and the originals are checked against the
    manifest's SHA-256. Raises CapsuleRefused.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = _checked_members(archive, limit_bytes)
            manifest = read_manifest(_read_text(archive, members[MANIFEST]))
            files: dict[str, Path] = {}
            for name, info in members.items():
                if name in (MANIFEST, README, *SCRIPTS):
                    continue
                files[name] = folder / name
                with archive.open(info) as read, files[name].open("wb") as write:
                    _copy(read, write, info.file_size)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, RuntimeError, ValueError) as error:
        if isinstance(error, FileNotFoundError | IsADirectoryError | PermissionError):
            raise CapsuleRefused(f"{path}: {error.strerror}") from None
        raise CapsuleRefused(f"{path.name} is not a readable capsule: {error}") from None
    _check_contents(manifest, files)
    return manifest, files


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checked_members(archive: zipfile.ZipFile, limit_bytes: int) -> dict[str, zipfile.ZipInfo]:
    infos = archive.infolist()
    members = {info.filename: info for info in infos}
    unknown = sorted(set(members) - KNOWN)
    if unknown:
        raise CapsuleRefused(
            f"a capsule has no member {unknown[0][:60]!r}; it has only: {', '.join(sorted(KNOWN))}"
        )
    if len(members) != len(infos):
        raise CapsuleRefused("the zip has two members of the same name")
    for name in (MANIFEST, TFLITE):
        if name not in members:
            raise CapsuleRefused(f"the zip has no {name}. Give a capsule")
    if any(info.flag_bits & 0x1 for info in infos):
        raise CapsuleRefused("the zip is encrypted")
    total = sum(info.file_size for info in infos)
    if total > limit_bytes:
        raise CapsuleRefused(f"its members are {total:,} bytes unpacked; the limit is {limit_bytes:,}")
    if members[MANIFEST].file_size > MANIFEST_BYTES:
        raise CapsuleRefused(
            f"capsule.json is {members[MANIFEST].file_size:,} bytes; the limit is {MANIFEST_BYTES:,}"
        )
    return members


def _read_text(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> str:
    with archive.open(info) as file:
        return file.read(MANIFEST_BYTES + 1)[:MANIFEST_BYTES].decode("utf-8")


def _copy(read: IO[bytes], write: IO[bytes], size: int | None) -> None:
    """Copy all of `read`, but never more than the `size` that a member of a foreign zip declares."""
    copied = 0
    while piece := read.read(PIECE):
        copied += len(piece)
        if size is not None and copied > size:
            raise zipfile.BadZipFile("a member is larger than its declared size")
        write.write(piece)


def _check_contents(manifest: Manifest, files: Mapping[str, Path]) -> None:
    stated = {TFLITE: manifest.tflite, BASELINE: manifest.baseline}
    stated |= {ORIGINALS[role]: origin for role, origin in manifest.originals.items()}
    for name, file in files.items():
        origin = stated.get(name)
        if origin is None and name != ROWS:
            raise CapsuleRefused(f"the zip holds {name}, which capsule.json does not list")
        if origin is not None and (found := sha256_of(file)) != origin.sha256:
            raise CapsuleRefused(
                f"{name} is not the file listed in capsule.json: its SHA-256 is {found[:16]}…, not "
                f"{origin.sha256[:16]}…"
            )


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, WRITTEN_AT)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    return info


def _kind(manifest: Manifest) -> str:
    """The kind of the file with the evaluation rows. Capsules of earlier versions held only CSV files, and no kind."""
    return str((manifest.rows or {}).get("kind", "csv"))


def _libraries(manifest: Manifest) -> list[str]:
    """The packages that evaluate.py needs."""
    inputs = (manifest.rows or {}).get("inputs", ())
    resamples = any((described.get("source") or {}).get("rate") for described in inputs)
    own = LIBRARIES.get(_kind(manifest))
    return ["numpy", "ai-edge-litert", *([own] if own else []), *(["scipy"] if resamples else [])]


def readme(manifest: Manifest, files: Mapping[str, Path]) -> str:
    """Text on the contents of the capsule and their use."""
    has_model = ORIGINALS["model"] in files
    model = ORIGINALS["model"] if has_model else manifest.model.name
    data = ORIGINALS["data"] if ORIGINALS["data"] in files else manifest.data.name
    parts = "".join(
        f" --{part} {ORIGINALS[part] if ORIGINALS[part] in files else origin.name}"
        for part, origin in manifest.parts.items()
    )
    own_code = ""
    if manifest.code is not None:
        own_code = f" --code {ORIGINALS['code'] if ORIGINALS['code'] in files else manifest.code.name}"
    originals = (
        "The original model and the data are inside." if has_model else
        f"The original model ({manifest.model.name}) and the data ({manifest.data.name}) are not inside. "
        "Their SHA-256 is in capsule.json, and every step below checks it."
    )  # fmt: skip
    if not has_model and ORIGINALS["data"] in files:
        originals = (
            f"The original model ({manifest.model.name}) is not inside. Its SHA-256 is in capsule.json, and every step "
            "below checks it."
        )
    evaluation = "evaluation" if "evaluation" in manifest.parts else None
    rows = (
        ORIGINALS[evaluation]
        if evaluation and has_model
        else manifest.parts[evaluation].name
        if evaluation
        else data
    )
    libraries = _libraries(manifest)
    check = (
        f"""    pip install {" ".join(libraries)}
    python evaluate.py {rows}"""
        if manifest.rows is not None
        else "The rows could not be read when this capsule was made, so evaluate.py has no plan for reading them.\n"
        "Use `lwdash verify` (below)."
    )
    consent = (
        "" if manifest.code is None else
        f"\nThe model needs the Python code in {manifest.code.name}, SHA-256 {manifest.code.sha256}. Both commands run it: "
        "read it first.\n"
    )  # fmt: skip
    made_up = (
        f"\n**Generated rows.** There was no data: the rows were generated from the model and are inside "
        f"({manifest.settings['generated']}). No accuracy was measured; agreement on generated rows does not tell it.\n"
        if manifest.settings.get("generated")
        else ""
    )
    versions = "".join(f"- {library}\n" for library in manifest.libraries) or "- not recorded\n"
    is_csv = _kind(manifest) == "csv"
    where = "lines" if is_csv else "numbers"
    labels = "" if is_csv or manifest.settings.get("generated") else ", their labels"
    reader = (
        ""
        if is_csv or manifest.rows is None
        else "\n- `read_samples.py`: reads the data file for evaluate.py"
    )
    rebuild = f"""
## Make the file again

    python rebuild.py {model} {data}{parts}{own_code}
{consent}
## Both, with a report of the differences

    python -m lwdash verify CAPSULE.zip{own_code if has_model else f" --model {model} --data {data}{own_code}"}
"""
    purpose = "with everything needed to make it again and to check its metrics"
    script = "\n- `rebuild.py`: makes the .tflite again; needs lwdash"
    if manifest.made_elsewhere:
        rebuild = "\nThe file was made elsewhere and measured by lwdash, so nothing here makes it again.\n"
        purpose, script = "made elsewhere, with everything needed to check its metrics", ""
    return f"""# Capsule of run {manifest.run}: {manifest.recipe}

One compressed model, {purpose}.

- `model.tflite`: the result, SHA-256 {manifest.tflite.sha256}
- `capsule.json`: recipe, settings of the data, seed, hashes, library versions, host, expected metrics
- `evaluate.py`: reproduces the quality metric from the data file; needs only Python, {", ".join(libraries)}{reader}{script}
- `evaluation-rows.npz`: the {where} of the evaluation rows in the data file{labels}, and statistics of the train rows
{made_up}
{originals}

## Check the quality metric

{check}
{rebuild}
The run was made with:

{versions}"""
