"""Opens a data file: detects its type by its first bytes, and reads its text in pieces that end at a line."""

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lwdash.datasets.readers import FORMATS
from lwdash.datasets.readers.archives.unread_formats import unread_kind
from lwdash.datasets.readers.csv_text.csv_quotes import last_row_end
from lwdash.datasets.readers.file_format import FileFormat
from lwdash.datasets.readers.gzip_file import GZIP
from lwdash.errors import DataRefused

BLOCK_BYTES = 4 << 20
LONGEST_LINE_BYTES = 64 << 20
HEAD_BYTES = 1 << 20

_ZIP = b"PK\x03\x04"
_FOREIGN = (
    (b"\xd0\xcf\x11\xe0", "an Excel workbook of the old kind (.xls)", "In Excel: Save as → CSV UTF-8."),
    (
        b"\x89HDF\r\n\x1a\n",
        "an HDF5 file",
        "If it is a Keras model, upload it as the model; the data must be a CSV.",
    ),
    (b"%PDF", "a PDF document", "Export the table as CSV."),
    (b"\x89PNG", "a PNG image", "The data must be one CSV with one sample a row."),
    (b"\xff\xd8\xff", "a JPEG image", "The data must be one CSV with one sample a row."),
    (b"BZh", "compressed with bzip2", "Decompress it, or compress it with gzip."),
    (b"\xfd7zXZ\x00", "compressed with xz", "Decompress it, or compress it with gzip."),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "Decompress it, or compress it with gzip."),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "Unpack it and give the CSV inside."),
    (b"\x7fELF", "a program (ELF)", "The data must be one CSV with one sample a row."),
    (b"MATLAB 5.0 MAT-file", "a MATLAB file", "In MATLAB: writematrix(…, 'data.csv')."),
    (b"SQLite format 3\0", "an SQLite database", "Export the table as CSV."),
    (b"RIFF", "a sound or video file (RIFF)", "The data must be one CSV with one sample a row."),
    (b"\x80\x04\x95", "a Python pickle", "In Python: pandas.DataFrame(…).to_csv('data.csv', index=False)."),
    (
        b"version https://git-lfs.github.com/",
        "a Git LFS pointer, which stands for the data file in a repository",
        "Run 'git lfs pull' and give the file itself.",
    ),
)
_UTF16 = "is text in UTF-16 (Excel calls it 'Unicode Text'). Save it as 'CSV UTF-8'."
_JUNK = "is not text: it holds zero bytes or control characters. Give a CSV with one sample a row."


@dataclass(frozen=True)
class TextBlock:
    """Whole lines of a CSV: UTF-8, '\n' line ends, the last line ended too."""

    data: bytes
    first_line: int


def open_bytes(path: Path) -> tuple[IO[bytes], FileFormat | None]:
    """The file's text, and the format of `FORMATS` that its first bytes are of; None: it is the text itself."""
    try:
        file = open(path, "rb")  # noqa: SIM115 (the caller closes it)
    except OSError as error:
        raise DataRefused(f"{path.name} cannot be opened: {error.strerror}. Upload the file again.") from None
    head = file.read(max(len(known.magic) for known in FORMATS))
    file.seek(0)
    for known in FORMATS:
        if head.startswith(known.magic):
            return known.open_text(file), known
    return file, None


def read_bytes(stream: IO[bytes], size: int, name: str, file_format: FileFormat | None) -> bytes:
    """Up to `size` bytes (fewer only at the end); a damaged compressed file is refused."""
    damage = file_format.damage if file_format else ()
    try:
        return stream.read(size)
    except damage as error:
        kind = file_format.name if file_format else ""
        raise DataRefused(
            f"{name} is a damaged or incomplete {kind} file ({error}). Compress or upload it again."
        ) from None
    except OSError as error:
        raise DataRefused(f"{name} cannot be read: {error}. Upload the file again.") from None


def refuse_foreign(head: bytes, path: Path) -> None:
    """Raise DataRefused, naming what the file is, unless `head` (its first bytes) can be text."""
    name = path.name
    if head and not head.strip(b"\0"):
        raise DataRefused(
            f"{name} is filled with zero bytes: a copy or download did not finish. Copy or download it again."
        )
    if not head.strip(b"\xef\xbb\xbf \t\r\n\0"):
        raise DataRefused(f"{name} is empty: it holds no rows. Give a CSV with one sample a row.")
    if head.startswith(_ZIP):
        raise DataRefused(f"{name} {_zip_content(path)}")
    for magic, what, way_out in _FOREIGN:
        if head.startswith(magic):
            raise DataRefused(f"{name} is {what}, not a CSV. {way_out}")
    if head[4:8] == b"TFL3":
        raise DataRefused(
            f"{name} is a TensorFlow Lite model, not a CSV. The data must be one CSV with one sample a row."
        )
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataRefused(f"{name} {_UTF16}")
    sample = head[:65536]
    zeros = sample.count(b"\0")
    halves = sorted((sample[0::2].count(b"\0"), sample[1::2].count(b"\0")))
    if head.endswith(bytes(64)) and b"\0" not in head.rstrip(b"\0"):
        raise DataRefused(
            f"{name} ends in zero bytes: a copy or download did not finish. Copy or download it again."
        )
    if zeros and halves[1] > 0.3 * len(sample) and halves[0] < 0.1 * len(sample):
        raise DataRefused(f"{name} {_UTF16}")
    controls = len(sample) - len(sample.translate(None, bytes(range(9)) + bytes(range(14, 32)) + b"\x7f"))
    if zeros or controls > 0.01 * len(sample):
        raise DataRefused(f"{name} {_JUNK}")
    start = sample.lstrip(b"\xef\xbb\xbf \t\r\n")[:200].lower()
    if re.match(rb"<(!doctype|!--|\?xml|[a-z]+[ />])", start):
        raise DataRefused(
            f"{name} is a web page or XML, not a CSV: often a download that needed a login. Open it in a "
            "text editor, and download the data itself."
        )
    if start.startswith((b"{", b"[{", b"[[")):
        raise DataRefused(f"{name} is JSON, not a CSV. In Python: pandas.read_json(…).to_csv('data.csv').")


def _zip_content(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
        if not all(members):
            raise zipfile.BadZipFile("a member without a name")
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return "is a damaged or incomplete zip archive. Pack or upload it again."
    if any(member.startswith("xl/") for member in members):
        return "is an Excel workbook (.xlsx), not a CSV. In Excel: Save as → CSV UTF-8."
    if "content.xml" in members:
        return "is an OpenDocument spreadsheet (.ods), not a CSV. In LibreOffice: Save as → Text CSV."
    if "config.json" in members and "metadata.json" in members:
        return "is a Keras model (.keras), not a CSV. Upload it as the model."
    if (what := unread_kind([member for member in members if not member.endswith("/")])) is not None:
        into = "JPEG, PNG or BMP" if what == "image" else "WAV"
        shown = members[-1][-60:]
        return f"holds {what}s of a format that is not read ({shown}). Convert them to {into}, and pack them again."
    shown = ", ".join(members[:3]) + (" …" if len(members) > 3 else "")
    return f"is a zip archive (it holds {shown}), not a CSV. Unpack it and give the CSV inside."


def read_head(path: Path) -> tuple[bytes, bool, bool]:
    """The first lines of the file (about 1 MB, at least two lines), whether that is all, whether it is gzip."""
    stream, file_format = open_bytes(path)
    with stream:
        head = read_bytes(stream, HEAD_BYTES, path.name, file_format)
        refuse_foreign(head, path)
        complete = len(head) < HEAD_BYTES
        while not complete and normal_line_ends(head).count(b"\n") < 3:
            if len(head) > 2 * LONGEST_LINE_BYTES:
                raise DataRefused(_too_long(path, 1))
            more = read_bytes(stream, 4 * HEAD_BYTES, path.name, file_format)
            complete = len(more) < 4 * HEAD_BYTES
            head += more
    return head, complete, file_format is GZIP


def normal_line_ends(data: bytes) -> bytes:
    """`data` with '\n' at the end of every line, for files of all systems."""
    if b"\r" not in data:
        return data
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def text_blocks(path: Path, skip_lines: int = 0, delimiter: str = ",") -> Iterator[TextBlock]:
    """The lines after the first `skip_lines`, in pieces of about 4 MB that never cut a row (also with quoted
    line ends).

    Raises DataRefused for a quote that is never closed, see `quotes.last_row_end`."""
    stream, file_format = open_bytes(path)
    with stream:
        rest, line, at_end, is_first = b"", 1, False, True
        while not at_end:
            piece, at_end = _next_piece(stream, path.name, file_format)
            if is_first:
                piece, is_first = piece.removeprefix(b"\xef\xbb\xbf"), False
            data = rest + piece
            if at_end and data and not data.endswith(b"\n"):
                data += b"\n"
            while skip_lines and (end := data.find(b"\n") + 1):
                data, line, skip_lines = data[end:], line + 1, skip_lines - 1
            cut = 0
            if not skip_lines:
                cut = last_row_end(data, delimiter, first_line=line, name=path.name, at_end=at_end)
            whole, rest = data[:cut], data[cut:]
            if len(rest) > LONGEST_LINE_BYTES:
                raise DataRefused(_too_long(path, line))
            if whole:
                yield TextBlock(whole, line)
                line += whole.count(b"\n")


def _next_piece(stream: IO[bytes], name: str, file_format: FileFormat | None) -> tuple[bytes, bool]:
    """About 4 MB with normal line ends, and whether the file ends with them."""
    piece = read_bytes(stream, BLOCK_BYTES, name, file_format)
    at_end = len(piece) < BLOCK_BYTES
    while piece.endswith(b"\r") and not at_end:  # may be half of a '\r\n'
        more = read_bytes(stream, 1, name, file_format)
        piece, at_end = piece + more, not more
    return normal_line_ends(piece), at_end


def clean_text(block: TextBlock, encoding: str, name: str) -> bytes:
    """The block as UTF-8. Other text is read as Latin-1, in which every byte is a character; zero bytes are refused."""
    data = block.data
    if b"\0" in data:
        bad = block.first_line + data[: data.index(b"\0")].count(b"\n")
        raise DataRefused(
            f"{name} has a zero byte in row {bad}: it is damaged or not text. Export the CSV again."
        )
    if data.isascii():
        return data
    if encoding == "utf-8":
        try:
            data.decode("utf-8")
            return data
        except UnicodeDecodeError:
            pass  # the first megabyte was UTF-8 and this block is not
    return data.decode("latin-1").encode("utf-8")


def _too_long(path: Path, line: int) -> str:
    return (
        f'{path.name}: row {line} goes on for more than {LONGEST_LINE_BYTES >> 20} MB. Is a quote (") '
        f"opened "
        "and never closed, or is the file not a CSV? Each sample must be one line."
    )
