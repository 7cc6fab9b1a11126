"""Colour, sign and word for whether a file fits on a board."""

from typing import Any

import streamlit as st

FITS = {
    "fits": ("✓ fits", "green"),
    "does not fit": ("✕ does not fit", "red"),
    "refused": ("⊘ refused", "orange"),
    "not measured": ("… not measured", "gray"),
}


def fit_column(label: str | None = None, *, help: str | None = None, width: int = 230) -> Any:
    """Format of a table column with lists of badges, the first of which is one of FITS."""
    return st.column_config.MultiselectColumn(
        label,
        options=[label for label, _ in FITS.values()],
        color=[colour for _, colour in FITS.values()],
        width=width,
        help=help,
    )
