"""Small drawings on cards, and drawings of an example from its file."""

import csv
import gzip
from base64 import b64encode
from html import escape
from itertools import islice
from math import isqrt

import numpy as np
import streamlit as st

from lwdash.charts.card_sketch import Sketch, sketch_curves, sketch_images
from lwdash.examples import EXAMPLES, Example, find_example

MAX_SEARCHED_ROWS = 200
"""Rows from the start of the file that are searched for one row of each class."""
MAX_SHOWN = {"image": 8, "curve": 4}


def show_sketch(sketch: Sketch) -> None:
    """Draw it at its own size, or in the available width."""
    source = b64encode(sketch.svg.encode()).decode()
    st.html(
        f'<img src="data:image/svg+xml;base64,{source}" alt="{escape(sketch.caption)}" width="{sketch.width}" '
        'style="max-width:100%">',
        width="content",
    )


def example_sketch(example: Example) -> Sketch:
    """One row of each of the first classes."""
    return _sketch(example.name)


@st.cache_data(max_entries=len(EXAMPLES), show_spinner=False)
def _sketch(name: str) -> Sketch:
    example = find_example(name)
    opened = gzip.open if example.data_path.suffix == ".gz" else open
    first: dict[str, np.ndarray] = {}
    with opened(example.data_path, "rt", encoding="utf-8", newline="") as file:
        for row in islice(csv.DictReader(file), MAX_SEARCHED_ROWS):
            label = row.pop(example.label)
            first.setdefault(label, np.array([float(value) for value in row.values()]))
    shown = sorted(first)[: MAX_SHOWN[example.drawn_as]]
    caption = f"One row each of {', '.join(shown)}"
    if example.drawn_as == "curve":
        return sketch_curves([first[label] for label in shown], caption)
    side = isqrt(len(first[shown[0]]))
    return sketch_images([first[label].reshape(side, side) for label in shown], caption)
