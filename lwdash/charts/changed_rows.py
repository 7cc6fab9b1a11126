"""The inputs of rows whose class changed: small curves or images, each titled with the change."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from lwdash.charts.literal_text import names_as_text
from lwdash.charts.palette import SERIES
from lwdash.charts.samples import square_pixels

CURVES_A_ROW, IMAGES_A_ROW = 4, 8


def is_image(given: Mapping[str, Any]) -> bool:
    """True if a stored input has height and width: `lwdash.measure.flips.shrunk` reduces it on two axes."""
    return len(given["steps"]) == 2


@names_as_text
def plot_flips(inputs: Sequence[Mapping[str, Any]], titles: Sequence[str]) -> go.Figure:
    """One small plot per row. inputs: as stored, {"shape", "steps", "values"}; all of one shape.

    The axis of a curve counts the original samples, also if only every n-th was stored. Each of several
    channels is a line. Each image is scaled to its own range.
    """
    as_images = is_image(inputs[0])
    columns = min(len(inputs), IMAGES_A_ROW if as_images else CURVES_A_ROW)
    lines = -(-len(inputs) // columns)
    figure = make_subplots(
        lines, columns, subplot_titles=list(titles), horizontal_spacing=0.02, vertical_spacing=0.3 / lines
    )
    for number, given in enumerate(inputs):
        place = {"row": number // columns + 1, "col": number % columns + 1}
        values = np.array(given["values"], dtype=np.float64)
        if as_images:
            _add_image(figure, values, place)
        else:
            _add_curves(figure, values, given["steps"][0], place)
    if as_images:
        square_pixels(figure)
    else:
        figure.update_xaxes(showticklabels=False)
        figure.update_yaxes(showticklabels=False)
    figure.update_annotations(font_size=11)
    figure.update_layout(
        title="Inputs: the baseline's class → the run's class",
        showlegend=False,
        height=110 + (120 if as_images else 130) * lines,
        margin={"t": 90, "b": 10, "l": 10, "r": 10},
    )
    return figure


def _add_image(figure: go.Figure, values: np.ndarray, place: Mapping[str, int]) -> None:
    if values.ndim == 3 and values.shape[-1] == 3:
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        figure.add_image(z=np.nan_to_num((values - low) / max(high - low, 1e-12) * 255), **place)
        return
    plane = values if values.ndim == 2 else values[..., 0]
    figure.add_heatmap(
        z=plane, colorscale="Greys", reversescale=True, showscale=False,
        hovertemplate="row %{y}, column %{x}: %{z:.4g}<extra></extra>", **place,
    )  # fmt: skip


def _add_curves(figure: go.Figure, values: np.ndarray, step: int, place: Mapping[str, int]) -> None:
    channels = values.reshape(len(values), -1)
    samples = step * np.arange(len(channels))
    for channel in range(channels.shape[1]):
        figure.add_scatter(
            x=samples, y=channels[:, channel], mode="lines",
            line={"color": SERIES[channel % len(SERIES)], "width": 1.2},
            hovertemplate="sample %{x}: %{y:.4g}<extra></extra>", **place,
        )  # fmt: skip
