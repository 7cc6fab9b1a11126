"""Exported CSV files hold no formulas, whatever people and models call things, and no number is touched."""

import csv
import io
import zipfile
from typing import Any

import pandas as pd
import pytest

from lwdash.report import run_tables
from lwdash.report.csv_cells import neutralised
from lwdash.ui.results.plain_records import to_csv

FORMULAS = (
    "=cmd|' /C calc'!A0", "@SUM(1+1)*cmd|' /C calc'!A0", "+1+1", "-2+3+cmd|' /C calc'!A0", "\t=1+1", "\r=1+1",
    " =1+1", "\n=1+1", "=HYPERLINK(\"http://example.org\",\"x\")", "--1", "-",
    "+1 points|x", "-1 A1+A2",
)  # fmt: skip
HARMLESS = (
    "int8",
    "a=b",
    "a@b.org",
    "",
    "-0.5",
    "+3",
    "-1e-7",
    "+0.5 points",
    "-3 %",
    "-inf",
    "2026-11-28",
    "N/A",
)


def cells(text: str) -> list[str]:
    return [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_has_an_apostrophe_before_it(text: str) -> None:
    assert neutralised(text) == f"'{text}"


@pytest.mark.parametrize("value", [*HARMLESS, -0.5, 3, None, True, float("-inf")])
def test_everything_else_stays_as_it_is(value: Any) -> None:
    assert neutralised(value) is value


@pytest.mark.parametrize("text", FORMULAS)
def test_titles_tags_and_notes_of_exported_runs(text: str) -> None:
    row = {
        "id": 1,
        "recipe": "int8",
        "title": text,
        "tags": [text, "b"],
        "note": text,
        "error": text,
        "accuracy": -0.5,
    }
    found = cells(to_csv(pd.DataFrame([row])))
    assert not [cell for cell in found if neutralised(cell) != cell]
    assert f"'{text}" in found
    assert f"'{text};b" in found
    assert "-0.5" in found


@pytest.mark.parametrize("text", FORMULAS)
def test_class_names_layers_and_words_in_the_tables_of_a_run(text: str) -> None:
    detail = {
        "measured": {
            "classes": [text, "b"], "confusion": [[1, 2], [3, 4]], "layers": [{"layer": text, "bytes": 9}],
            "flips": [{"row": 0, "was": text}],
        },
        "compressed": {"skipped": [{"layer": text, "reason": text}]},
    }  # fmt: skip
    tables = run_tables.run_tables(
        {"id": 1, "note": text, text: 1.5}, detail["compressed"], detail["measured"]
    )
    with zipfile.ZipFile(run_tables.to_zip(tables)) as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert {"confusion.csv", "layers.csv", "changed_rows.csv", "left_as_they_are.csv", "figures.csv"} <= set(
        texts
    )
    for name, written in texts.items():
        assert not [cell for cell in cells(written) if neutralised(cell) != cell], name
