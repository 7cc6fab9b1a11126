"""Tables with sorting, search and a button that saves them as CSV. Text in them stays text in a spreadsheet."""

from typing import Any

import pandas as pd
import streamlit as st

from lwdash.report.csv_cells import neutralised


def data_table(data: Any, **options: Any) -> Any:
    """`st.dataframe` of `data`, from which pandas can make a frame.

    Names of classes and layers come from users' files, and Streamlit writes them to the CSV as they are.
    """
    return st.dataframe(without_formulas(pd.DataFrame(data)), **options)


def without_formulas(frame: pd.DataFrame) -> pd.DataFrame:
    """`frame`, with an apostrophe before each text, also in its header, that a spreadsheet would compute."""
    changed = {
        name: column.map(neutralised) for name, column in frame.items() if any(map(_is_formula, column))
    }
    return frame.assign(**changed).rename(columns=neutralised)  # type: ignore[arg-type]


def _is_formula(value: Any) -> bool:
    return neutralised(value) is not value
