"""The arithmetic behind the figures, and what the figures hold; nothing is drawn here."""

import dataclasses
import itertools
import math
import random

import numpy as np
import pandas as pd
import pytest

from lwdash.charts.layer_bars import layer_values, most_different, plot_layer_bars
from lwdash.charts.palette import MIN_CONTRAST, page_contrast
from lwdash.charts.parallel_coordinates import (
    MAX_LINES,
    TECHNIQUE,
    brushed_runs,
    complete_runs,
    describe_parallel,
    plot_parallel,
    thinned_lines,
)
from lwdash.charts.samples import plot_class_counts, plot_curves, plot_images
from lwdash.charts.tradeoff.point_labels import Label, _box, place
from lwdash.charts.tradeoff.tied_points import STEP
from lwdash.charts.tradeoff.tradeoff_axes import PLOT, TradeoffAxes
from lwdash.charts.tradeoff.tradeoff_figure import plot_tradeoff
from lwdash.charts.tradeoff.tradeoff_points import (
    MAX_DRAWN_POINTS,
    describe_tradeoff,
    thinned,
    tradeoff_points,
)
from lwdash.metrics.limits import best, limit_on, limits_met, meets_all_limits
from lwdash.metrics.pareto_front import pareto
from lwdash.metrics.run_metrics import (
    ACCURACY,
    AGREEMENT,
    ERRORS,
    MEASURES,
    SIZES,
    SQNR,
    is_log_possible,
    quality_of,
)
from lwdash.metrics.technique_families import FAMILIES, family, short_recipe

AXES = TradeoffAxes(SIZES[0], ACCURACY, MEASURES["latency_ms_p50"])


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


def front_by_comparing_all(x, y, is_more_x_better, is_more_y_better):
    def dominates(a, b):
        good_x = x[a] >= x[b] if is_more_x_better else x[a] <= x[b]
        good_y = y[a] >= y[b] if is_more_y_better else y[a] <= y[b]
        return good_x and good_y and (x[a], y[a]) != (x[b], y[b])

    return [not any(dominates(a, b) for a in range(len(x))) for b in range(len(x))]


@pytest.mark.parametrize("is_more_x_better", [True, False])
@pytest.mark.parametrize("is_more_y_better", [True, False])
def test_the_front_is_what_nothing_dominates_whichever_way_is_better(is_more_x_better, is_more_y_better):
    chance = random.Random(0)
    ways = {"is_more_x_better": is_more_x_better, "is_more_y_better": is_more_y_better}
    for _ in range(200):
        count = chance.randint(0, 25)
        x = [chance.randint(0, 9) for _ in range(count)]
        y = [chance.randint(0, 9) / 10 for _ in range(count)]
        assert pareto(x, y, **ways) == front_by_comparing_all(x, y, **ways)


def test_points_have_the_units_of_the_axes():
    frame = runs({"accuracy_ci": [0.85, 0.94], "verdict": "worse"})
    point = tradeoff_points(frame, AXES).iloc[0]
    assert (point.x, point.y, point.colour) == pytest.approx((1.0, 90.0, 20.0))
    assert (point.y_low, point.y_high) == pytest.approx((85.0, 94.0))
    for words in ("int8", "run 1", "1.0 kB", "90.00 %", "85.00 to 94.00 %", "20.0 µs", "worse"):
        assert words in point.hover


def test_runs_that_were_not_measured_are_left_out():
    frame = runs(
        {"state": "failed", "size_bytes": None, "accuracy": None, "latency_ms_p50": None}, {"size_bytes": 500}
    )
    points = tradeoff_points(frame, AXES)
    assert points["id"].tolist() == [2]
    assert tradeoff_points(frame.iloc[:0], AXES).empty
    assert tradeoff_points(frame, TradeoffAxes(SIZES[2], ACCURACY)).empty
    assert tradeoff_points(frame, TradeoffAxes(SIZES[0], SQNR)).empty


def test_missing_intervals_latencies_and_verdicts_are_shown_as_missing():
    frame = runs(
        {"accuracy_ci": None, "latency_ms_p50": None, "verdict": None},
        {"accuracy_ci": [0.8, 0.95], "verdict": "worse"},
    )
    points = tradeoff_points(frame, AXES)
    assert points["y_low"].isna().tolist() == [True, False]
    assert points["colour"].isna().tolist() == [True, False]
    assert not any(word in hover for hover in points["hover"] for word in ("nan", "None"))
    plot_tradeoff(points, AXES)


def test_a_title_of_a_person_is_shown_letter_by_letter():
    points = tradeoff_points(runs({"title": "<b>mine</b> & yours"}), AXES)
    assert "&lt;b&gt;mine&lt;/b&gt; &amp; yours" in points["hover"].iloc[0]


def test_a_logarithmic_axis_leaves_out_what_it_cannot_show():
    frame = runs({"sparsity": 0.0}, {"sparsity": 0.5}, {"sparsity": 0.05})
    axes = TradeoffAxes(SIZES[0], MEASURES["sparsity"], is_y_log=True)
    points = tradeoff_points(frame, axes)
    assert points["id"].tolist() == [2, 3]
    low, high = plot_tradeoff(points, axes).layout.yaxis.range
    assert low < math.log10(5) < math.log10(50) < high
    assert not is_log_possible(frame, MEASURES["sparsity"])
    assert is_log_possible(frame, SIZES[0])


LIMITED = runs(
    {
        "recipe": "float32",
        "is_baseline": True,
        "size_bytes": 4000,
        "accuracy": 0.95,
        "baseline_accuracy": 0.95,
    },
    {"size_bytes": 1000, "accuracy": 0.94, "baseline_accuracy": 0.95},
    {"size_bytes": 900, "accuracy": 0.92, "baseline_accuracy": 0.95, "latency_ms_p50": 0.5},
    {"size_bytes": 1100, "accuracy": 0.94, "baseline_accuracy": 0.95},
    {
        "state": "failed",
        "size_bytes": None,
        "accuracy": None,
        "latency_ms_p50": None,
        "baseline_accuracy": None,
    },
)


@pytest.mark.parametrize(
    ("limits", "able", "chosen"),
    [
        ({"size_bytes": 1000}, [2, 3], 2),
        ({"accuracy_drop": 0.03}, [1, 2, 3, 4], 3),
        ({"accuracy_drop": 0.01}, [1, 2, 4], 2),
        ({"size_bytes": 2000, "latency_ms": 0.1}, [2, 4], 2),
        ({"size_bytes": 5000}, [1, 2, 3, 4], 2),
        ({"size_bytes": 10}, [], None),
        ({"arena_bytes": 10_000}, [], None),
        ({}, [1, 2, 3, 4], None),
    ],
)
def test_the_best_run_keeps_all_limits_and_is_the_most_accurate_or_the_smallest(limits, able, chosen):
    assert LIMITED.loc[meets_all_limits(LIMITED, limits), "id"].tolist() == able
    assert best(LIMITED, limits) == chosen


def test_without_labels_the_drop_is_at_most_what_disagrees():
    frame = runs({"accuracy": None, "agreement": 0.98}, {"accuracy": None, "agreement": 0.9})
    assert meets_all_limits(frame, {"accuracy_drop": 0.05}).tolist() == [True, False]
    assert limit_on(AGREEMENT, {"accuracy_drop": 0.05}, frame) == pytest.approx(95.0)


def test_what_was_not_measured_neither_keeps_nor_breaks_a_limit():
    table = limits_met(LIMITED, {"arena_bytes": 1.0, "size_bytes": 1000.0})
    assert table["arena_bytes"].isna().all()
    assert table["size_bytes"].tolist()[:3] == [0.0, 1.0, 1.0]


def test_limits_are_drawn_on_the_axes_that_they_are_of():
    limits = {"size_bytes": 1000, "accuracy_drop": 0.02, "latency_ms": 0.1}
    points = tradeoff_points(LIMITED, AXES, limits)
    figure = plot_tradeoff(points, AXES, runs=LIMITED, limits=limits)
    assert sorted(note.text for note in figure.layout.annotations) == ["limit 1.0 kB", "limit 93.00 %"]
    shades = [shape for shape in figure.layout.shapes if shape.type == "rect"]
    assert sorted((s.x0, round(s.y0, 6)) for s in shades) == [(0, 93.0), (1.0, 0)]
    assert points.loc[points["is_best"], "id"].tolist() == [2]
    assert any(trace.name == "Best under the limits" for trace in figure.data)
    other = TradeoffAxes(MEASURES["speedup"], ACCURACY)
    assert limit_on(other.x, limits, LIMITED) is None


@pytest.mark.parametrize(
    ("recipe", "is_baseline", "expected"),
    [
        ("float32", True, "baseline"),
        ("int8(io=float32)", False, "post-training"),
        ("prune(sparsity=0.5) + int8", False, "prune"),
        ("cluster(clusters=16, skip=[prune_me])", False, "cluster"),
        ("prune(sparsity=0.5) + cluster(clusters=16) + int8", False, "prune + cluster"),
        ("lowbit(bits=2) + int8 + lut", False, "lowbit"),
        ("qat + int8", False, "qat"),
        ("channels(ratio=0.5) + prune(sparsity=0.5)", False, "smaller network"),
    ],
)
def test_each_recipe_has_the_family_of_its_steps(recipe, is_baseline, expected):
    assert family(recipe, is_baseline) == expected
    assert expected in FAMILIES


def test_a_short_recipe_leaves_out_the_names_that_go_without_saying():
    assert short_recipe("channels(ratio=0.5) + int8(io=float32)") == "channels(0.5) + int8(io=float32)"
    assert short_recipe("prune(sparsity=0.5, epochs=3)") == "prune(0.5, epochs=3)"


def test_every_point_is_drawn_once_and_carries_its_run():
    frame = runs(
        {"recipe": "float32", "is_baseline": True, "size_bytes": 4000, "accuracy": 0.95},
        {"recipe": "int8"},
        {"recipe": "prune(sparsity=0.5) + int8", "accuracy": 0.8},
    )
    points = tradeoff_points(frame, AXES)
    figure = plot_tradeoff(points, AXES, rows=200)
    front, *others = figure.data
    groups = [trace for trace in others if trace.customdata is not None]
    assert sorted(i for group in groups for i in group.customdata) == [1, 2, 3]
    assert list(front.x) == [1.0, 4.0]
    assert "200 evaluation rows" in figure.layout.title.subtitle.text
    words = describe_tradeoff(points, AXES)
    assert "3 runs" in words
    assert "int8: 1.0 kB, 90.00 %" in words


def test_ten_thousand_points_are_thinned_but_for_the_front_and_mapped():
    chance = random.Random(1)
    frame = runs(
        *({"size_bytes": chance.randint(100, 9000), "accuracy": chance.random()} for _ in range(10_000))
    )
    points = tradeoff_points(frame, AXES)
    drawn = thinned(points)
    assert len(drawn) == MAX_DRAWN_POINTS
    assert set(points.loc[points["on_front"], "id"]) <= set(drawn["id"])
    assert drawn["hover"].str.contains("Accuracy: ").all()
    assert points["hover"].notna().sum() == MAX_DRAWN_POINTS
    figure = plot_tradeoff(points, AXES)
    assert figure.data[0].type == "heatmap"
    assert sum(len(trace.x) for trace in figure.data if trace.customdata is not None) == MAX_DRAWN_POINTS
    assert len(thinned(points.head(50))) == 50


def test_names_keep_clear_of_the_ring_of_another_point():
    mine, other = Label("a", "best", 306.0, 100.0, (0,)), Label("b", "a rather long name", 150.0, 118.0, (1,))
    points = [(306.0, 100.0), (150.0, 118.0)]
    assert place([mine, other], (1000, 400), points)["b"][1] == "top right"
    ringed = place([mine, other], (1000, 400), points, [(306.0, 100.0)])
    assert ringed["a"] == ("best", "top right"), "a name may touch its own ring"
    assert ringed["b"][1] == "bottom right"


def test_runs_that_do_not_meet_the_limits_are_hollow_and_as_visible_as_others():
    frame = runs({"size_bytes": 1000, "accuracy": 0.8}, {"size_bytes": 3000, "accuracy": 0.9})
    limits = {"size_bytes": 2000.0}
    figure = plot_tradeoff(tradeoff_points(frame, AXES, limits), AXES, runs=frame, limits=limits)
    solid, hollow = (trace for trace in figure.data if trace.customdata is not None)
    assert (list(solid.customdata), list(hollow.customdata)) == ([1], [2])
    assert (solid.marker.symbol, hollow.marker.symbol) == ("circle", "circle-open")
    assert page_contrast(hollow.marker.color) >= MIN_CONTRAST
    assert hollow.marker.opacity is None


def test_six_runs_at_one_place_are_drawn_side_by_side_and_joined():
    frame = runs(
        *({"size_bytes": 25_600, "accuracy": 0.9} for _ in range(6)), {"size_bytes": 30_000, "accuracy": 0.91}
    )
    points = tradeoff_points(frame, AXES)
    assert set(points["x"].head(6)) == {25.6}, "values, hover text and front stay at the measured place"
    figure = plot_tradeoff(points, AXES)
    low, high = figure.layout.xaxis.range
    assert low > 20, "an axis from 0 would leave most of the chart empty"
    pixels = sorted((points["x_drawn"].head(6) - low) / (high - low) * PLOT[0])
    assert min(b - a for a, b in itertools.pairwise(pixels)) == pytest.approx(STEP)
    assert points["x_drawn"].head(6).mean() == pytest.approx(25.6)
    assert points["x_drawn"].iloc[6] == points["x"].iloc[6]
    drawn = [x for trace in figure.data if trace.customdata is not None for x in trace.x]
    assert sorted(drawn) == sorted(points["x_drawn"])
    joined = next(trace for trace in figure.data if trace.mode == "lines" and trace.showlegend is False)
    assert [x for x in joined.x if x is not None][::2] == [25.6] * 6

    log = dataclasses.replace(AXES, is_x_log=True)
    points = tradeoff_points(frame, log)
    places = sorted(math.log10(x) for x in points["x_drawn"].head(6))
    gaps = [b - a for a, b in itertools.pairwise(places)]
    assert gaps == pytest.approx([gaps[0]] * 5)
    assert gaps[0] > 0


def test_axes_of_sizes_begin_at_zero_unless_most_of_them_would_be_empty():
    spread = runs({"size_bytes": 10_000}, {"size_bytes": 80_000})
    assert plot_tradeoff(tradeoff_points(spread, AXES), AXES).layout.xaxis.range[0] == 0
    near = runs({"size_bytes": 60_000}, {"size_bytes": 80_000})
    assert plot_tradeoff(tradeoff_points(near, AXES), AXES).layout.xaxis.range[0] > 50


def test_only_named_points_have_intervals_so_that_they_can_be_read():
    chance = random.Random(1)
    frame = runs(
        *({"size_bytes": 1000 + chance.randint(0, 40), "accuracy": chance.uniform(0.5, 0.9),
           "accuracy_ci": [0.4, 0.95]} for _ in range(40))
    )  # fmt: skip
    points = tradeoff_points(frame, AXES)
    group = plot_tradeoff(points, AXES).data[1]
    drawn = [not math.isnan(v) for v in group.error_y.array]
    assert drawn == [name != "" for name in points["name"]]
    assert 0 < sum(drawn) <= sum(points["on_front"]) < 40


def test_points_on_each_other_share_one_name_and_names_do_not_cover_each_other():
    labels = [
        Label(1, "float32", 900, 50, (0,)),
        Label(2, "int8", 300, 60, (1,)),
        Label(3, "other", 303, 62, (2,)),
    ]
    labels += [Label(10 + i, f"a long recipe {i}", 500, 200 + 3 * i, (3, i)) for i in range(9)]
    placed = place(labels, (1000, 400))
    assert placed[2][0] == "int8 +1"
    assert 3 not in placed
    boxes = [_box(label, placed[label.key][1]) for label in labels if label.key in placed]
    assert not any(a.hits(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])
    assert 3 < len(placed) < len(labels)


def test_a_constant_latency_still_has_a_colour_scale():
    figure = plot_tradeoff(tradeoff_points(runs({}, {}), AXES), AXES)
    assert figure.layout.coloraxis.cmin < figure.layout.coloraxis.cmax


def test_without_a_colour_each_technique_has_its_own_colour_and_shape():
    axes = TradeoffAxes(SIZES[0], ACCURACY)
    frame = runs({}, {"recipe": "prune(sparsity=0.5)"}, {"recipe": "cluster(clusters=16)"})
    groups = [
        trace
        for trace in plot_tradeoff(tradeoff_points(frame, axes), axes).data
        if trace.customdata is not None
    ]
    assert (
        len({trace.marker.color for trace in groups}) == len({trace.marker.symbol for trace in groups}) == 3
    )


def test_parallel_axes_have_their_better_end_at_the_top():
    frame = runs(
        {"size_bytes": 100, "accuracy": 0.5}, {"size_bytes": 900, "accuracy": 0.9}, {"accuracy": None}
    )
    measures = [SIZES[0], ACCURACY]
    whole = complete_runs(frame, measures).assign(family="post-training")
    assert whole["id"].tolist() == [1, 2]
    technique, size, accuracy = (
        plot_parallel(whole, measures, None, frozenset({"size_bytes"})).data[0].dimensions
    )
    assert list(technique.ticktext) == ["Post-training"]
    assert list(size.range) == pytest.approx([math.log10(0.9), math.log10(0.1)])
    assert list(accuracy.range) == pytest.approx([50.0, 90.0])
    assert "of 2 runs:" in describe_parallel(whole, measures)


def test_of_many_runs_the_lines_are_the_front_the_chosen_and_a_sample_on_the_axes_of_all():
    chance = random.Random(1)
    rows = [{"size_bytes": chance.randint(100, 9000), "accuracy": chance.random()} for _ in range(5000)]
    every = runs(*rows).assign(family="post-training")
    measures = [SIZES[0], ACCURACY]
    drawn = thinned_lines(every, *measures, wanted=[7, 4000])
    assert len(drawn) == MAX_LINES
    assert drawn["id"].is_monotonic_increasing
    front = pareto(every["size_bytes"], every["accuracy"], is_more_x_better=False, is_more_y_better=True)
    assert {7, 4000, *every.loc[front, "id"]} <= set(drawn["id"])
    assert (drawn["id"].diff().dropna() < 60).all()
    assert thinned_lines(every.head(10), *measures) is not drawn
    assert thinned_lines(every.head(10), *measures)["id"].tolist() == list(range(1, 11))
    all_chosen = thinned_lines(every, *measures, wanted=list(every["id"]))
    assert len(all_chosen) == MAX_LINES
    figure = plot_parallel(drawn, measures, None, of=every)
    size = next(one for one in figure.data[0].dimensions if one.name == "size_bytes")
    assert list(size.range) == pytest.approx(
        [every["size_bytes"].max() / 1000, every["size_bytes"].min() / 1000]
    )
    assert len(size["values"]) == MAX_LINES
    assert f"{MAX_LINES} of 5,000 runs" in figure.layout.title.text
    assert f"{MAX_LINES} of 5,000 runs" in describe_parallel(drawn, measures, every)


def test_a_brush_selects_runs_by_the_units_of_its_axis_drawn_or_not():
    every = runs(*({"size_bytes": 1000 * i, "accuracy": i / 10} for i in range(1, 10)))
    every = every.assign(family=["baseline", *["prune"] * 8])
    measures = [SIZES[0], ACCURACY]
    assert brushed_runs(every, measures, {}) == brushed_runs(every, measures, {"of another": [[0, 1]]}) == []
    assert brushed_runs(every, measures, {"size_bytes": [[2.5, 4.0]]}) == [3, 4]
    assert brushed_runs(every, measures, {"size_bytes": [[0, 2.0], [8.5, 20]]}) == [1, 2, 9]
    assert brushed_runs(every, measures, {"size_bytes": [[0, 5]], "accuracy": [[30.0, 99]]}) == [3, 4, 5]
    assert brushed_runs(every, measures, {TECHNIQUE: [[-0.3, 0.3]]}) == [1]
    log = frozenset({"size_bytes"})
    assert brushed_runs(every, measures, {"size_bytes": [[math.log10(2.5), math.log10(4.1)]]}, log) == [3, 4]


@pytest.mark.parametrize("measure", MEASURES.values(), ids=lambda m: m.column)
def test_every_measure_is_written_with_its_unit(measure):
    assert measure.write(None) == measure.write(math.nan) == "–"
    assert measure.unit in measure.write(0.5)
    assert measure.label
    assert measure.help


def test_quality_is_accuracy_where_there_are_labels_else_what_the_task_gives():
    assert quality_of(runs({})) == ACCURACY
    assert quality_of(runs({"accuracy": None, "rmse": 0.3, "sqnr_db": 20.0})) == ERRORS[0]
    assert quality_of(runs({"accuracy": None, "agreement": 0.9, "sqnr_db": 20.0})) == AGREEMENT
    assert quality_of(runs({"accuracy": None, "sqnr_db": 20.0})) == SQNR
    assert quality_of(runs({"accuracy": None})) == ACCURACY


def operator(layer, parameters, **values):
    return {"name": f"{layer}/op", "layer": layer, "parameters": parameters, **values}


def test_layers_are_aligned_between_runs_and_keep_the_order_of_the_model():
    layers = {
        "a": [operator("conv", 8, weight_bytes=8), operator("relu", 0), operator("dense", 4, weight_bytes=4),
              operator("dense", 4, weight_bytes=1)],
        "b": [
            operator("conv", 8, weight_bytes=None),
            operator("dense", 4, weight_bytes=2),
            operator(None, 2, weight_bytes=1),
        ],
    }  # fmt: skip
    values = layer_values(layers, "weight_bytes")
    assert values.index.tolist() == ["conv", "dense", "None/op"]
    assert values["a"].tolist()[:2] == [8.0, 5.0]
    assert values["b"].isna().tolist() == [True, False, False]
    figure = plot_layer_bars(values, "weight_bytes")
    assert [bar.name for bar in figure.data] == ["a", "b"]
    assert figure.data[0].marker.pattern.shape != figure.data[1].marker.pattern.shape


def test_of_many_layers_those_are_kept_in_which_the_runs_differ_most():
    values = pd.DataFrame(
        {"a": [float(i) for i in range(100)], "b": [0.0] * 100}, index=[f"l{i}" for i in range(100)]
    )
    kept_layers = most_different(values, 10)
    assert kept_layers.index.tolist() == [f"l{i}" for i in range(90, 100)]
    assert most_different(values, 100) is values


def test_layers_without_weights_give_an_empty_figure():
    values = layer_values({"a": []}, "sparsity")
    assert values.empty
    plot_layer_bars(values, "sparsity")


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
