"""When a page is painted, and how long a click takes until it is."""

import time
from collections.abc import Iterator
from typing import Any

DRAWN = "document.querySelector('.lwdash-figure')?.dataset.drawn"
"""Changes with each drawing of the trade-off chart."""
RINGS = (
    "document.querySelector('.lwdash-figure').layout.shapes.filter((one) => one.name === 'selected').length"
)
ROW_PIXELS = 35
SETTLED = (
    "!document.querySelector('[data-stale=true], [data-testid=stSkeleton], [data-testid=stStatusWidget]')"
)
"""The server has answered and nothing is left to be drawn."""


def settled(page: Any) -> None:
    page.wait_for_function(SETTLED)


def tick(page: Any, row: int) -> None:
    """Ticks a row of the table of runs; its cells are painted, so the place is computed."""
    page.get_by_test_id("stDataFrame").first.click(position={"x": 17, "y": ROW_PIXELS * (row + 1.5)})


def timed_clicks(page: Any) -> Iterator[tuple[str, float]]:
    """What was done on an experiment's page, and seconds until the page was painted anew."""
    for row in range(5):
        began = time.monotonic()
        tick(page, row)
        page.wait_for_function(f"{RINGS} === {row + 1}")
        settled(page)
        yield "select a row", time.monotonic() - began
    for word in ("dynamic", "cluster", "prune", "float16", ""):
        drawn = page.evaluate(DRAWN)
        began = time.monotonic()
        page.get_by_role("textbox", name="Search").fill(word)
        page.get_by_role("textbox", name="Search").press("Enter")
        page.wait_for_function(f"{DRAWN} !== '{drawn}'")
        settled(page)
        yield "search", time.monotonic() - began
