"""Every mark of every figure stands out from the light and from the dark page."""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

import lwdash.charts
from lwdash.charts.palette import DARK_PAGE, GREY, LIGHT_PAGE, MIN_CONTRAST, SERIES, contrast, page_contrast
from lwdash.charts.tradeoff.tradeoff_axes import TradeoffAxes
from lwdash.charts.tradeoff.tradeoff_points import tradeoff_points
from lwdash.metrics.layer_metrics import QUANTITIES
from lwdash.metrics.run_groups import RunGroups, by_numbers, by_words
from lwdash.metrics.run_metrics import ACCURACY, MEASURES, SIZES
from lwdash.metrics.technique_families import FAMILIES

RECIPES = (
    "float32", "int8", "prune + int8", "cluster + int8", "prune + cluster + int8", "lowbit + int8", "qat + int8",
    "channels + int8", "file(theirs.tflite)",
)  # fmt: skip
RUNS = pd.DataFrame(
    [
        {"id": i, "recipe": recipe, "is_baseline": i == 0, "size_bytes": 9000 - 900 * i, "accuracy": 0.9 - i / 50,
         "accuracy_ci": [0.7, 0.95], "speedup": 1 + i / 10, "state": "succeeded", "family": list(FAMILIES)[i]}
        for i, recipe in enumerate(RECIPES)
    ]
)  # fmt: skip
CURVE = {"shape": [4], "steps": [1], "values": [0.0, 1.0, 0.5, 0.2]}
MEASURED = {"sqnr_db": 30.0}


def stage(name: str, value: float, change: float | None) -> dict[str, Any]:
    return {"stage": name, "measure": "accuracy", "value": value, "change": change, "change_ci": None, "sqnr_db": 30.0,
            "rows": 9}  # fmt: skip


GROUPS = [
    by_words("tags", "Tags", pd.Series([*"abcdefgh", None], index=RUNS["id"]), "no tag"),
    by_numbers("bits", "Bits", RUNS.set_index("id")["speedup"], pd.Series("", index=RUNS["id"]), "none", str),
]


def tradeoff(plot: Any, colour: str | None, groups: RunGroups | None = None) -> go.Figure:
    axes = TradeoffAxes(SIZES[0], ACCURACY, MEASURES[colour] if colour else None, groups=groups)
    return plot(tradeoff_points(RUNS, axes), axes, runs=RUNS)


SAMPLES: dict[str, Callable[[Any], list[go.Figure]]] = {
    "plot_tradeoff": lambda plot: [
        tradeoff(plot, None), tradeoff(plot, "speedup"), *(tradeoff(plot, None, groups) for groups in GROUPS)
    ],
    "plot_parallel": lambda plot: [
        plot(RUNS, [SIZES[0], ACCURACY], None), plot(RUNS, [SIZES[0]], ACCURACY),
        *(plot(RUNS, [groups, SIZES[0]], groups) for groups in GROUPS),
    ],
    "plot_curves": lambda plot: [plot([[0.0, 1.0]] * 9, [str(i) for i in range(9)])],
    "plot_images": lambda plot: [plot([np.ones((8, 8))], ["a"])],
    "plot_class_counts": lambda plot: [plot(pd.DataFrame({"label": ["a"], "rows": [3]}))],
    "plot_flips": lambda plot: [plot([CURVE], ["0 → 1"])],
    "plot_confusion": lambda plot: [plot([[9, 0], [3, 3]], ["a", "b"])],
    "plot_confusion_change": lambda plot: [plot([[9, 0], [3, 3]], [[8, 1], [3, 3]], ["a", "b"])],
    "plot_layer_bars": lambda plot: [
        plot(pd.DataFrame({str(i): [1.0] for i in range(6)}, index=["conv"]), "weight_bytes")
    ],
    "plot_layer_heatmap": lambda plot: [plot(pd.DataFrame({"1": [1.0]}, index=["conv"]), "weight_bytes")],
    "plot_metric_bars": lambda plot: [plot(RUNS, [SIZES[0], ACCURACY], 0)],
    "plot_operator_bars": lambda plot: [plot(pd.Series({"conv": 4.0}), QUANTITIES["bytes"])],
    "plot_ledger": lambda plot: [
        plot(pd.DataFrame({"layer": ["conv", "conv"], "category": ["weights", "graph"], "bytes": [5, 6]}))
    ],
    "plot_training_curve": lambda plot: [
        plot("prune", {"loss": [[1, 0.8], [2, 0.1]], "held_out": [[0, 0.9], [2, 0.3]], "sparsity": [[0, 0.0], [2, 0.5]]})
    ],
    "plot_precision_steps": lambda plot: [
        plot({"recipe": "mixed", "attempts": [
            {"recipe": "mixed", "size_bytes": 2000, "sqnr_db": 30.0, "changed": 0.0},
            {"recipe": "auto", "size_bytes": 9000, "sqnr_db": 20.0, "changed": 0.1},
        ]})
    ],
    "plot_search": lambda plot: [
        plot(
            pd.DataFrame({"number": [1, 2], "run": [1, 2], "name": ["a", "b"], "value": [1.0, 2.0],
                          "keeps": [True, False], "hover": ["", ""], "best": [1.0, 1.0]}), SIZES[0], 3.0,
        )
    ],
    "plot_sensitivity": lambda plot: [
        plot({"format": "int8", "rows": 9, "everything": MEASURED,
              "layers": [{"layer": "a", "alone": MEASURED, "without": MEASURED, "gain_db": 1.0}]})
    ],
    "plot_waterfall": lambda plot: [plot([stage("a", 0.9, None), stage("b", 0.8, -0.1), stage("c", 0.9, 0.1)])],
    "plot_weights": lambda plot: [
        plot({"low": -1.0, "high": 1.0, "counts": [1, 2], "zeros": 0, "values": 3, "distinct": 3, "dtype": "int8",
              "baseline": {"counts": [2, 1], "zeros": 0, "values": 3, "distinct": 3}})
    ],
}  # fmt: skip
"""Each function that draws a figure → figures of it that have every kind of its marks."""


def plots() -> dict[str, Any]:
    found = {}
    for module in pkgutil.walk_packages(lwdash.charts.__path__, "lwdash.charts."):
        loaded = importlib.import_module(module.name)
        found |= {name: value for name, value in vars(loaded).items() if name.startswith("plot_")}
    return found


def colours_of(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [
        one for one in (value if isinstance(value, (list, tuple, np.ndarray)) else ()) if isinstance(one, str)
    ]


def marks(figure: go.Figure) -> Iterator[tuple[str, list[str]]]:
    """What is drawn, and its colours: those of an outline of at least 1 px, where there is one, and of the fill."""
    for trace in figure.data:
        name = f"{trace.type} {trace.name or ''}"
        if trace.type in ("heatmap", "image", "treemap"):
            continue  # areas beside each other, with their values written on them
        if trace.type == "parcoords":
            if isinstance(trace.line.colorscale, tuple):
                yield name, [colour for _, colour in trace.line.colorscale]
            continue
        mode = "markers" if trace.type == "bar" else trace.mode or ""
        if "markers" in mode:
            width = trace.marker.line.width
            is_outlined = width is not None and np.min(width) >= 0.9 and bool(trace.marker.line.color)
            yield name, colours_of(trace.marker.line.color if is_outlined else trace.marker.color)
        if "lines" in mode:
            yield name, colours_of(trace.line.color)
        for bars in (trace.error_x, trace.error_y) if trace.type == "scatter" else ():
            if bars.color:
                yield f"{name}, interval", [bars.color]
    for shape in figure.layout.shapes:
        if shape.line.color and shape.line.width:
            yield "line", [shape.line.color]


def test_every_figure_is_checked() -> None:
    assert set(plots()) == set(SAMPLES)


@pytest.mark.parametrize("name", SAMPLES)
def test_marks_stand_out_from_both_pages(name: str) -> None:
    for figure in SAMPLES[name](plots()[name]):
        for mark, colours in marks(figure):
            assert colours, f"{mark} has the page's or plotly's own colour"
            for colour in colours:
                assert page_contrast(colour) >= MIN_CONTRAST, f"{mark}: {colour}"


def test_a_legend_shows_symbols_in_a_colour_where_points_are_coloured_by_a_metric() -> None:
    figure = tradeoff(plots()["plot_tradeoff"], "speedup")
    shown = [
        trace for trace in figure.data if trace.showlegend is not False and "markers" in (trace.mode or "")
    ]
    assert len(shown) == len(FAMILIES)
    assert all(page_contrast(trace.marker.color) >= MIN_CONTRAST for trace in shown)


def test_groups_have_a_legend_of_their_own_and_runs_without_the_fact_are_grey() -> None:
    figure = tradeoff(plots()["plot_tradeoff"], None, GROUPS[0])
    entries = {trace.name: trace.marker.color for trace in figure.data if trace.legend == "legend2"}
    assert list(entries) == [*"abcdefgh", "no tag"]
    assert entries["no tag"] == entries["h"] == GREY, "the eighth of many groups"
    assert len({colour for name, colour in entries.items() if name in "abcdefg"}) == 7
    drawn = [trace for trace in figure.data if trace.customdata is not None]
    assert {colour for trace in drawn for colour in trace.marker.color} == set(entries.values())
    lines = plots()["plot_parallel"](RUNS, [GROUPS[0], SIZES[0]], GROUPS[0])
    assert [trace.name for trace in lines.data[1:]] == list(GROUPS[0].names)
    assert lines.data[0].dimensions[1].ticktext == GROUPS[0].names


def test_colours_of_families_and_series_stand_out() -> None:
    for colour in (*SERIES, *(colour for _, _, colour in FAMILIES.values())):
        assert page_contrast(colour) >= MIN_CONTRAST, colour


def test_contrast_is_that_of_the_guidelines() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", LIGHT_PAGE) == pytest.approx(4.48, abs=0.01)
    assert contrast("rgba(0,0,0,0.5)", LIGHT_PAGE) == pytest.approx(contrast("#808080", LIGHT_PAGE), rel=0.01)
    assert contrast(DARK_PAGE, DARK_PAGE) == 1
