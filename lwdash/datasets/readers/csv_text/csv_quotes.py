"""Quoted cells of a CSV: the ends of rows whose cells hold line ends, and quotes that are never closed."""

import re
from functools import cache

from lwdash.errors import DataRefused

MAX_LINE_ENDS_IN_CELL = 10
"""A quoted cell with more line ends counts as a quote that was not closed."""


def last_row_end(data: bytes, delimiter: str, *, first_line: int, name: str, at_end: bool) -> int:
    """Number of bytes of `data` that are whole rows; 0 if no row ends in it.

    data: begins with a row; its line ends are '\n'. A quote opens a cell only directly after a delimiter or a
    line end, as in Python's csv module; any other quote is an ordinary character. at_end: no text follows
    `data`.
    Raises DataRefused, naming the line (`first_line` is that of the first byte), for a quote that is never
    closed and for a cell with more than `MAX_LINE_ENDS_IN_CELL` line ends.
    """
    if b'"' not in data:
        return data.rfind(b"\n") + 1
    plain, quoted = _patterns(delimiter)
    folded: list[tuple[int, int]] = []
    place = 0
    while (start := plain.match(data, place).end()) < len(data):  # type: ignore[union-attr]
        cell = quoted.match(data, start)
        assert cell is not None, "the text that is not plain begins with a quote that opens a cell"
        place = cell.end()
        line_ends = data.count(b"\n", start, place)
        if line_ends > MAX_LINE_ENDS_IN_CELL or (at_end and not cell.group(1)):
            line = first_line + data.count(b"\n", 0, start)
            raise DataRefused(
                f'{name}, row {line}: a quote (") is opened here and not closed in the lines after it, so that all of them '
                "would be one cell. Remove the quote, or close it, and give the file again."
            )
        folded.append((start, place))
    cut = data.rfind(b"\n")
    for start, end in reversed(folded):
        if cut < end:
            cut = data.rfind(b"\n", 0, min(start, cut + 1))
    return cut + 1


@cache
def _patterns(delimiter: str) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Pattern of simple text: text, literal quotes, quoted cells on one line. Pattern of any quoted cell,
    group 1 its closing quote.
    """
    before = rb"[^" + re.escape(delimiter.encode()) + rb"\n]"
    opening, literal = b"(?<!" + before + b')"', b"(?<=" + before + b')"'
    plain = rb'(?:[^"]++|' + opening + rb'(?:[^"\n]++|"")*+"|' + literal + rb")*+"
    return re.compile(plain), re.compile(opening + rb'(?:[^"]++|"")*+("?)')
