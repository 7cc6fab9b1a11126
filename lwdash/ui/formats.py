"""Numbers for people: units, signs, and a dash where nothing was measured."""

import math
from typing import Any

NOTHING = "–"


def is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def size(value: float | None) -> str:
    """Bytes as B, kB or MB (powers of 1,000, as a data sheet counts flash: its limits are checked in bytes)."""
    if is_missing(value):
        return NOTHING
    assert value is not None
    if abs(value) < 1000:
        return f"{value:.0f} B"
    return f"{value / 1000:,.1f} kB" if abs(value) < 1e6 else f"{value / 1e6:,.2f} MB"


def percent(value: float | None, digits: int = 1) -> str:
    return NOTHING if is_missing(value) else f"{100 * value:.{digits}f} %"  # type: ignore[operator]


def points(value: float | None) -> str:
    """A difference of two shares, in percentage points."""
    return NOTHING if is_missing(value) else f"{100 * value:+.1f} points".replace("-", "−")  # type: ignore[operator]


def milliseconds(value: float | None) -> str:
    """A latency in µs below 1 ms, else in ms, to three digits."""
    if is_missing(value):
        return NOTHING
    assert value is not None
    return f"{1000 * value:.3g} µs" if value < 1 else f"{value:.3g} ms"


def times(value: float | None) -> str:
    return NOTHING if is_missing(value) else f"{value:.2f}×"


def seconds(value: float | None) -> str:
    if is_missing(value):
        return NOTHING
    assert value is not None
    if value < 60:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    return f"{int(value // 60)} min {int(value % 60)} s"


def count(value: float | None) -> str:
    return NOTHING if is_missing(value) else f"{value:,.0f}"


def shape(value: Any) -> str:
    """(140, 1); `?` for a length that varies, a dash where the file does not tell."""
    if value is None:
        return NOTHING
    return "(" + ", ".join("?" if n is None else str(n) for n in value) + ")"
