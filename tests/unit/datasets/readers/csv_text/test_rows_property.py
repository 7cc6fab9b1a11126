"""Every row of a CSV is read or reported as left out, whatever the file looks like, held against Python's csv module."""

import csv
import io
import tempfile
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lwdash.datasets.data_inspection import inspect_data
from lwdash.datasets.readers.csv_problems import RAGGED
from lwdash.datasets.readers.csv_text.csv_blocks import Reader
from lwdash.datasets.readers.csv_text.csv_dialect import sniff
from lwdash.datasets.readers.csv_text.csv_quotes import MAX_LINE_ENDS_IN_CELL
from lwdash.errors import DataRefused

WIDTH = 3
PLAIN = st.sampled_from(["1", "-2.5", "", "N", "x y", "?", 'in"side', "1e3", "ü"])
QUOTED = st.text(alphabet='a1, "\n\u2028\x0c;', max_size=8).map(
    lambda text: '"' + text.replace('"', '""') + '"'
)
ROW = st.lists(st.one_of(PLAIN, PLAIN, QUOTED), min_size=1, max_size=5).map(",".join)
GOOD_ROW = st.lists(st.one_of(PLAIN, QUOTED), min_size=WIDTH, max_size=WIDTH).map(",".join)
TABLE = st.lists(st.one_of(GOOD_ROW, GOOD_ROW, ROW, st.just("")), min_size=1, max_size=30)


@st.composite
def csv_texts(draw):
    """A table with rows of any length, blank lines, any line end, perhaps stray quotes; line ends in cells are '\\n'."""
    end = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
    text = end.join(draw(TABLE)) + draw(st.sampled_from(["", end]))
    for place in draw(st.lists(st.integers(0, 400), max_size=3)):
        if place < len(text):
            text = text[:place] + '"' + text[place:]
    return f"a,b,c{end}" + text


def rows_by_python(text):
    """(line, cells) of each row under the header, blank lines left out."""
    reader = csv.reader(io.StringIO(text.replace("\r\n", "\n").replace("\r", "\n"), newline="\n"))
    rows, line = [], 1
    for row in reader:
        if row:
            rows.append((line, row))
        line = reader.line_num + 1
    return rows[1:]


def is_open(text):
    """Whether a quote is open at the end, or a cell goes on for more lines than are accepted."""
    rows = rows_by_python(text + "\nZ,Z,Z\n")
    is_long = any(cell.count("\n") > MAX_LINE_ENDS_IN_CELL for _, row in rows for cell in row)
    return rows[-1][1] != ["Z"] * WIDTH or is_long


@pytest.mark.long
@settings(max_examples=400, deadline=None, derandomize=True)
@given(csv_texts(), st.sampled_from([7, 64, 1 << 20]))
@example('a,b,c\n1,2,3\n1,"2,3\n' + "1,2,3\n" * 30, 64)
@example('a,b,c\n1,"2,3\n' + "1,2,3\n" * 30 + '1,2",3\n1,2,3\n', 64)
@example("a,b,c\n1,2,3\n1,2\n\n1,2,3,4\n", 7)
@example('a,b,c\n1,5" pipe,3\n1,2,3\n1,"x\ny",3\n', 7)
def test_rows_read_and_rows_left_out_are_all_rows(text, block_bytes):
    expected = rows_by_python(text)
    good = [(line, row) for line, row in expected if len(row) == WIDTH]
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch("lwdash.datasets.readers.source.BLOCK_BYTES", block_bytes),
    ):
        path = Path(folder) / "data.csv"
        path.write_text(text, encoding="utf-8", newline="")
        try:
            facts = inspect_data(path, delimiter=",", has_header=True)
        except DataRefused:
            facts = None
        assert (facts is None) == (is_open(text) or not good)
        if facts is None:
            return
        assert facts.rows == len(good)
        assert facts.problem_counts.get(RAGGED, 0) == len(expected) - len(good)
        dialect = sniff(path, delimiter=",", has_header=True)
        found = []
        for block in Reader(path, dialect, text_columns=range(WIDTH)).blocks(lambda block: block):
            words = [block.text[i] for i in range(WIDTH)]
            found += [(int(line), list(row)) for line, *row in zip(block.lines, *words, strict=True)]
        assert found == [(line, [cell.strip() for cell in row]) for line, row in good]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=2), min_size=1, max_size=40),
    st.sets(st.integers(0, 39)),
    st.sampled_from([16, 1 << 20]),
)
def test_numbers_are_those_of_python_whatever_is_between_the_rows(table, blank_after, block_bytes):
    lines = ["p,q"]
    for number, row in enumerate(table):
        lines.append(",".join(map(repr, row)))
        lines += [""] * (number in blank_after)
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch("lwdash.datasets.readers.source.BLOCK_BYTES", block_bytes),
    ):
        path = Path(folder) / "data.csv"
        path.write_text("\n".join(lines), encoding="utf-8")
        dialect = sniff(path, delimiter=",", has_header=True)
        blocks = list(Reader(path, dialect).blocks(lambda block: block))
    assert [row for block in blocks for row in block.numbers.tolist()] == table
    numbered = [place + 1 for place, line in enumerate(lines) if line][1:]
    assert [line for block in blocks for line in block.lines.tolist()] == numbered


def test_a_quote_that_opens_after_the_first_megabyte_is_refused_with_its_line(tmp_path):
    lines = [f"{i % 7}.25,{i % 3}" for i in range(200_000)]
    lines[150_000] = '"' + lines[150_000]
    path = tmp_path / "late.csv"
    path.write_text("f,label\n" + "\n".join(lines) + "\n")
    with pytest.raises(DataRefused, match=r"late\.csv, row 150002: a quote \(\"\) is opened here"):
        inspect_data(path)
