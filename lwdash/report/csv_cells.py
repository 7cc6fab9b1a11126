"""Cells of CSV files that are opened in spreadsheets: text always stays text."""

import re
from typing import Any

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""First characters of cells that a spreadsheet treats as a formula, or strips until it is one (OWASP, CSV injection)."""
QUANTITY = re.compile(r"[+-][0-9][0-9.,]*(e[+-]?[0-9]+)?( ?[a-zA-Z%/]+)?|[+-](inf|nan)")
"""A number with a sign, and perhaps its unit: `-3.5e-05`, `+0.5 points`."""


def neutralised(value: Any) -> Any:
    """Text that a spreadsheet would compute, with an apostrophe before it; quantities and other values unchanged."""
    if (
        not isinstance(value, str)
        or not value.lstrip(" \u00a0").startswith(FORMULA_SIGNS)
        or QUANTITY.fullmatch(value)
    ):
        return value
    return f"'{value}"
