"""Sample rows of a data set as curves or images, and the number of rows per class."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from lwdash.charts.literal_text import literal, names_as_text
from lwdash.charts.palette import BLUE, SERIES

MAX_CLASSES = len(SERIES)
IMAGES_A_ROW, FEW_IMAGES = 8, 4
"""Maximum side by side; up to the smaller number they are drawn larger."""


@names_as_text
def plot_curves(
    rows: Sequence[Sequence[float]], labels: Sequence[str | None], axis: str = "sample"
) -> go.Figure:
    """Each row as a curve, coloured by its label. A click on a label hides its curves."""
    figure = go.Figure()
    all_classes = sorted({str(label) for label in labels}, key=_order)
    classes = all_classes[:MAX_CLASSES]
    seen = set()
    drawn = [(v, label) for v, label in zip(rows, labels, strict=True) if str(label) in classes]
    for values, label in sorted(drawn, key=lambda pair: _order(str(pair[1]))):
        name = str(label)
        figure.add_scatter(
            y=list(values), mode="lines", name=name, legendgroup=name,
            showlegend=label is not None and name not in seen,
            line={"color": SERIES[classes.index(name)], "width": 1.4},
            hovertemplate=f"{'' if label is None else f'class {literal(name)}<br>'}{axis} %{{x}}: %{{y:.4g}}<extra></extra>",
        )  # fmt: skip
        seen.add(name)
    figure.update_layout(
        title="Some rows of the data"
        + (f", {len(classes)} of {len(all_classes)} classes" if len(all_classes) > len(classes) else ""),
        xaxis={"title": axis},
        yaxis={"title": "value"},
        height=330,
        margin={"t": 50, "b": 20},
        legend={"title": "Class", "orientation": "v", "x": 1.01, "y": 1, "itemsizing": "constant"},
    )
    return figure


@names_as_text
def plot_images(images: Sequence[np.ndarray], labels: Sequence[str | None]) -> go.Figure:
    """Rows as images, (height, width) or (height, width, channels), each scaled to its own range."""
    columns = min(IMAGES_A_ROW, max(FEW_IMAGES, len(images)))
    lines = -(-len(images) // columns)
    titles = ["" if label is None else str(label) for label in labels]
    figure = make_subplots(
        lines, columns, subplot_titles=titles, horizontal_spacing=0.01, vertical_spacing=0.12 / lines
    )
    for i, image in enumerate(images):
        place = {"row": i // columns + 1, "col": i % columns + 1}
        if image.ndim == 3 and image.shape[-1] in (3, 4):
            low, high = float(image.min()), float(image.max())
            figure.add_image(z=(image[..., :3] - low) / max(high - low, 1e-12) * 255, **place)
        else:
            plane = image if image.ndim == 2 else image[..., 0]
            figure.add_heatmap(z=plane, colorscale="Greys", reversescale=True, showscale=False,
                               hovertemplate="row %{y}, column %{x}: %{z:.4g}<extra></extra>", **place)  # fmt: skip
    square_pixels(figure)
    title = "Some rows of the data" + (", each below its class" if any(titles) else "")
    line = 170 if columns == FEW_IMAGES else 120
    figure.update_layout(
        title=title,
        height=(90 if any(titles) else 60) + line * lines,
        margin={"t": 80 if any(titles) else 50, "b": 10, "l": 10, "r": 10},
    )
    return figure


def square_pixels(figure: go.Figure) -> None:
    """Keep the proportions of each image within its subplot, first row on top; hide the axes."""
    figure.update_xaxes(visible=False, constrain="domain")
    figure.update_yaxes(visible=False, autorange="reversed", constrain="domain")
    for axis in figure.select_yaxes():
        axis.scaleanchor = axis.anchor


@names_as_text
def plot_class_counts(counts: pd.DataFrame) -> go.Figure:
    """Rows of each class. counts: columns `label` and `rows`, in the order of the model's outputs."""
    figure = go.Figure(
        go.Bar(
            x=counts["label"].astype(str), y=counts["rows"], marker={"color": BLUE},
            text=counts["rows"], textposition="outside", cliponaxis=False,
            hovertemplate="class %{x}: %{y:,} rows<extra></extra>",
        )
    )  # fmt: skip
    figure.update_layout(
        title="Rows of each class",
        xaxis={"title": "class", "type": "category"},
        yaxis={"title": "rows"},
        height=330,
        margin={"t": 50, "b": 20},
    )
    return figure


def _order(label: str) -> tuple[int, float, str]:
    try:
        return (0, float(label), label)
    except ValueError:
        return (1, 0.0, label)
