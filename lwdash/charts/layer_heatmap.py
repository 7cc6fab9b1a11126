"""One quantity of each layer as a heatmap, layers across runs."""

import math
from textwrap import wrap

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from lwdash.charts.literal_text import names_as_text
from lwdash.charts.operator_bars import shortened
from lwdash.metrics.layer_metrics import QUANTITIES

COLOURS = ("#1b8069", "#2a788e", "#4f3f91")
"""The middle of viridis: readable on light and dark pages, with white numbers."""
LETTERS, MIN_LETTERS = 120, 12
"""Letters in a line of all headings together, and at least of one."""
LINE, LETTER, SIDES = 17, 6.8, 170
"""Height of a line of a heading, width of a letter, and the room for layers and colour bar, in pixels."""

WIDE_RATIO = 30
"""With a larger ratio of the largest to the smallest value, colours are logarithmic: else one layer hides the others."""


@names_as_text
def plot_layer_heatmap(values: pd.DataFrame, quantity: str) -> go.Figure:
    """A heat map of one quantity: layers from top to bottom, runs side by side.

    values: see `layer_bars.layer_values`: one row per layer, one column per run, in shown units. NaN stays empty.
    """
    shown = QUANTITIES[quantity]
    names = [str(name) for name in values.index]
    columns = [str(column) for column in values.columns]
    headings = [
        "\n".join(wrap(column, max(MIN_LETTERS, LETTERS // max(1, len(columns))))) for column in columns
    ]
    lines = max((heading.count("\n") + 1 for heading in headings), default=1)
    longest = max((len(line) for heading in headings for line in heading.split("\n")), default=1)
    numbers = values.to_numpy(float)
    is_wide = _is_wide(numbers)
    written = f"%{{customdata:,.{shown.digits}f}}"
    figure = go.Figure(
        go.Heatmap(
            x=columns, y=names, z=np.log10(numbers) if is_wide else numbers, colorscale=list(COLOURS), xgap=2, ygap=2,
            customdata=numbers,
            hovertemplate="<b>%{y}</b><br>%{x}<br>" + f"{shown.label}: {written} {shown.unit}<extra></extra>",
            texttemplate=written, textfont={"color": "#ffffff", "size": 12},
            colorbar={"title": {"text": shown.unit}, "thickness": 12, **(_powers_of_ten(numbers) if is_wide else {})},
        )
    )  # fmt: skip
    figure.update_layout(
        title=f"{shown.title}, layer by layer",
        xaxis={
            "type": "category", "side": "top", "automargin": True, "tickangle": 0, "tickvals": columns, "ticktext": headings,
        },
        yaxis={
            "autorange": "reversed", "type": "category", "automargin": True, "tickvals": names,
            "ticktext": [shortened(name) for name in names], "showgrid": False,
        },
        height=90 + LINE * lines + 24 * max(1, len(values)),
        margin={"t": 60 + LINE * lines, "b": 20},
        # Narrower, headings would overlap: the figure scrolls then.
        meta={"min_width": SIDES + int(LETTER * longest) * len(columns)},
    )  # fmt: skip
    return figure


def _is_wide(numbers: np.ndarray) -> bool:
    known = numbers[~np.isnan(numbers)]
    return known.size > 0 and bool(known.min() > 0) and bool(known.max() > WIDE_RATIO * known.min())


def _powers_of_ten(numbers: np.ndarray) -> dict[str, object]:
    """Ticks of a logarithmic colour bar."""
    powers = range(math.ceil(np.log10(np.nanmin(numbers))), math.floor(np.log10(np.nanmax(numbers))) + 1)
    return {"tickvals": list(powers), "ticktext": [f"{10.0**power:,.6g}" for power in powers]}
