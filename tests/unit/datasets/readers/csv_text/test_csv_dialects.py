"""However a CSV is written, the same rows come out; what is not a CSV is refused by name."""

import gzip
import io
import itertools
import zipfile

import numpy as np
import pandas as pd
import pytest

from lwdash.datasets.data_inspection import inspect_data
from lwdash.datasets.data_settings import DataSettings
from lwdash.datasets.prepare import prepare
from lwdash.datasets.readers.source import text_blocks
from lwdash.errors import DataRefused

ROWS, COLUMNS = 30, 6
VALUES = np.random.default_rng(7).normal(size=(ROWS, COLUMNS)).round(4)
LABELS = np.arange(ROWS) % 3
WORDS = np.array(["setosa", "versicolor", "virginica"])[LABELS]
INPUTS = [("x", (COLUMNS, 1), "float32")]
OUTPUTS = [("y", (3,), "float32")]


def table(position, labels=LABELS):
    frame = pd.DataFrame(VALUES, columns=[f"t{i}" for i in range(COLUMNS)])
    if position == "first":
        frame.insert(0, "label", labels)
    elif position == "last":
        frame["label"] = labels
    return frame


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def assert_same_rows(path, expected_label=True):
    data = prepare(path, DataSettings(), INPUTS, OUTPUTS)
    np.testing.assert_array_equal(data.inputs["x"][..., 0], VALUES.astype(np.float32))
    if expected_label:
        np.testing.assert_array_equal(data.labels, LABELS)
    else:
        assert data.labels is None


@pytest.mark.parametrize(
    ("delimiter", "header", "packed", "position"),
    itertools.product(",;\t|", (True, False), (False, True), ("first", "last", "none")),
)
def test_every_dialect_gives_the_same_rows_and_labels(tmp_path, delimiter, header, packed, position):
    text = table(position).to_csv(index=False, sep=delimiter, header=header).encode()
    path = write(tmp_path / "data.csv", gzip.compress(text) if packed else text)
    facts = inspect_data(path)
    assert (facts.delimiter, facts.has_header, facts.is_gzip, facts.rows) == (delimiter, header, packed, ROWS)
    assert_same_rows(path, position != "none")


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
@pytest.mark.parametrize("words", [False, True])
def test_decimal_comma_is_read_with_every_delimiter_but_the_comma(tmp_path, delimiter, words):
    text = table("last", WORDS if words else LABELS).to_csv(index=False, sep=delimiter, decimal=",")
    path = write(tmp_path / "data.csv", text)
    assert inspect_data(path).decimal == ","
    assert_same_rows(path)


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n\n"])
def test_line_ends_of_other_systems_and_blank_lines_do_not_matter(tmp_path, end):
    assert_same_rows(write(tmp_path / "data.csv", table("first").to_csv(index=False).replace("\n", end)))


@pytest.mark.parametrize("header", [True, False])
def test_text_labels_may_be_quoted_and_hold_delimiters(tmp_path, header):
    words = np.array(['a,"b', "c\nd", "e"])[LABELS]
    path = write(tmp_path / "data.csv", table("first", words).to_csv(index=False, header=header, quoting=1))
    data = prepare(path, DataSettings(), INPUTS, OUTPUTS)
    np.testing.assert_array_equal(data.inputs["x"][..., 0], VALUES.astype(np.float32))
    np.testing.assert_array_equal(data.labels, LABELS)
    assert data.classes == ('a,"b', "c\nd", "e")


def test_byte_order_mark_is_not_part_of_the_first_name(tmp_path):
    path = write(tmp_path / "data.csv", b"\xef\xbb\xbf" + table("first").to_csv(index=False).encode())
    assert inspect_data(path).names[0] == "label"
    assert_same_rows(path)


def test_latin_1_is_read_and_said(tmp_path):
    words = np.array(["größe", "müll", "é"])[LABELS]
    path = write(tmp_path / "data.csv", table("first", words).to_csv(index=False).encode("latin-1"))
    facts = inspect_data(path)
    assert facts.encoding == "latin-1"
    assert any("Latin-1" in note for note in facts.notes)
    assert [text for text, _ in facts.candidates[0].classes] == ["größe", "müll", "é"]


def test_numbers_as_names_are_a_header(tmp_path):
    frame = pd.DataFrame(np.c_[VALUES, LABELS])
    facts = inspect_data(write(tmp_path / "data.csv", frame.to_csv(index=False)))
    assert facts.has_header
    assert facts.names == tuple(str(i) for i in range(COLUMNS + 1))
    assert facts.rows == ROWS


def test_index_column_exported_by_pandas_is_left_out_and_said(tmp_path):
    path = write(tmp_path / "data.csv", table("first").to_csv())
    assert_same_rows(path)
    warnings = prepare(path, DataSettings(), INPUTS, OUTPUTS).warnings
    assert any("'Unnamed: 0' counts the rows" in warning for warning in warnings)


def test_delimiter_at_the_end_of_every_line_is_no_column(tmp_path):
    text = table("first").to_csv(index=False).replace("\n", ",\n")
    path = write(tmp_path / "data.csv", text)
    assert_same_rows(path)
    assert inspect_data(path).problem_counts == {}


def test_announced_separator_and_numpy_comment_header_are_understood(tmp_path):
    text = "sep=;\n" + table("first").to_csv(index=False, sep=";")
    assert_same_rows(write(tmp_path / "excel.csv", text))
    np.savetxt(
        tmp_path / "numpy.csv", np.c_[LABELS, VALUES], delimiter=",", header="label," + ",".join("abcdef")
    )
    assert inspect_data(tmp_path / "numpy.csv").names == ("label", *"abcdef")
    assert_same_rows(tmp_path / "numpy.csv")
    noted = "# measured in May\n# by hand, twice\n" + table("first").to_csv(index=False)
    assert_same_rows(write(tmp_path / "noted.csv", noted))


def test_what_the_user_fixes_is_not_guessed(tmp_path):
    path = write(tmp_path / "data.csv", "1;2,5;3\n4;5,5;6\n")
    assert inspect_data(path, delimiter=",").columns == 2
    assert inspect_data(path, has_header=True).rows == 1


def test_blocks_never_cut_a_row_and_number_the_lines(tmp_path, monkeypatch):
    text = "a,b\n" + "".join(f'{i},"x{i}\ny"\n' for i in range(200))
    path = write(tmp_path / "data.csv", text)
    for size in (17, 64, 1000):
        monkeypatch.setattr("lwdash.datasets.readers.source.BLOCK_BYTES", size)
        blocks = list(text_blocks(path, 1))
        assert b"".join(block.data for block in blocks) == text[4:].encode()
        for block in blocks:
            assert block.data.count(b'"') % 2 == 0
            assert text.encode().split(b"\n")[block.first_line - 1] == block.data.split(b"\n")[0]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_small_blocks_give_the_same_dataset(tmp_path, monkeypatch, end):
    path = write(tmp_path / "data.csv", table("first").to_csv(index=False).replace("\n", end))
    monkeypatch.setattr("lwdash.datasets.readers.source.BLOCK_BYTES", 101)
    assert_same_rows(path)


def zipped(*members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for member in members:
            archive.writestr(member, "x")
    return buffer.getvalue()


GOOD = table("first").to_csv(index=False).encode()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n\r\n \n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (gzip.compress(b"", mtime=0), "is empty"),
        (b"label,a,b\n", "a header (label, a, b) but no rows"),
        (GOOD.decode().encode("utf-16"), "UTF-16"),
        (GOOD.decode().encode("utf-16-be"), "UTF-16"),
        (zipped("xl/workbook.xml"), "Excel workbook (.xlsx)"),
        (b"\xd0\xcf\x11\xe0" + bytes(600), "Excel workbook of the old kind"),
        (zipped("content.xml", "mimetype"), "OpenDocument"),
        (zipped("data.csv"), "zip archive (it holds data.csv)"),
        (zipped("config.json", "metadata.json"), "Keras model"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
        (b"PAR1" + bytes(100), "Parquet"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"<head><title>Sign in, please</title></head>\n", "web page"),
        (b"<!-- generated -->\n<html><body>a,b</body></html>\n", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "Git LFS pointer"),
        (bytes(5000), "filled with zero bytes"),
        (GOOD + bytes(5000), "ends in zero bytes"),
        (b"\x1c\x00\x00\x00TFL3" + bytes(100), "TensorFlow Lite model"),
        (b"\x7fELF\x02\x01\x01" + bytes(100), "a program (ELF)"),
        (b'{"label": [1, 2]}', "JSON"),
        (np.random.default_rng(0).bytes(5000), "is not text"),
        (gzip.compress(GOOD, mtime=0)[:-40], "incomplete gzip"),
        (b"\x1f\x8b" + np.random.default_rng(0).bytes(500), "gzip"),
        (b"1.0 2.0 3.0\n4.0 5.0 6.0\n", "separated by spaces"),
        (b'a,b\n1,"2\n' + b"3,4\n" * 30, "quote"),
    ],
)  # fmt: skip
def test_what_is_not_a_csv_is_refused_with_cause_and_way_out(tmp_path, content, said):
    with pytest.raises(DataRefused) as refused:
        inspect_data(write(tmp_path / "data.csv", content))
    message = str(refused.value)
    assert said in message
    assert message.startswith("data.csv")
    assert len(message.split(". ")) >= 2 or "?" in message, "no way out is given"


@pytest.mark.long
def test_random_bytes_and_mutilated_files_never_raise_anything_else(tmp_path):
    generator, messages = np.random.default_rng(3), []
    for number in range(150):
        content = bytearray(GOOD if number % 3 else gzip.compress(GOOD))
        for place in generator.integers(0, len(content), 1 + number % 7):
            content[place] = generator.choice(list(b'",;\n\r\t\0\xff#=x'))
        path = write(tmp_path / "data.csv", bytes(content))
        for read in (inspect_data, lambda path: prepare(path, DataSettings(), INPUTS, OUTPUTS)):
            try:
                read(path)
            except DataRefused as refused:
                messages.append(str(refused))
    assert all("data" in message or "column" in message for message in messages)
    assert len(set(messages)) > 10


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("?", "missing ('?')"),
        ("N/A", "missing ('N/A')"),
        ("", "empty"),
        ('"1,234"', "'1,234' is not a number, write numbers without thousands separators"),
        ("12 500", "without thousands separators"),
        ("12%", "write percentages as plain numbers"),
        ("x", "'x' is not a number)"),
    ],
)
def test_a_bad_cell_is_called_as_it_is_written(tmp_path, cell, said):
    lines = [f"{i}.5,{i % 3}" for i in range(30)]
    lines[6] = f"{cell},0"
    path = write(tmp_path / "data.csv", "value,label\n" + "\n".join(lines) + "\n")
    text = inspect_data(path).problem_text
    assert f"row 8, column 'value': {said}" in text or ("row 8" in text and said in text)


def test_a_comma_that_may_separate_thousands_is_said_to_be_read_as_a_decimal_sign(tmp_path):
    path = write(tmp_path / "data.csv", "a;label\n" + "1,234;0\n12,500;1\n" * 5)
    assert any("1,234 is read as 1.234" in note for note in inspect_data(path).notes)
    path = write(tmp_path / "data.csv", "a;label\n" + "1,234;0\n12,5;1\n" * 5)
    assert not any("is read as" in note for note in inspect_data(path).notes)
