"""docs/add-a-reader.md, followed to the letter: a file of the page's format gives the rows of the plain CSV."""

import lzma
from pathlib import Path

import numpy as np
import pytest
from support.documented import documented, loaded

from lwdash.datasets.data_inspection import inspect_data
from lwdash.datasets.data_settings import DataSettings
from lwdash.datasets.prepare import prepare
from lwdash.datasets.readers import source
from lwdash.errors import DataRefused

ROWS = "label,a,b\n" + "".join(f"{row % 3},{row * 0.5},{-row}\n" for row in range(60))
PORTS = [("x", (2,), "float32")], [("y", (3,), "float32")]


@pytest.fixture
def packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The rows in the format of the page, while it is in the table."""
    files = documented("add-a-reader.md")
    modules = {path: loaded(path, text, monkeypatch) for path, text in files.items()}
    monkeypatch.setattr(source, "FORMATS", modules["lwdash/datasets/readers/__init__.py"].FORMATS)
    path = tmp_path / "rows.csv"
    path.write_bytes(lzma.compress(ROWS.encode()))
    return path


def test_the_rows_are_those_of_the_plain_file(packed: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.csv"
    plain.write_text(ROWS)
    assert inspect_data(packed).rows == 60
    ours, theirs = (prepare(path, DataSettings(), *PORTS) for path in (packed, plain))
    np.testing.assert_array_equal(ours.inputs["x"], theirs.inputs["x"])
    np.testing.assert_array_equal(ours.labels, theirs.labels)


def test_a_file_that_is_cut_off_is_refused_in_words(packed: Path) -> None:
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(DataRefused, match=r"rows\.csv is a damaged or incomplete xz file"):
        inspect_data(packed)
