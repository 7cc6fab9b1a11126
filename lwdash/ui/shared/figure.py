"""A plotly figure that keeps its zoom when its data changes, reports selected runs, and saves as PNG or SVG.

Streamlit's own chart is recreated whenever a point moves or is selected elsewhere; this one is updated in
place.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import streamlit as st
from plotly.io.json import to_json_plotly

from lwdash.report.html_page import FITTING

_FOLDER = Path(__file__).parent

_mount = st.components.v2.component(
    "lwdash_figure",
    html='<div class="lwdash-figure"></div>',
    css=(_FOLDER / "figure.css").read_text(encoding="utf-8"),
    js="\n".join(path.read_text(encoding="utf-8") for path in (FITTING, _FOLDER / "figure.js")),
    isolate_styles=False,
)


@dataclass(frozen=True)
class Spec:
    """A figure in the form that is sent to the page."""

    text: str
    height: int


def written(figure: go.Figure) -> Spec:
    """The figure for the page, without its own colours for paper, text and axes: the page sets them."""
    spec = figure.to_plotly_json()
    spec["layout"].pop("template", None)
    return Spec(to_json_plotly(spec), int(figure.layout.height or 450))


def show_figure(
    figure: go.Figure | Spec,
    *,
    key: str,
    alt: str,
    file_name: str,
    selected: Sequence[tuple[int, float, float]] = (),
    on_pick: Callable[[list[int]], None] | None = None,
    on_brush: Callable[[dict[str, list[list[float]]]], None] | None = None,
) -> None:
    """Draw a figure in the page's colours; `alt` is its text alternative. Serialising is slow: cache its
    Spec.

    selected: (run, x, y) of the runs with a ring. on_pick: called with the runs selected by a click, a box or
    a lasso; it works for traces whose customdata are run ids. on_brush: for parallel coordinates, called with
    the [low, high] of each brush by the name of its axis. file_name: of a saved image, without its suffix.
    """
    spec = figure if isinstance(figure, Spec) else written(figure)

    def picked() -> None:
        ids = st.session_state[key].get("picked") if key in st.session_state else None
        if on_pick is not None and isinstance(ids, list):
            on_pick([int(i) for i in ids if isinstance(i, (int, float))])
        if on_brush is not None and isinstance(ids, dict):
            on_brush(_spans(ids))

    data: dict[str, Any] = {
        "figure": spec.text,
        "height": spec.height,
        "alt": alt,
        "file_name": file_name,
        "selected": [list(one) for one in selected],
        "can_pick": on_pick is not None or on_brush is not None,
    }
    _mount(key=key, data=data, on_picked_change=picked, width="stretch", height="content")


def _spans(brushes: dict[Any, Any]) -> dict[str, list[list[float]]]:
    """Brushes from the browser, without entries of another form."""
    return {
        str(name): [
            [float(low), float(high)]
            for low, high in (span for span in spans if isinstance(span, list) and len(span) == 2)
            if isinstance(low, (int, float)) and isinstance(high, (int, float))
        ]
        for name, spans in brushes.items()
        if isinstance(spans, list)
    }
