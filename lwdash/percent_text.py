"""Shares as text. Needs nothing."""

MAX_DIGITS = 4


def as_percent(share: float, digits: int = 0) -> str:
    """`share` (0–1) in percent with at least `digits` decimals. More decimals are used so that 99.7 % is not
    shown as 100 %, or 0.2 % as 0.

    If MAX_DIGITS decimals are not enough: "> 99.9999 %".
    """
    for decimals in range(digits, MAX_DIGITS + 1):
        text = f"{100 * share:.{decimals}f}"
        if not 0 < share < 1 or 0 < float(text) < 100:
            return f"{text} %"
    least = 10**-MAX_DIGITS
    return f"> {100 - least:.{MAX_DIGITS}f} %" if share > 0.5 else f"< {least:.{MAX_DIGITS}f} %"
