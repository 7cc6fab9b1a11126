"""User-chosen names in figures: plotly interprets some HTML and `%{…}` in most of its texts."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec

import numpy as np
import plotly.graph_objects as go

DATA = ("x", "y", "labels", "parents", "ids", "customdata", "name")
"""Fields of a trace that come from the data. `text` and templates are ours: they call `literal` on names."""
AXES = ("categoryarray", "ticktext", "tickvals")

Parameters = ParamSpec("Parameters")


def literal(text: str) -> str:
    """Text that plotly shows character by character, line by line."""
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return safe.replace("%{", "%&#123;").replace("\n", "<br>")


def names_as_text(plot: Callable[Parameters, go.Figure]) -> Callable[Parameters, go.Figure]:
    """Decorator for drawing functions: text in data, axes and annotations is shown literally."""

    @functools.wraps(plot)
    def drawn(*args: Parameters.args, **given: Parameters.kwargs) -> go.Figure:
        figure = plot(*args, **given)
        for trace in figure.data:
            for field in DATA:
                if field in trace and (value := trace[field]) is not None:
                    trace[field] = _safe(value)
        for axis in (*figure.select_xaxes(), *figure.select_yaxes()):
            for field in AXES:
                if axis[field] is not None:
                    axis[field] = _safe(axis[field])
        for annotation in figure.layout.annotations:
            if annotation.text:
                annotation.text = literal(annotation.text)
        return figure

    return drawn


def _safe(value: Any) -> Any:
    """The same value with every text in it made literal. Numbers stay, and arrays without texts are the same object."""
    if isinstance(value, str):
        return literal(value)
    if isinstance(value, np.ndarray):
        return value if value.dtype.kind not in "OUST" else np.array([_safe(v) for v in value], dtype=object)
    if isinstance(value, (list, tuple)):
        return type(value)(_safe(v) for v in value)
    return value
