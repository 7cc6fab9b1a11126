"""Texts that are meant as numbers but cannot be read: hints for writing them."""

import re

_SEPARATORS = ",.'’_ \u00a0\u2009\u202f"
_THOUSANDS = re.compile(rf"[+-]?\d{{1,3}}(?:[{_SEPARATORS}]\d{{3}})+(?:[.,]\d+)?")
_AMBIGUOUS = re.compile(r"[+-]?\d{1,3},\d{3}")
_PERCENT = re.compile(r"[+-]?[\d.,]+\s*%")
_CURRENCY = re.compile(r"[€$£¥]\s*[\d.,]+|[\d.,]+\s*[€$£¥]")


def number_hint(text: str) -> str:
    """Hint for writing `text` as a number, as a clause; "" if it does not look like a number."""
    text = text.strip()
    if _THOUSANDS.fullmatch(text):
        return "write numbers without thousands separators"
    if _PERCENT.fullmatch(text):
        return "write percentages as plain numbers"
    if _CURRENCY.fullmatch(text):
        return "write amounts without the currency sign"
    return ""


def is_ambiguous_decimal(text: str) -> bool:
    """True if a comma may be a decimal sign or a thousands separator: 12,500."""
    return _AMBIGUOUS.fullmatch(text.strip()) is not None
