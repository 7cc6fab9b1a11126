"""Numbers as text: units, signs, and a dash for missing values."""

import math
from datetime import UTC, datetime
from typing import Any

from lwdash.percent_text import as_percent

NOTHING = "–"


def is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def size(value: float | None) -> str:
    """Bytes as B, kB or MB (powers of 1,000, as in data sheets of flash memory: its limits are checked in bytes)."""
    if is_missing(value):
        return NOTHING
    assert value is not None
    if abs(value) < 1000:
        return f"{value:.0f} B"
    return f"{value / 1000:,.1f} kB" if abs(value) < 999_950 else f"{value / 1e6:,.2f} MB"


def percent(value: float | None, digits: int = 1) -> str:
    return NOTHING if is_missing(value) else as_percent(value, digits)  # type: ignore[arg-type]


def points(value: float | None) -> str:
    """A difference of two shares, in percentage points."""
    if is_missing(value):
        return NOTHING
    assert value is not None
    text = f"{100 * value:+.1f}"
    return "±0.0 points" if float(text) == 0 else f"{text} points".replace("-", "−")


def milliseconds(value: float | None) -> str:
    """A latency in µs below 1 ms, else in ms, to three digits or whole."""
    if is_missing(value):
        return NOTHING
    assert value is not None
    unit, shown = ("µs", 1000 * value) if value < 0.9995 else ("ms", value)
    return f"{shown:,.0f} {unit}" if shown >= 999.5 else f"{shown:.3g} {unit}"


def times(value: float | None) -> str:
    return NOTHING if is_missing(value) else f"{value:.2f}×"


def ratio_text(factor: float, more: str, less: str) -> str:
    """`3.9× smaller`; a factor below 1 as `5.3× larger`."""
    value, word = (factor, more) if factor >= 1 else (1 / factor, less)
    return f"{value:.1f}× {word}" if value >= 1.95 else f"{value:.2f}× {word}"


def seconds(value: float | None) -> str:
    if is_missing(value):
        return NOTHING
    assert value is not None
    if value < 9.95:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes_left = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes_left} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def count(value: float | None) -> str:
    return NOTHING if is_missing(value) else f"{value:,.0f}"


def counted(number: int, noun: str) -> str:
    """`1 row`, `1,204 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def shape(value: Any) -> str:
    """(140, 1); `?` for a variable length, a dash if the shape is unknown."""
    if value is None:
        return NOTHING
    return "(" + ", ".join("?" if n is None else str(n) for n in value) + ")"


def utc(value: float | None) -> str:
    """Seconds since 1970 as `2026-11-22 02:26`, in UTC."""
    return NOTHING if is_missing(value) else f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M}"  # type: ignore[arg-type]
