"""The arithmetic behind the figures, and what the figures hold; nothing is drawn here."""

import math
import random

import numpy as np
import pandas as pd
import pytest

from lwdash.charts.layer_bars import QUANTITIES, layer_values, plot_layer_bars
from lwdash.charts.measures import ACCURACY, AGREEMENT, ERRORS, SIZES, SQNR, quality_of
from lwdash.charts.samples import plot_class_counts, plot_curves, plot_images
from lwdash.charts.tradeoff import (
    FAMILIES,
    describe_tradeoff,
    family,
    pareto,
    plot_tradeoff,
    short_recipe,
    tradeoff_points,
)

SIZE = SIZES[0]


def runs(*rows: dict) -> pd.DataFrame:
    start = {
        "recipe": "int8",
        "is_baseline": False,
        "state": "succeeded",
        "size_bytes": 1000,
        "accuracy": 0.9,
        "latency_ms_p50": 0.02,
    }
    return pd.DataFrame([{"id": i + 1, **start, **row} for i, row in enumerate(rows)])


def front_by_comparing_all(x, y, is_higher_better):
    def dominates(a, b):
        better = y[a] > y[b] if is_higher_better else y[a] < y[b]
        as_good = better or y[a] == y[b]
        return x[a] <= x[b] and as_good and (x[a] < x[b] or better)

    return [not any(dominates(a, b) for a in range(len(x))) for b in range(len(x))]


@pytest.mark.parametrize("is_higher_better", [True, False])
def test_the_front_is_what_nothing_dominates(is_higher_better):
    chance = random.Random(0)
    for _ in range(300):
        count = chance.randint(0, 25)
        x = [chance.randint(0, 9) for _ in range(count)]
        y = [chance.randint(0, 9) / 10 for _ in range(count)]
        assert pareto(x, y, is_higher_better=is_higher_better) == front_by_comparing_all(
            x, y, is_higher_better
        )


def test_points_have_the_units_of_the_axes():
    frame = runs({"accuracy_ci": [0.85, 0.94], "speedup": 2.0, "verdict": "worse"})
    point = tradeoff_points(frame, SIZE, ACCURACY).iloc[0]
    assert (point.x, point.y, point.latency_us) == pytest.approx((1.0, 90.0, 20.0))
    assert (point.low, point.high) == pytest.approx((85.0, 94.0))
    for words in ("int8", "1.0 kB", "90.00 %", "85.0 to 94.0", "20.0 µs", "2.00×", "worse"):
        assert words in point.hover


def test_runs_that_were_not_measured_are_left_out():
    frame = runs(
        {"state": "failed", "size_bytes": None, "accuracy": None, "latency_ms_p50": None}, {"size_bytes": 500}
    )
    points = tradeoff_points(frame, SIZE, ACCURACY)
    assert points["id"].tolist() == [2]
    assert tradeoff_points(frame.iloc[:0], SIZE, ACCURACY).empty
    assert tradeoff_points(frame, SIZES[2], ACCURACY).empty
    assert tradeoff_points(frame, SIZE, SQNR).empty


def test_missing_intervals_latencies_and_verdicts_are_shown_as_missing():
    frame = runs(
        {"accuracy_ci": None, "latency_ms_p50": None, "verdict": None},
        {"accuracy_ci": [0.8, 0.95], "verdict": "worse", "speedup": math.nan},
    )
    points = tradeoff_points(frame, SIZE, ACCURACY)
    assert points["low"].isna().tolist() == [True, False]
    assert points["latency_us"].isna().tolist() == [True, False]
    assert not any(word in hover for hover in points["hover"] for word in ("nan", "None", "Speed-up"))
    plot_tradeoff(points, SIZE, ACCURACY)


@pytest.mark.parametrize(
    ("recipe", "is_baseline", "expected"),
    [
        ("float32", True, "baseline"),
        ("int8(io=float32)", False, "post-training"),
        ("prune(sparsity=0.5) + int8", False, "prune"),
        ("cluster(clusters=16, skip=[prune_me])", False, "cluster"),
        ("prune(sparsity=0.5) + cluster(clusters=16) + int8", False, "prune + cluster"),
        ("qat + int8", False, "qat"),
        ("channels(ratio=0.5) + prune(sparsity=0.5)", False, "smaller network"),
    ],
)
def test_each_recipe_has_the_family_of_its_steps(recipe, is_baseline, expected):
    assert family(recipe, is_baseline) == expected
    assert expected in FAMILIES


def test_a_short_recipe_leaves_out_the_names_that_go_without_saying():
    assert short_recipe("channels(ratio=0.5) + int8(io=float32)") == "channels(0.5) + int8(float32)"
    assert short_recipe("prune(sparsity=0.5, epochs=3)") == "prune(0.5, epochs=3)"


def test_every_point_is_drawn_once_and_carries_its_run():
    frame = runs(
        {"recipe": "float32", "is_baseline": True, "size_bytes": 4000, "accuracy": 0.95},
        {"recipe": "int8"},
        {"recipe": "prune(sparsity=0.5) + int8", "accuracy": 0.8},
    )
    points = tradeoff_points(frame, SIZE, ACCURACY)
    figure = plot_tradeoff(points, SIZE, ACCURACY, 200)
    front, *groups = figure.data
    assert sorted(i for group in groups for i in group.customdata) == [1, 2, 3]
    assert list(front.x) == [1.0, 4.0]
    assert "200 evaluation rows" in figure.layout.title.subtitle.text
    words = describe_tradeoff(points, SIZE, ACCURACY)
    assert "3 runs" in words
    assert "int8: 1.0 kB, 90.0 %" in words


def test_only_named_points_have_intervals_so_that_they_can_be_read():
    chance = random.Random(1)
    frame = runs(
        *({"size_bytes": 1000 + chance.randint(0, 40), "accuracy": chance.uniform(0.5, 0.9),
           "accuracy_ci": [0.4, 0.95]} for _ in range(40))
    )  # fmt: skip
    points = tradeoff_points(frame, SIZE, ACCURACY)
    group = plot_tradeoff(points, SIZE, ACCURACY).data[1]
    drawn = [not math.isnan(v) for v in group.error_y.array]
    assert drawn == [name != "" for name in points["name"]]
    assert 0 < sum(drawn) <= sum(points["on_front"]) < 40


def test_points_on_each_other_share_one_name_and_far_ones_have_their_own():
    frame = runs(
        {"recipe": "float32", "is_baseline": True, "size_bytes": 90_000, "accuracy": 0.95},
        {"recipe": "prune(sparsity=0.5) + int8", "size_bytes": 25_000, "accuracy": 0.97},
        {"recipe": "int8", "size_bytes": 25_000, "accuracy": 0.97},
        {"recipe": "dynamic", "size_bytes": 20_000, "accuracy": 0.90},
        {"recipe": "float16", "size_bytes": 50_000, "accuracy": 0.80},
    )
    assert tradeoff_points(frame, SIZE, ACCURACY)["name"].tolist() == [
        "float32", "", "int8 +1", "dynamic", "",
    ]  # fmt: skip


def test_a_constant_latency_still_has_a_colour_scale():
    figure = plot_tradeoff(tradeoff_points(runs({}, {}), SIZE, ACCURACY), SIZE, ACCURACY)
    assert figure.layout.coloraxis.cmin < figure.layout.coloraxis.cmax


def test_quality_is_accuracy_where_there_are_labels_else_what_the_task_gives():
    assert quality_of(runs({})) == ACCURACY
    assert quality_of(runs({"accuracy": None, "rmse": 0.3, "sqnr_db": 20.0})) == ERRORS[0]
    assert quality_of(runs({"accuracy": None, "agreement": 0.9, "sqnr_db": 20.0})) == AGREEMENT
    assert quality_of(runs({"accuracy": None, "sqnr_db": 20.0})) == SQNR
    assert quality_of(runs({"accuracy": None})) == ACCURACY


def operator(layer, parameters, **values):
    return {"name": f"{layer}/op", "layer": layer, "parameters": parameters, **values}


def test_bytes_of_a_layer_add_up_over_its_operators():
    values = layer_values(
        {"a": [operator("dense", 30, weight_bytes=30), operator("dense", 10, weight_bytes=5)]}, "weight_bytes"
    )
    assert values.loc["dense", "a"] == 35


@pytest.mark.parametrize("quantity", ["bits_per_weight", "sparsity", "distinct_values"])
def test_other_quantities_are_averaged_by_parameters(quantity):
    layers = {"a": [operator("dense", 30, **{quantity: 8}), operator("dense", 10, **{quantity: 4})]}
    assert layer_values(layers, quantity).loc["dense", "a"] == pytest.approx(7)


def test_layers_are_aligned_between_runs_and_keep_the_order_of_the_model():
    layers = {
        "a": [operator("conv", 8, weight_bytes=8), operator("relu", 0), operator("dense", 4, weight_bytes=4)],
        "b": [
            operator("conv", 8, weight_bytes=None),
            operator("dense", 4, weight_bytes=2),
            operator(None, 2, weight_bytes=1),
        ],
    }
    values = layer_values(layers, "weight_bytes")
    assert values.index.tolist() == ["conv", "dense", "None/op"]
    assert values["b"].isna().tolist() == [True, False, False]
    figure = plot_layer_bars(values, "weight_bytes")
    assert [bar.name for bar in figure.data] == ["a", "b"]
    assert figure.data[0].marker.pattern.shape != figure.data[1].marker.pattern.shape


def test_layers_without_weights_give_an_empty_figure():
    values = layer_values({"a": []}, "sparsity")
    assert values.empty
    plot_layer_bars(values, "sparsity")


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_every_quantity_has_its_words(quantity):
    label, _, meaning = QUANTITIES[quantity]
    values = layer_values({"a": [operator("dense", 3, **{quantity: 0.5})]}, quantity)
    assert label in plot_layer_bars(values, quantity).layout.title.text
    assert meaning.endswith(".")


def test_curves_of_a_class_share_one_entry_of_the_legend_in_the_order_of_numbers():
    rows = np.zeros((5, 4)).tolist()
    figure = plot_curves(rows, ["10", "2", "10", "1", "2"])
    named = [trace.name for trace in figure.data if trace.showlegend]
    assert len(figure.data) == 5
    assert named == ["1", "2", "10"]
    assert len({trace.line.color for trace in figure.data}) == 3


def test_curves_without_labels_have_no_legend():
    figure = plot_curves([[0.0, 1.0]], [None])
    assert not any(trace.showlegend for trace in figure.data)
    assert "class" not in figure.data[0].hovertemplate


def test_rows_of_more_classes_than_there_are_colours_are_left_out_and_this_is_said():
    labels = [f"class {i}" for i in range(12)]
    figure = plot_curves(np.zeros((12, 4)).tolist(), labels)
    assert len(figure.data) == 8
    assert "8 of 12 classes" in figure.layout.title.text


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (8, 8, 3)])
@pytest.mark.parametrize("count", [1, 9])
def test_every_image_is_drawn_with_its_label(shape, count):
    figure = plot_images([np.ones(shape)] * count, [str(i) for i in range(count)])
    assert len(figure.data) == count
    assert [note.text for note in figure.layout.annotations] == [str(i) for i in range(count)]


def test_class_counts_keep_the_order_of_the_outputs():
    bars = plot_class_counts(pd.DataFrame({"label": ["b", "a"], "rows": [3, 40]})).data[0]
    assert (list(bars.x), list(bars.y)) == (["b", "a"], [3, 40])
