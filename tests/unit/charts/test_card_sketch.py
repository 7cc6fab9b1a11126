"""The small drawings of the overview: what they hold, at which places, and in words."""

import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd

from lwdash.charts.card_sketch import (
    BEST,
    HEIGHT,
    MAX_DOTS,
    WIDTH,
    sketch_curves,
    sketch_images,
    sketch_tradeoff,
)
from lwdash.examples import EXAMPLES
from lwdash.ui.overview.sketches import example_sketch

SVG = "{http://www.w3.org/2000/svg}"


def runs(*entries: tuple[float, float | None]) -> pd.DataFrame:
    """(size, accuracy), the first one the baseline."""
    return pd.DataFrame(
        {
            "id": range(1, len(entries) + 1),
            "is_baseline": [i == 0 for i in range(len(entries))],
            "size_bytes": [size for size, _ in entries],
            "accuracy": pd.Series([accuracy for _, accuracy in entries], dtype=float),
        }
    )


def drawn(svg: str, kind: str) -> list[ET.Element]:
    return ET.fromstring(svg).findall(f"{SVG}{kind}")


def test_a_tradeoff_has_a_dot_a_run_a_star_and_a_ring_within_its_frame() -> None:
    sketch = sketch_tradeoff(runs((100, 0.9), (50, 0.9), (25, 0.8), (30, None)), best=2)
    assert sketch is not None
    assert "Accuracy against size of 3 runs" in sketch.caption
    circles = drawn(sketch.svg, "circle")
    rings = [c for c in circles if c.get("stroke") == BEST]
    dots = [c for c in circles if c.get("stroke") is None]
    assert (len(dots), len(rings), len(drawn(sketch.svg, "polygon"))) == (2, 1, 1)
    for circle in circles:
        assert 0 < float(circle.get("cx", "")) < WIDTH
        assert 0 < float(circle.get("cy", "")) < HEIGHT
    ring = rings[0]
    other = next(c for c in dots if c.get("cx") != ring.get("cx"))
    assert float(other.get("cx", "")) < float(ring.get("cx", "")), "smaller is to the left"
    assert float(other.get("cy", "")) > float(ring.get("cy", "")), "worse is below"


def test_many_runs_are_thinned_and_too_few_are_not_drawn() -> None:
    many = sketch_tradeoff(runs(*((100 + i, 0.5 + i / 10_000) for i in range(2000))), best=None)
    assert many is not None
    assert len(drawn(many.svg, "circle")) == MAX_DOTS
    assert "2,000 runs" in many.caption
    assert sketch_tradeoff(runs((100, 0.9)), best=None) is None
    assert sketch_tradeoff(runs((100, None), (50, None)), best=None) is None
    alike = sketch_tradeoff(runs((100, 0.9), (50, 0.9)), best=None)
    assert alike is not None
    assert "nan" not in alike.svg


def test_every_example_is_drawn_from_its_own_file() -> None:
    for example in EXAMPLES:
        sketch = example_sketch(example)
        assert drawn(sketch.svg, "rect" if example.drawn_as == "image" else "polyline")
        assert sketch.caption.startswith("One row each of ")


def test_rows_are_drawn_as_they_are() -> None:
    image = sketch_images([np.array([[0.0, 4.0], [2.0, 0.0]])], "a cross")
    assert [one.get("fill-opacity") for one in drawn(image.svg, "rect")] == ["1.00", "0.50"]
    curves = sketch_curves([np.zeros(5), np.arange(5.0)], "two rows")
    assert len(drawn(curves.svg, "polyline")) == 2
