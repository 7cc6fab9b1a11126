"""Colours of marks, each with a contrast of at least 3:1 to the light and to the dark page."""

import re

LIGHT_PAGE, DARK_PAGE = "#ffffff", "#0f151b"
MIN_CONTRAST = 3.0
"""Minimum for graphical objects (WCAG 2.2, success criterion 1.4.11)."""

BLUE, ORANGE, GREEN, PINK, SKY, VERMILION = "#0072B2", "#C47F00", "#009E73", "#CC79A7", "#2F97D2", "#D55E00"
GREY, OLIVE = "#808d99", "#9d9100"
SERIES = (BLUE, ORANGE, GREEN, PINK, SKY, VERMILION, GREY, OLIVE)
"""Okabe and Ito's colours; orange, sky blue and yellow are darker, since they are too pale on a white page."""


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb`, 0 (black) to 1 (WCAG 2.2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(colour: str, page: str) -> float:
    """Contrast of two colours, 1 to 21. colour: `#rrggbb`, or `rgba(r,g,b,a)` that is drawn over `page`."""
    if found := re.fullmatch(r"rgba\((\d+),\s*(\d+),\s*(\d+),\s*([\d.]+)\)", colour):
        share = float(found[4])
        below = [int(page[i : i + 2], 16) for i in (1, 3, 5)]
        mixed = [round(share * int(found[k + 1]) + (1 - share) * other) for k, other in enumerate(below)]
        colour = "#{:02x}{:02x}{:02x}".format(*mixed)
    dark, light = sorted((luminance(colour), luminance(page)))
    return (light + 0.05) / (dark + 0.05)


def page_contrast(colour: str) -> float:
    """The smaller of the contrasts to the light and to the dark page."""
    return min(contrast(colour, LIGHT_PAGE), contrast(colour, DARK_PAGE))
