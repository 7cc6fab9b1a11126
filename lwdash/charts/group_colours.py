"""Colours of groups of runs."""

from lwdash.charts.palette import GREY, SERIES
from lwdash.metrics.run_groups import RunGroups

IN_ORDER = ("#7E6BC4", "#2F7FD2", "#008C99", "#1F9D55", "#8A8A00", "#C47F00", "#D55E00")
"""Hues in order, for numbers: all are about as light, to be readable on both pages."""
WORDS = tuple(colour for colour in SERIES if colour != GREY)


def colours_of(groups: RunGroups) -> list[str]:
    """The colour of each group; grey for the runs without the fact, and for the rarest of many groups."""
    count = len(groups.names) - groups.has_others
    if not groups.is_ordered:
        colours = [*WORDS[:count], *[GREY] * (count - len(WORDS))]
    elif count < 2:
        colours = list(IN_ORDER[1 : 1 + count])
    else:
        step = (len(IN_ORDER) - 1) / (min(count, len(IN_ORDER)) - 1)
        colours = [IN_ORDER[round(step * i)] for i in range(min(count, len(IN_ORDER)))]
        colours += [GREY] * (count - len(colours))
    return colours + [GREY] * groups.has_others
