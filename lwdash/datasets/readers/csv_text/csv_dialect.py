"""The dialect of a CSV: delimiter, decimal sign, header and encoding, found from its first megabyte."""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lwdash.datasets.readers.csv_problems import MAX_CELL_CHARACTERS
from lwdash.datasets.readers.csv_text.csv_quotes import MAX_LINE_ENDS_IN_CELL
from lwdash.datasets.readers.source import normal_line_ends, read_head
from lwdash.errors import DataRefused

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
MISSING = ("", "NA", "N/A", "#N/A", "NaN", "nan", "NAN", "NULL", "null", "None", "?", "-")
MAX_COLUMNS = 200_000
_SAMPLE_ROWS = 200
_POINT = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*|\s*[+-]?(inf|infinity)\s*", re.I)
_COMMA = re.compile(r"\s*[+-]?(\d+,?\d*|,\d+)([eE][+-]?\d+)?\s*|\s*[+-]?(inf|infinity)\s*", re.I)


@dataclass(frozen=True)
class Dialect:
    """Format of one CSV. `sample` holds its first data rows as text, `kinds` one letter per column:
    'n' numbers, 't' text, as in the sample.
    """

    delimiter: str
    decimal: str
    has_header: bool
    encoding: str
    is_gzip: bool
    names: tuple[str, ...]
    repeated_names: tuple[str, ...]
    skip_lines: int
    kinds: str
    sample: tuple[tuple[str, ...], ...]


def is_number(text: str, decimal: str = ".") -> bool:
    return (_POINT if decimal == "." else _COMMA).fullmatch(text) is not None


def is_missing(text: str) -> bool:
    return text.strip() in MISSING


def sniff(path: Path, *, delimiter: str | None = None, has_header: bool | None = None) -> Dialect:
    """The dialect of `path`; given arguments are not guessed. Raises DataRefused for other files than CSVs."""
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise DataRefused(f"the delimiter must be one character; received {delimiter!r}. Use , ; | or a tab.")
    text, encoding, is_gzip = _first_lines(path)
    skip, text, delimiter, has_header = _without_preamble(text, delimiter, has_header)
    if delimiter is None:
        delimiter = _find_delimiter(text)
    rows, ends = _rows(text, delimiter, path.name)
    if not rows:
        raise DataRefused(f"{path.name} holds no rows. Give a CSV with one sample per row.")
    decimal = _find_decimal(rows, delimiter)
    if has_header is None:
        has_header = _looks_like_header(rows, decimal)
    if has_header:
        first, rows = rows[0], rows[1:]
        names = tuple(name.strip() or f"Unnamed: {i}" for i, name in enumerate(first))
        skip += ends[0]
    else:
        # Use the most common width: a ragged first row must not determine it.
        width = Counter(map(len, rows)).most_common(1)[0][0]
        names = tuple(f"column {i + 1}" for i in range(width))
    if not rows:
        raise DataRefused(
            f"{path.name} has a header ({_brief(names)}) but no rows under it. Add one row per sample."
        )
    if len(names) > MAX_COLUMNS:
        raise DataRefused(
            f"{path.name} has {len(names)} columns in one row; at most {MAX_COLUMNS} are read. Transpose "
            "the table if its samples are columns: samples are rows."
        )
    if len(names) == 1:
        _refuse_other_separators(rows, path.name)
    unique, repeated = _unique(names)
    return Dialect(
        delimiter, decimal, has_header, encoding, is_gzip, unique, repeated, skip,
        _kinds(rows, len(unique), decimal), tuple(map(tuple, rows)),
    )  # fmt: skip


def _first_lines(path: Path) -> tuple[str, str, bool]:
    """The first whole lines of a file, their encoding, and whether the file is gzip."""
    head, complete, is_gzip = read_head(path)
    data = normal_line_ends(head.removeprefix(b"\xef\xbb\xbf"))
    if not complete:
        data = data[: data.rfind(b"\n") + 1]
    try:
        return data.decode("utf-8"), "utf-8", is_gzip
    except UnicodeDecodeError:
        return data.decode("latin-1"), "latin-1", is_gzip


def _without_preamble(
    text: str, delimiter: str | None, has_header: bool | None
) -> tuple[int, str, str | None, bool | None]:
    """Number of lines before the table, the text after them, and the delimiter and header that they state, if
    unknown.

    Excel's `sep=;` names the delimiter; numpy.savetxt writes the header as a comment: `# label,t0,…`.
    """
    skip = 0
    announced = re.match(r"sep=([^\n])\n", text)
    if announced:
        skip, text, delimiter = 1, text[announced.end() :], delimiter or announced.group(1)
    comments = re.match(r"(?:#[^\n]*\n)+", text)
    if comments and not text[comments.end() :].startswith("#"):
        lines = comments.group().splitlines(keepends=True)
        body = text[comments.end() :]
        delimiter = delimiter or _find_delimiter(body or text)
        if body and lines[-1].count(delimiter) == body.split("\n", 1)[0].count(delimiter) > 0:
            lines, body = lines[:-1], lines[-1].lstrip("# ") + body
            has_header = True if has_header is None else has_header
        skip, text = skip + len(lines), body
    return skip, text, delimiter, has_header


def _rows(text: str, delimiter: str, name: str) -> tuple[list[list[str]], list[int]]:
    """The first rows as fields, without blank lines, and the line on which each ends."""
    rows: list[list[str]] = []
    ends: list[int] = []
    csv.field_size_limit(MAX_CELL_CHARACTERS)
    # Lines end with "\n" only: splitlines() would also cut at form feeds and Unicode's line separators.
    reader = csv.reader(io.StringIO(text, newline="\n"), delimiter=delimiter)
    try:
        for row in reader:
            if any(cell.count("\n") > MAX_LINE_ENDS_IN_CELL for cell in row):
                raise DataRefused(
                    f'{name}, row {ends[-1] + 1 if ends else 1}: a quote (") is opened here and not closed in the lines '
                    "after it, so that all of them would be one cell. Remove the quote, or close it, and give the file "
                    "again."
                )
            if row:
                rows.append(row)
                ends.append(reader.line_num)
            if len(rows) > _SAMPLE_ROWS:
                break
    except csv.Error as error:
        raise DataRefused(
            f"{name}: row {reader.line_num} cannot be read as CSV ({error}). Is a quote opened and never closed?"
        ) from None
    return rows, ends


def _find_delimiter(text: str) -> str:
    """The delimiter with which the first lines have equally many fields, most of them numbers."""
    lines = [line for line in text[:400_000].split("\n") if line.strip()][:40]
    best, best_score = ",", 0.0
    for delimiter in DELIMITERS:
        try:
            rows = list(csv.reader(lines, delimiter=delimiter))
        except csv.Error:
            continue
        width, times = next(iter(Counter(map(len, rows)).most_common(1)), (0, 0))
        if width < 2:
            continue
        cells = [cell for row in rows[1:] or rows for cell in row[:200]]
        numeric = sum(is_number(c) or is_number(c, ",") or is_missing(c) for c in cells) / max(len(cells), 1)
        score = (times / len(rows)) * (0.1 + numeric)
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _find_decimal(rows: Sequence[Sequence[str]], delimiter: str) -> str:
    if delimiter == ",":
        return "."
    with_comma = with_point = 0
    for row in rows[:50]:
        for cell in row[:500]:
            with_comma += "," in cell and is_number(cell, ",")
            with_point += "." in cell and is_number(cell, ".")
    return "," if with_comma > with_point else "."


def _looks_like_header(rows: Sequence[Sequence[str]], decimal: str) -> bool:
    first, body = rows[0], rows[1:]
    plain = [i for i, cell in enumerate(first) if not is_number(cell, decimal)]
    numbers = [cell for cell in first if is_number(cell, decimal)]
    # 0, 1, 2 … are names unless the row below counts in the same way.
    if len(numbers) > 2 and _counts_upwards(numbers) and (not body or list(first) != list(body[0])):
        return True
    if not plain:
        return False
    if not body:
        return len(plain) * 2 > len(first)
    for i in plain:
        below = [row[i] for row in body[:50] if i < len(row) and not is_missing(row[i])]
        if not is_missing(first[i]) and 2 * sum(is_number(cell, decimal) for cell in below) > len(below):
            return True
    if len(plain) < len(first):
        return _names_a_text_column(first, body, plain)
    # Every column is text: names are distinct and do not occur again below.
    return len(set(first)) == len(first) and all(
        first[i] not in {row[i] for row in body if i < len(row)} for i in plain
    )


def _names_a_text_column(first: Sequence[str], body: Sequence[Sequence[str]], plain: Sequence[int]) -> bool:
    """True if numbers in the first row are names: whole above fractions, beside a word that no row below repeats."""
    new_word = any(first[i] not in {row[i] for row in body if i < len(row)} for i in plain)
    numbers = [i for i in range(len(first)) if i not in set(plain)]
    if not new_word or not all(first[i].strip().isdecimal() for i in numbers):
        return False
    fractions = sum(any(not row[i].strip().isdecimal() for row in body[:20] if i < len(row)) for i in numbers)
    return 2 * fractions > len(numbers)


def _counts_upwards(cells: Sequence[str]) -> bool:
    try:
        values = [int(cell) for cell in cells]
    except ValueError:
        return False
    return bool(values) and values[0] in (0, 1) and values == list(range(values[0], values[0] + len(values)))


def _unique(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """`names` with repeats renamed to 'name (2)', and the repeated names."""
    used: set[str] = set()
    result: list[str] = []
    repeated: dict[str, None] = {}
    everyone = set(names)
    for name in names:
        fresh, number = name, 2
        if name in used:
            repeated[name] = None
            while fresh in used or fresh in everyone:
                fresh, number = f"{name} ({number})", number + 1
        used.add(fresh)
        result.append(fresh)
    return tuple(result), tuple(repeated)


def _kinds(rows: Sequence[Sequence[str]], width: int, decimal: str) -> str:
    letters = []
    for i in range(width):
        cells = [row[i] for row in rows if i < len(row) and not is_missing(row[i])]
        numbers = sum(is_number(cell, decimal) for cell in cells)
        letters.append("t" if cells and numbers * 2 <= len(cells) else "n")
    return "".join(letters)


def _refuse_other_separators(rows: Sequence[Sequence[str]], name: str) -> None:
    cells = [row[0].split() for row in rows[:20] if row]
    if cells and len(cells[0]) > 1 and all(len(c) == len(cells[0]) and all(map(is_number, c)) for c in cells):
        raise DataRefused(
            f"{name}: values seem to be separated by spaces ({' '.join(cells[0][:3])} …). Separate them "
            "with commas, semicolons or tabs."
        )


def _brief(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{names[0]}, {names[1]} … {names[-1]}"
