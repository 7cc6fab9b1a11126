"""The CSV that a table of a page offers has no formulas; cells that are none stay as they are."""

from pathlib import Path

import pandas as pd

import lwdash.ui
from lwdash.ui.shared.data_table import without_formulas


def test_texts_of_users_are_no_formulas_and_all_other_cells_stay() -> None:
    frame = pd.DataFrame(
        {
            "class": ["=cmd|' /C calc'!A0", "owl", "-0.5"],
            "change": ["+0.5 points", "-3 %", None],
            "mixed": [None, 1.5, "@SUM(1)"],
            "rows": [1, 2, 3],
            "when": pd.to_datetime(["2026-01-01", "2026-01-02", None]),
            "=1+1": [0.5, None, 2.0],
        }
    )
    safe = without_formulas(frame)
    assert safe["class"].tolist() == ["'=cmd|' /C calc'!A0", "owl", "-0.5"]
    assert safe["mixed"].tolist() == [None, 1.5, "'@SUM(1)"]
    assert list(safe) == ["class", "change", "mixed", "rows", "when", "'=1+1"]
    unchanged = ["change", "rows", "when"]
    pd.testing.assert_frame_equal(safe[unchanged], frame[unchanged])


def test_every_table_with_such_a_button_is_made_so() -> None:
    folder = Path(lwdash.ui.__file__).parent
    calls = {
        str(path.relative_to(folder))
        for path in folder.rglob("*.py")
        for name in (".dataframe(", ".data_editor(")
        if name in path.read_text()
    }
    assert calls == {"shared/data_table.py"}
