"""Limits as keywords of the Python interface."""

from typing import TypedDict

from lwdash.metrics.limits import LIMITS, limits_from_options

PREFIX = "max_"


class LimitOptions(TypedDict, total=False):
    """Limits by keyword; None is no limit.

    max_size, max_arena, max_flash: kB (1,000 bytes). max_drop: percentage points of accuracy. max_latency: ms. max_npu:
    cycles.
    """

    max_size: float | None
    max_drop: float | None
    max_latency: float | None
    max_arena: float | None
    max_flash: float | None
    max_npu: float | None


def stored_limits(options: LimitOptions) -> dict[str, float]:
    """The limits as they are stored. Raises TypeError for another keyword, and UserMistake for an invalid value."""
    known = {PREFIX + limit.option.name for limit in LIMITS.values()}
    if unknown := sorted(options.keys() - known):
        raise TypeError(f"unexpected keyword argument {unknown[0]!r} (limits: {', '.join(sorted(known))})")
    return limits_from_options({name.removeprefix(PREFIX): value for name, value in options.items()})  # type: ignore[misc]
