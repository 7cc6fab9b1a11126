"""A zip with one file per sample: its members, and the part and the labels that folders or a CSV state for each."""

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lwdash.datasets.readers.archives.sample_list import LIST_SUFFIXES, SampleList, read_sample_list
from lwdash.datasets.readers.archives.unread_formats import UNREAD
from lwdash.datasets.readers.arrays.array_roles import PART_WORDS, stated_parts
from lwdash.datasets.split import PARTS
from lwdash.errors import DataRefused

ZIP_MAGIC = b"PK\x03\x04"
MAX_SAMPLES = 500_000
MAX_UNPACKED_BYTES = 32 << 30
MAX_MEMBER_BYTES = 256 << 20
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)
"""Exceptions of zipfile for damaged, encrypted and unknown members."""
_SIDE_FILES = ("thumbs.db", "desktop.ini")
_MARKS_OF_DOCUMENTS = ("[Content_Types].xml", "content.xml", "metadata.json", "saved_model.pb")


@dataclass(frozen=True)
class Sample:
    """One file of the archive. label: the cells of the list's other columns, or the class folder; part: −1 for rows to
    be divided, otherwise an index in `split.PARTS`.
    """

    member: str
    label: tuple[str, ...]
    part: int = -1


@dataclass(frozen=True)
class Contents:
    """The samples of an archive.

    samples: in archive order, or in the order of the list. columns: the names of the label cells. has_parts: some
    folders or a column of the list state parts.
    """

    samples: tuple[Sample, ...]
    columns: tuple[str, ...]
    has_parts: bool
    notes: tuple[str, ...]


def visible_members(path: Path) -> list[zipfile.ZipInfo]:
    """The files of an archive without those that systems add. Raises one of DAMAGE."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if not all(info.filename for info in members):
            raise zipfile.BadZipFile("a member without a name")
        return [info for info in members if not info.is_dir() and not _is_side_file(info.filename)]


def is_archive_of(suffixes: Sequence[str], head: bytes, path: Path) -> bool:
    """True for a zip most of whose files have one of the suffixes."""
    if not head.startswith(ZIP_MAGIC):
        return False
    try:
        names = [info.filename for info in visible_members(path)]
    except DAMAGE:
        return False
    found = sum(name.lower().endswith(tuple(suffixes)) for name in names)
    return 2 * found >= len(names) > 0 and not any(
        PurePosixPath(name).name in _MARKS_OF_DOCUMENTS for name in names
    )


def read_contents(path: Path, suffixes: Sequence[str], what: str) -> Contents:
    """The samples of an archive. what: the word for one sample, for messages.

    A CSV in the archive lists the samples: one column names the file, the others are labels. Otherwise the folders
    named train, val and test are the parts, and the folders in (or around) them are the classes. Raises DataRefused
    for contradicting folders, and for archives that unpack to more than 32 GB.
    """
    try:
        members = visible_members(path)
        lists = [m for m in members if m.filename.lower().endswith(LIST_SUFFIXES)]
        found = [m for m in members if m.filename.lower().endswith(tuple(suffixes))]
        _refuse_bombs(path, members, what)
        with zipfile.ZipFile(path) as archive:
            listed = read_sample_list(archive, lists, [m.filename for m in found], path.name)
    except DAMAGE as error:
        raise damaged(path, error) from None
    _refuse_unread_samples(path, members, found, suffixes, what)
    others = [m.filename for m in members if m not in found and (listed is None or m.filename != listed.name)]
    notes = [
        f"other files in the archive are left aside: {', '.join(others[:4])}{' …' if len(others) > 4 else ''}"
    ]
    notes = notes if others else []
    if listed is not None:
        return _by_list(path, listed, [m.filename for m in found], what, notes)
    return _by_folders(path, [m.filename for m in found], what, notes)


def _refuse_unread_samples(
    path: Path,
    members: Sequence[zipfile.ZipInfo],
    found: Sequence[zipfile.ZipInfo],
    suffixes: Sequence[str],
    what: str,
) -> None:
    """Raise DataRefused for samples in formats that are not read: leaving them aside could drop a whole class."""
    unread = [m.filename for m in members if m.filename.lower().endswith(UNREAD[what])]
    if unread:
        kinds = ", ".join(sorted({PurePosixPath(name).suffix.lower() for name in unread}))
        raise DataRefused(
            f"{path.name}: {len(unread):,} of {len(unread) + len(found):,} {what}s are {kinds} ('{unread[0][-100:]}'), "
            f"which is not read. Convert them to {suffixes[0]}, or leave them out of the zip."
        )


def damaged(path: Path, error: Exception) -> DataRefused:
    return DataRefused(
        f"{path.name} is a damaged, incomplete or encrypted zip ({str(error)[:200]}). Pack or upload it again."
    )


def _is_side_file(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return any(p.startswith((".", "__MACOSX")) for p in parts) or name.lower().endswith(_SIDE_FILES)


def _refuse_bombs(path: Path, members: Sequence[zipfile.ZipInfo], what: str) -> None:
    if len(members) > MAX_SAMPLES:
        raise DataRefused(
            f"{path.name} holds {len(members):,} files; at most {MAX_SAMPLES:,} are read. Give fewer {what}s."
        )
    names: set[str] = set()
    for info in members:
        if info.filename in names:
            raise DataRefused(f"{path.name} holds '{info.filename[:100]}' twice. Pack it again.")
        names.add(info.filename)
        if info.file_size > MAX_MEMBER_BYTES:
            raise DataRefused(
                f"{path.name}: '{info.filename[:100]}' unpacks to {info.file_size >> 20:,} MB; at most "
                f"{MAX_MEMBER_BYTES >> 20} MB are read. Give smaller files."
            )
    total = sum(info.file_size for info in members)
    if total > MAX_UNPACKED_BYTES:
        raise DataRefused(
            f"{path.name} unpacks to {total / 2**30:,.1f} GB; at most {MAX_UNPACKED_BYTES >> 30} GB are read. Give "
            f"fewer or smaller {what}s."
        )


def _by_list(path: Path, listed: SampleList, names: Sequence[str], what: str, notes: list[str]) -> Contents:
    words = [part.lower() for part in listed.parts]
    codes = _part_codes(words) if words else {}
    samples = tuple(
        Sample(member, cells, codes[words[k]] if words else -1)
        for k, (member, cells) in enumerate(zip(listed.members, listed.cells, strict=True))
    )
    left = sorted(set(names) - set(listed.members))
    if left:
        shown = ", ".join(left[:3]) + (" …" if len(left) > 3 else "")
        are = "is" if len(left) == 1 else "are"
        notes = [*notes, f"{len(left):,} {what}s are not in {listed.name} and {are} left out: {shown}"]
    if not samples:
        raise DataRefused(f"{path.name}: {listed.name} lists no {what}. Add one row per {what}.")
    return Contents(samples, listed.columns, any(s.part >= 0 for s in samples), tuple(notes))


def _by_folders(path: Path, names: Sequence[str], what: str, notes: list[str]) -> Contents:
    slashes = any("/" in name for name in names)  # some programs for Windows write backslashes
    folders = [PurePosixPath(name if slashes else name.replace("\\", "/")).parts[:-1] for name in names]
    while all(len(f) > 0 for f in folders) and len({f[0] for f in folders}) == 1:
        folders = [f[1:] for f in folders]
    codes: Mapping[str, int] = {}
    words = [""] * len(names)
    for place in (0, -1):
        if all(f and f[place].lower() in PART_WORDS for f in folders):
            words = [f[place].lower() for f in folders]
            folders = [f[1:] if place == 0 else f[:-1] for f in folders]
            codes = _part_codes(words)
            break
    else:
        stray = next((f for f in folders if f and f[0].lower() in PART_WORDS), None)
        if stray is not None:
            out = next(
                n for n, f in zip(names, folders, strict=True) if not f or f[0].lower() not in PART_WORDS
            )
            raise DataRefused(
                f"{path.name}: there is a folder '{stray[0]}' for a part, but '{out}' is in none. Put every {what} into one "
                "of the folders train, val and test, or none."
            )
    without = [name for name, f in zip(names, folders, strict=True) if not f]
    if without and len(without) < len(names):
        raise DataRefused(
            f"{path.name}: '{without[0]}' is in no class folder, but others are ('{names[_first(folders)]}'). Put every "
            f"{what} into the folder of its class, or add a CSV that names file and label."
        )
    if any(len(f) > 1 for f in folders):
        notes = [*notes, "folders inside of class folders do not count: the outer folder is the class"]
    has_labels = not without
    samples = tuple(
        Sample(name, (f[0],) if has_labels else (), codes.get(word, -1))
        for name, f, word in zip(names, folders, words, strict=True)
    )
    return Contents(samples, ("label",) if has_labels else (), bool(codes), tuple(notes))


def _first(folders: Sequence[Sequence[str]]) -> int:
    return next(k for k, f in enumerate(folders) if f)


def _part_codes(words: Sequence[str]) -> dict[str, int]:
    """Word → index of the part that its samples are for, −1 for those to be divided."""
    parts = {PART_WORDS[word]: word for word in dict.fromkeys(words)}
    stated = stated_parts({part: part for part in parts})
    use = {stated.main: -1} | {part: PARTS.index(name) for name, part in stated.others.items()}
    return {word: use[PART_WORDS[word]] for word in dict.fromkeys(words)}
