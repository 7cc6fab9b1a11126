"""The confusion matrix, its change compared with the baseline, and the metrics of each class."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from lwdash.charts.literal_text import names_as_text
from lwdash.percent_text import as_percent

MAX_CLASSES = 40
"""With more classes, only those with the most confusion are drawn."""
STRONG = 0.88
"""Share of the full colour from which white text on a cell is more readable than dark text."""
MAX_LABELLED_CLASSES = 16
"""In larger matrices the cells have no room for numbers."""
LESS, NONE, MORE = "#0072B2", "rgba(127,127,127,0.08)", "#D55E00"

Matrix = Sequence[Sequence[int]]
"""[label][predicted] counts of rows."""


def names_of(classes: Sequence[str] | None, count: int) -> list[str]:
    """Names of the classes in the order of the outputs; numbers if the data has no names."""
    known = list(classes or ())
    return [str(known[i]) if i < len(known) else str(i) for i in range(count)]


def class_metrics(confusion: Matrix, baseline: Matrix | None, classes: Sequence[str] | None) -> pd.DataFrame:
    """One row per class: class, rows (with this label), recall and precision, 0–1, of the run and of the
    baseline.

    NaN without such rows: no label for a recall, no prediction for a precision.
    """
    run = np.asarray(confusion, np.int64)
    columns = {"class": names_of(classes, len(run)), "rows": run.sum(axis=1)}
    columns["recall"], columns["precision"] = _shares(run)
    if baseline is not None:
        columns["baseline_recall"], columns["baseline_precision"] = _shares(np.asarray(baseline, np.int64))
    return pd.DataFrame(columns)


def confused_pairs(confusion: Matrix, baseline: Matrix | None, classes: Sequence[str] | None) -> pd.DataFrame:
    """Wrong cells of the matrix, most rows first: label, predicted, rows, baseline_rows (0 without a baseline)."""
    run = np.asarray(confusion, np.int64)
    theirs = np.zeros_like(run) if baseline is None else np.asarray(baseline, np.int64)
    names = names_of(classes, len(run))
    found = [
        (names[i], names[j], int(run[i, j]), int(theirs[i, j]))
        for i, j in zip(*np.nonzero((run > 0) | (theirs > 0)), strict=True)
        if i != j
    ]
    frame = pd.DataFrame(found, columns=["label", "predicted", "rows", "baseline_rows"])
    return frame.sort_values("rows", ascending=False, ignore_index=True, kind="stable")


@names_as_text
def plot_confusion(confusion: Matrix, classes: Sequence[str] | None) -> go.Figure:
    """Rows of each label by predicted class: counts, coloured by the share of the label's rows."""
    matrix, names = _drawn(np.asarray(confusion, np.int64), None, classes)
    totals = matrix.sum(axis=1, keepdims=True)
    share = 100 * matrix / np.maximum(totals, 1)
    text = [[f"{n:,}<br>{as_percent(s / 100)}" if n else "" for n, s in zip(ns, ss, strict=True)]
            for ns, ss in zip(matrix, share, strict=True)]  # fmt: skip
    figure = go.Figure(
        go.Heatmap(
            z=share, x=names, y=names, zmin=0, zmax=100, xgap=1, ygap=1,
            colorscale=[[0, NONE], [1, LESS]], **_scale("% of the<br>label's rows", names),
            customdata=matrix,
            hovertemplate=(
                "label %{y}, predicted %{x}<br>%{customdata:,} rows, %{z:.1f} % of the label's "
                "rows<extra></extra>"
            ),
        )
    )  # fmt: skip
    _write_cells(figure, names, text, share > STRONG * 100)
    return _laid_out(
        figure, "Predicted classes: rows, and share of the label's rows", names, len(np.asarray(confusion))
    )


@names_as_text
def plot_confusion_change(
    confusion: Matrix, baseline: Matrix, classes: Sequence[str] | None, *, than: str = "the baseline"
) -> go.Figure:
    """More or fewer rows than the baseline's in each cell."""
    run, theirs = np.asarray(confusion, np.int64), np.asarray(baseline, np.int64)
    change, names = _drawn(run - theirs, run + theirs, classes)
    largest = max(1, int(np.abs(change).max(initial=0)))
    text = [[f"{n:+,}".replace("-", "−") if n else "" for n in row] for row in change]
    figure = go.Figure(
        go.Heatmap(
            z=change, x=names, y=names, zmin=-largest, zmax=largest, xgap=1, ygap=1,
            colorscale=[[0, LESS], [0.5, NONE], [1, MORE]], **_scale("rows", names),
            hovertemplate="label %{y}, predicted %{x}<br>%{z:+,} rows compared with " + than + "<extra></extra>",
        )
    )  # fmt: skip
    _write_cells(figure, names, text, np.abs(change) > STRONG * largest)
    return _laid_out(figure, f"Change of rows compared with {than}", names, len(run))


def _write_cells(
    figure: go.Figure, names: Sequence[str], text: Sequence[Sequence[str]], is_strong: np.ndarray
) -> None:
    """The numbers in the cells, if there is room: white on strong colours, otherwise in the page's text
    colour.

    Heatmaps can write the numbers, but choose the text colour as if weak cells were opaque: it is unreadable
    on dark pages.
    """
    if len(names) > MAX_LABELLED_CLASSES:
        return
    for strong, font in ((True, {"color": "#ffffff"}), (False, {})):
        cells = [
            (names[column], names[row], text[row][column])
            for row, column in zip(*np.nonzero(is_strong == strong), strict=True)
            if text[row][column]
        ]
        if cells:
            x, y, numbers = zip(*cells, strict=True)
            figure.add_scatter(
                x=x,
                y=y,
                text=numbers,
                mode="text",
                textfont={"size": 12, **font},
                hoverinfo="skip",
                showlegend=False,
            )


def _scale(title: str, names: Sequence[str]) -> dict[str, Any]:
    """The colour scale, for cells that have no room for numbers."""
    return {"showscale": len(names) > MAX_LABELLED_CLASSES, "colorbar": {"title": title}}


def _shares(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    right = np.diag(matrix).astype(np.float64)
    with np.errstate(invalid="ignore"):
        return right / matrix.sum(axis=1), right / matrix.sum(axis=0)


def _drawn(
    matrix: np.ndarray, weights: np.ndarray | None, classes: Sequence[str] | None
) -> tuple[np.ndarray, list[str]]:
    """The matrix of the drawn classes, and their names."""
    names = names_of(classes, len(matrix))
    if len(matrix) <= MAX_CLASSES:
        return matrix, names
    wrong = np.array(matrix if weights is None else weights)
    np.fill_diagonal(wrong, 0)
    confusion = wrong.sum(axis=0) + wrong.sum(axis=1)
    kept = np.sort(np.argsort(-confusion, kind="stable")[:MAX_CLASSES])
    return matrix[np.ix_(kept, kept)], [names[i] for i in kept]


def _laid_out(figure: go.Figure, title: str, names: list[str], classes: int) -> go.Figure:
    left_out = f", the {len(names)} most confused of {classes} classes" if len(names) < classes else ""
    axis = {"type": "category", "automargin": True, "constrain": "domain", "showgrid": False}
    figure.update_layout(
        title=f"{title}{left_out}",
        xaxis={**axis, "title": "predicted"},
        yaxis={**axis, "title": "label", "autorange": "reversed", "scaleanchor": "x"},
        height=min(900, 230 + max(28, 320 // max(1, len(names))) * len(names)),
        margin={"t": 60, "b": 20},
    )
    return figure
