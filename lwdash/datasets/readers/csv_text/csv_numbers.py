"""Fast parsers for text blocks of numbers only, in rows of equal length."""

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

_MAX_DIGITS = 9


def rows_of_whole_numbers(data: bytes, delimiter: str, width: int) -> np.ndarray | None:
    """Float64 (rows, width) of a block of digits only (pixels, counts), else None; several times as fast as
    pyarrow.

    The positions of the separators give the last digit of every number; each pass adds one more digit to the
    numbers.
    """
    if data.translate(None, b"0123456789\n" + delimiter.encode()):
        return None
    text = np.frombuffer(data, np.uint8)
    ends = (
        np.flatnonzero(text < ord("0"))
        if ord(delimiter) < ord("0")
        else np.flatnonzero((text < 48) | (text > 57))
    )
    rows, left = divmod(len(ends), width)
    if (
        left
        or data.count(b"\n") != rows
        or not rows
        or not (text[ends[width - 1 :: width]] == ord("\n")).all()
    ):
        return None
    ends = ends.astype(np.int32)
    length = np.diff(ends, prepend=np.int32(-1)) - 1
    longest = int(length.max())
    if length.min() < 1 or longest > _MAX_DIGITS:
        return None
    values = (text[ends - 1] - np.uint8(48)).astype(np.int32)
    for digit in range(2, longest + 1):
        more = np.flatnonzero(length >= digit) if digit > 3 else None
        if more is None:
            ends_here = text[ends - digit] - np.uint8(48)
            values += ends_here * (length >= digit) * np.int32(10 ** (digit - 1))
        else:
            values[more] += (text[ends[more] - digit] - np.uint8(48)).astype(np.int32) * np.int32(
                10 ** (digit - 1)
            )
    return values.reshape(rows, width).astype(np.float64)


def rows_of_numbers(data: bytes, delimiter: str, decimal: str, width: int) -> np.ndarray | None:
    """Float64 (rows, width) of a block of numbers in many columns, else None.

    All values are parsed as one column, since pyarrow is several times slower with thousands of columns. A
    blank is added after every row. If the blanks do not come back at the end of every row, some row is longer
    or shorter than `width`.
    """
    one_column = np.frombuffer(bytearray(data.replace(b"\n", b"\n\n")), np.uint8)
    # Arithmetic converts delimiters to line ends: several times as fast as bytes.replace with so many
    # matches.
    one_column -= (one_column == ord(delimiter)) * np.uint8((ord(delimiter) - ord("\n")) % 256)
    try:
        table = pacsv.read_csv(
            pa.py_buffer(one_column),
            read_options=pacsv.ReadOptions(column_names=["x"], use_threads=False, block_size=1 << 20),
            parse_options=pacsv.ParseOptions(delimiter="\x1f", quote_char=False, ignore_empty_lines=False),
            convert_options=pacsv.ConvertOptions(
                column_types={"x": pa.float64()}, null_values=[""], decimal_point=decimal, check_utf8=False
            ),
        )
    except pa.ArrowInvalid:
        return None
    column = table.column(0)
    rows, left = divmod(len(column), width + 1)
    if left or column.null_count != rows:
        return None
    values = np.concatenate([c.to_numpy(zero_copy_only=False) for c in column.chunks]).reshape(rows, -1)
    return values[:, :-1] if np.isnan(values[:, -1]).all() else None
