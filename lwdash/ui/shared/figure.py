"""A plotly figure that keeps its zoom when its data changes, tells which runs are picked on it, and saves as PNG or SVG.

Streamlit's own chart is made anew whenever a point moves or is selected elsewhere; this one is updated in place.
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
    """A figure as it is sent to the page."""

    text: str
    height: int


def written(figure: go.Figure) -> Spec:
    """Writes a figure for the page, without colours of its own for paper, ink and axes: the page has them."""
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
    """Draws a figure in the page's colours; `alt` says it in words. Writing it is slow: keep its Spec where it stays.

    selected: (run, x, y) of the runs that are ringed. on_pick: called with the runs that a click, a box or a lasso
    leaves selected; a trace whose customdata are runs' ids can be picked from. on_brush: of parallel coordinates, called
    with the [low, high] of each brush by the name of its axis. file_name: of a saved picture, without its ending.
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
    """Brushes as the browser sends them, without what is not of their shape."""
    return {
        str(name): [
            [float(low), float(high)]
            for low, high in (span for span in spans if isinstance(span, list) and len(span) == 2)
            if isinstance(low, (int, float)) and isinstance(high, (int, float))
        ]
        for name, spans in brushes.items()
        if isinstance(spans, list)
    }
