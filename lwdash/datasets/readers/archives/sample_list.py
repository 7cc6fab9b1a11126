"""The CSV inside of an archive that names each sample's file, its label and perhaps its part."""

import csv
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lwdash.datasets.readers.arrays.array_roles import PART_WORDS
from lwdash.datasets.readers.csv_text.csv_dialect import sniff
from lwdash.errors import DataRefused

LIST_SUFFIXES = (".csv", ".tsv")
MAX_LIST_BYTES = 256 << 20


@dataclass(frozen=True)
class SampleList:
    """The CSV in an archive that lists its samples.

    name: of the CSV in the archive. members: file of each row; cells: the label columns of each row; columns: their
    names; parts: word for the part of each row, () where no column states it.
    """

    name: str
    members: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    columns: tuple[str, ...]
    parts: tuple[str, ...]


def read_sample_list(
    archive: zipfile.ZipFile, lists: Sequence[zipfile.ZipInfo], names: Sequence[str], file: str
) -> SampleList | None:
    """The list in the archive, None without one. names: the samples' members; file: the archive's name.

    Raises DataRefused if several CSVs name the samples, and for rows whose file is missing or listed before.
    """
    found = [listed for info in lists if (listed := _read(archive, info, names, file)) is not None]
    if len(found) > 1:
        raise DataRefused(
            f"{file} has several CSVs that name its files: {', '.join(f.name for f in found)}. Put all labels into one; a "
            "column of train, val and test states the parts."
        )
    return found[0] if found else None


def _read(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, names: Sequence[str], file: str
) -> SampleList | None:
    if info.file_size > MAX_LIST_BYTES:
        raise DataRefused(
            f"{file}: '{info.filename}' unpacks to {info.file_size >> 20:,} MB; at most 256 MB are read."
        )
    with tempfile.TemporaryDirectory(prefix="lwdash-list-") as folder:
        path = Path(folder) / (PurePosixPath(info.filename).name or "list.csv")
        path.write_bytes(archive.read(info))
        dialect = sniff(path)
        text = path.read_bytes().removeprefix(b"\xef\xbb\xbf").decode(dialect.encoding, "replace")
    rows = list(csv.reader(text.splitlines()[dialect.skip_lines :], delimiter=dialect.delimiter))
    rows = [[cell.strip() for cell in row] for row in rows]
    first_line = dialect.skip_lines + 1
    width = len(dialect.names)
    numbered = [(first_line + k, row) for k, row in enumerate(rows) if any(row)]
    short = next((line for line, row in numbered if len(row) != width), None)
    if short is not None:
        raise DataRefused(
            f"{file}, {info.filename}, row {short}: {width} columns were expected. Correct the row."
        )
    known = _lookup(names)
    place = _file_column(numbered, known, width)
    if place is None:
        return None
    members: list[str] = []
    seen: dict[str, int] = {}
    for line, row in numbered:
        member = known.get(row[place].replace("\\", "/").removeprefix("./"))
        if member is None:
            raise DataRefused(
                f"{file}, {info.filename}, row {line}: '{row[place][:100]}' is not in the archive, or several files have "
                "this name. Write the path of the file within the archive."
            )
        if member in seen:
            raise DataRefused(
                f"{file}, {info.filename}, row {line}: '{row[place][:100]}' is also in row {seen[member]}. Keep one row."
            )
        seen[member] = line
        members.append(member)
    others = [i for i in range(width) if i != place]
    stating = [i for i in others if all(row[i].lower() in PART_WORDS for _, row in numbered)]
    part = stating[0] if stating else None
    kept = [i for i in others if i != part]
    return SampleList(
        info.filename,
        tuple(members),
        tuple(tuple(row[i] for i in kept) for _, row in numbered),
        tuple(dialect.names[i] for i in kept),
        tuple(row[part] for _, row in numbered) if part is not None else (),
    )


def _lookup(names: Sequence[str]) -> dict[str, str]:
    """Every unambiguous way to write a member: the end of its path, with and without the suffix."""
    known: dict[str, str | None] = {}
    for name in names:
        parts = PurePosixPath(name).parts
        for k in range(len(parts)):
            whole = "/".join(parts[k:])
            for written in {whole, whole.rsplit(".", 1)[0]}:
                known[written] = name if known.get(written, name) == name else None
    for name in names:
        known[name] = name
    return {written: name for written, name in known.items() if name is not None}


def _file_column(rows: Sequence[tuple[int, Sequence[str]]], known: dict[str, str], width: int) -> int | None:
    """The column that names files in more than half of its rows; the first of several."""
    for i in range(width):
        hits = sum(row[i].replace("\\", "/").removeprefix("./") in known for _, row in rows)
        if 2 * hits > len(rows):
            return i
    return None
