"""docs/add-a-reader.md, followed to the letter: the tests of the page pass with its format, and only with it."""

from pathlib import Path
from types import ModuleType

import pytest
from support.documented import documented, loaded

from lwdash.datasets.readers import source
from lwdash.errors import DataRefused

TABLE, TESTS = "lwdash/datasets/readers/__init__.py", "tests/unit/datasets/readers/csv_text/test_xz_file.py"


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    files = documented("add-a-reader.md")
    return {path: loaded(path, text, monkeypatch) for path, text in files.items()}


def test_the_format_of_the_page_passes_its_tests(
    modules: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "FORMATS", modules[TABLE].FORMATS)
    modules[TESTS].test_an_xz_file_has_the_rows_of_its_text(tmp_path)
    modules[TESTS].test_an_xz_file_that_is_cut_off_is_refused(tmp_path)


def test_without_its_line_in_the_table_they_fail(modules: dict[str, ModuleType], tmp_path: Path) -> None:
    with pytest.raises(DataRefused):
        modules[TESTS].test_an_xz_file_has_the_rows_of_its_text(tmp_path)
