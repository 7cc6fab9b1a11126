"""Cells of CSV files that are opened in spreadsheets: text always stays text."""

from typing import Any

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""First characters of cells that a spreadsheet treats as a formula, or strips until it is one (OWASP, CSV injection)."""


def neutralised(value: Any) -> Any:
    """Text that a spreadsheet would compute, with an apostrophe before it; numbers and other values unchanged."""
    if (
        not isinstance(value, str)
        or not value.lstrip(" \u00a0").startswith(FORMULA_SIGNS)
        or _is_number(value)
    ):
        return value
    return f"'{value}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii() and "_" not in text
