"""Charts of one run: waterfall, sensitivity, confusion, flips, and where latencies were taken."""

import math

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from lwdash.charts.changed_rows import is_image, plot_flips
from lwdash.charts.confusion_matrix import (
    MAX_CLASSES,
    class_metrics,
    confused_pairs,
    plot_confusion,
    plot_confusion_change,
)
from lwdash.charts.layer_heatmap import plot_layer_heatmap
from lwdash.charts.metric_bars import plot_metric_bars
from lwdash.charts.sensitivity_bars import (
    MAX_LAYERS,
    describe_sensitivity,
    plot_sensitivity,
    sensitivity_bars,
)
from lwdash.charts.waterfall_bars import change_text, plot_waterfall, waterfall_bars
from lwdash.measure.flips import shrunk
from lwdash.metrics.hosts import describe_host, host_id
from lwdash.metrics.run_metrics import MEASURES
from lwdash.ui.run.waterfall_panel import most_noise, worst_stage


def stage(name: str, value: float | None, change: float | None, **others) -> dict:
    return {
        "stage": name, "measure": "accuracy", "value": value, "change": change, "change_ci": None, "verdict": None,
        "lost": None, "gained": None, "agreement": 1.0, "sqnr_db": None, "is_identical": False, "rows": 200, **others,
    }  # fmt: skip


WATERFALL = [
    stage("Keras model", 0.95, None),
    stage("float .tflite", 0.95, 0.0, sqnr_db=130.0),
    stage("weights: int8", 0.90, -0.05, sqnr_db=30.0, change_ci=[-0.08, -0.02], lost=11, gained=1, verdict="worse"),
    stage("activations: int8", 0.91, 0.01, sqnr_db=29.0, change_ci=[-0.01, 0.03], lost=1, gained=3, verdict="cannot tell"),
]  # fmt: skip


def test_waterfall_bars_are_in_percent_and_hang_from_the_stage_before() -> None:
    bars = waterfall_bars(WATERFALL)
    assert bars["value"].tolist() == pytest.approx([95, 95, 90, 91])
    assert bars["change"].tolist()[1:] == pytest.approx([0, -5, 1])
    assert bars["low"].tolist()[2:] == pytest.approx([-8, -1])
    assert bars["text"].tolist() == ["95.00 %", "no change", "−5.00 points", "+1.00 points"]
    levels, signal = plot_waterfall(WATERFALL).data
    assert list(levels.base) == pytest.approx([95, 95, 95, 90]), "no bar from a cropped axis"
    assert [b + y for b, y in zip(levels.base, levels.y, strict=True)] == pytest.approx([95, 95, 90, 91])
    colours = levels.marker.color
    assert colours[2] != colours[3], "a loss and a gain differ"
    assert [v for v in signal.y if not math.isnan(v)] == [130, 30, 29]


def test_errors_fall_where_accuracies_rise_and_some_tasks_have_signal_alone() -> None:
    errors = [stage("a", 1.0, None, measure="rmse"), stage("b", 1.5, 0.5, measure="rmse", sqnr_db=20.0)]
    assert change_text(errors[1]) == "+0.5"
    assert plot_waterfall(errors).data[0].marker.color[1] == plot_waterfall(WATERFALL).data[0].marker.color[2]
    alone = [
        stage("a", None, None, measure="sqnr_db"),
        stage("b", None, None, measure="sqnr_db", sqnr_db=9.0),
    ]
    assert len(plot_waterfall(alone).data) == 1


def test_the_sentence_names_the_stage_that_costs_most_and_whether_it_is_real() -> None:
    assert worst_stage(WATERFALL) == (
        "*weights: int8* costs most: −5.00 points, 11 rows lost and 1 gained, which is significant."
    )
    same = [{**s, "value": 0.95, "change": None if s["change"] is None else 0.0} for s in WATERFALL]
    assert worst_stage(same).startswith("No stage lost accuracy")
    assert "*weights: int8*, with 30.0 dB after it" in worst_stage(same)
    assert most_noise([stage("a", 1.0, None), stage("b", 1.0, 0.0)]) is None


def sensitivity(count: int) -> dict:
    figure = {"sqnr_db": 40.0, "value": 1.0}
    layers = [
        {"layer": f"layer{i}", "operators": ["CONV_2D"], "parameters": 9, "alone": {**figure, "sqnr_db": 50.0 - i / 10},
         "without": {**figure, "sqnr_db": 40.0 + i / 10}, "gain_db": i / 10, "reason": None}
        for i in range(count)
    ]  # fmt: skip
    layers.append({"layer": "loop", "operators": ["WHILE"], "parameters": 0, "alone": None, "without": None,
                   "gain_db": None, "reason": "WHILE: inside a loop"})  # fmt: skip
    return {"format": "int8", "rows": 99, "everything": figure, "layers": layers}


def test_sensitivity_shows_the_layers_that_were_measured() -> None:
    bars = sensitivity_bars(sensitivity(3))
    assert bars["layer"].tolist() == ["layer0", "layer1", "layer2"]
    assert bars["alone_db"].tolist() == pytest.approx([50.0, 49.9, 49.8])
    _, gain = plot_sensitivity(sensitivity(3)).data
    assert list(gain.x) == pytest.approx([0, 0.1, 0.2])
    assert describe_sensitivity(sensitivity(3)).endswith("layer2 +0.2 dB, layer1 +0.1 dB, layer0 +0.0 dB.")
    many = sensitivity_bars(sensitivity(100))
    assert many["layer"].tolist() == [f"layer{i}" for i in range(100 - MAX_LAYERS, 100)]


LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2])
OURS = np.array([0, 0, 1, 1, 2, 2, 2, 2, 0])
THEIRS = np.array([0, 0, 0, 1, 1, 2, 2, 2, 1])
RUN, BASELINE = (metrics.confusion_matrix(LABELS, p).tolist() for p in (OURS, THEIRS))
NAMES = ["normal", "atrial", "other"]


def test_class_figures_are_scikit_learns() -> None:
    figures = class_metrics(RUN, BASELINE, NAMES)
    assert figures["class"].tolist() == NAMES
    assert figures["rows"].tolist() == [3, 2, 4]
    for column, predicted in (("", OURS), ("baseline_", THEIRS)):
        recalls = metrics.recall_score(LABELS, predicted, average=None)
        assert figures[f"{column}recall"].tolist() == pytest.approx(recalls.tolist())
        precisions = metrics.precision_score(LABELS, predicted, average=None)
        assert figures[f"{column}precision"].tolist() == pytest.approx(precisions.tolist())
    never = class_metrics([[2, 0], [1, 0]], None, None)
    assert never["class"].tolist() == ["0", "1"]
    assert math.isnan(never["precision"][1])


def test_confusion_is_drawn_in_shares_of_the_label_and_its_change_in_rows() -> None:
    shown, *written = plot_confusion(RUN, NAMES).data
    assert np.asarray(shown.z).tolist() == pytest.approx(
        np.array([[200 / 3, 100 / 3, 0], [0, 50, 50], [25, 0, 75]])
    )
    cells = {(x, y): text for one in written for x, y, text in zip(one.x, one.y, one.text, strict=True)}
    assert cells[NAMES[0], NAMES[2]] == "1<br>25 %"
    assert len(cells) == np.count_nonzero(RUN)
    change, *signed = plot_confusion_change(RUN, BASELINE, NAMES).data
    assert {text[0] for one in signed for text in one.text} == {"+", "−"}
    assert np.asarray(change.z).tolist() == (np.array(RUN) - np.array(BASELINE)).tolist()
    pairs = confused_pairs(RUN, BASELINE, NAMES)
    assert pairs.iloc[0].tolist() == ["normal", "atrial", 1, 0]
    assert ["other", "atrial", 0, 1] in pairs.to_numpy().tolist()


def test_letters_in_a_cell_are_white_on_full_colours_and_the_pages_ink_on_weak_ones() -> None:
    _, strong, weak = plot_confusion([[9, 0], [3, 3]], ["a", "b"]).data
    assert (strong.text, strong.textfont.color) == (("9<br>100 %",), "#ffffff")
    assert (weak.text, weak.textfont.color) == (("3<br>50 %", "3<br>50 %"), None)


def test_of_many_classes_the_most_confused_are_drawn() -> None:
    matrix = np.diag(np.full(100, 5))
    matrix[70, 80] = 9
    figure = plot_confusion(matrix.tolist(), None)
    [shown] = figure.data
    assert len(shown.x) == MAX_CLASSES
    assert {"70", "80"} <= set(shown.x)
    assert f"the {MAX_CLASSES} most confused of 100 classes" in figure.layout.title.text


def test_inputs_of_flips_are_curves_on_their_own_axis_or_images() -> None:
    curves = [shrunk(np.arange(1000.0)), shrunk(np.arange(1000.0))]
    figure = plot_flips(curves, ["0 → 1", "1 → 2"])
    assert not is_image(curves[0])
    assert len(figure.data) == 2
    assert list(figure.data[0].x[:3]) == [0, 3, 6]
    assert list(figure.data[0].y[:3]) == [0, 3, 6]
    grey, colour = shrunk(np.zeros((8, 8, 1))), shrunk(np.random.default_rng(0).random((28, 28, 3)))
    assert [plot_flips([image], ["a"]).data[0].type for image in (grey, colour)] == ["heatmap", "image"]
    two = shrunk(np.zeros((50, 2)))
    assert len(plot_flips([two], ["a"]).data) == 2, "a line a channel"


def test_a_machine_has_a_short_name_and_words() -> None:
    host = {"cpu": "Chip", "cores": 2, "threads": 1, "litert": "2.3"}
    assert host_id({"host": host, "host_id": "aa"}) == "aa"
    older = [host_id({"host": {**host, "cpu": cpu}, "host_id": None}) for cpu in ("Chip", "Chip", "New chip")]
    assert older[0] == older[1] != older[2], "runs from before there was a host_id"
    assert host_id({"host": None}) == "?"
    assert describe_host(host) == "Chip, 2 cores, 1 thread, LiteRT 2.3"
    assert describe_host({"cores": 1, "threads": 4}) == "an unknown processor, 1 core, 4 threads"


def test_colours_of_layers_of_very_different_sizes_are_logarithmic():
    wide = plot_layer_heatmap(
        pd.DataFrame({"1": [90.0, 262_000.0], "2": [math.nan, 5000.0]}, index=["a", "b"]), "bytes"
    )
    [trace] = wide.data
    assert trace.z[1][0] == pytest.approx(5.418, abs=0.001)
    assert trace.customdata[1][0] == 262_000
    assert list(trace.colorbar.ticktext) == ["100", "1,000", "10,000", "100,000"]
    for values in ([1.0, 20.0], [0.0, 5000.0]):
        assert (
            list(plot_layer_heatmap(pd.DataFrame({"1": values}, index=["a", "b"]), "bytes").data[0].z[:, 0])
            == values
        )


def test_long_names_of_six_runs_are_headings_of_several_lines_that_fit_beside_each_other():
    names = [f"{run} · prune(0.6, method=magnitude, epochs=4) + cluster(16) + int8" for run in range(6)]
    figure = plot_layer_heatmap(pd.DataFrame(1.0, index=["conv", "dense"], columns=names), "weight_bytes")
    assert figure.layout.xaxis.tickangle == 0
    lines = [heading.split("<br>") for heading in figure.layout.xaxis.ticktext]
    assert all(len(line) <= 20 for heading in lines for line in heading)
    assert figure.layout.margin.t >= 17 * max(map(len, lines))
    assert figure.layout.height - figure.layout.margin.t >= 2 * 24
    assert 6 * 20 * 6 < figure.layout.meta["min_width"] < 1088, "it fits on a page of 1,280 pixels"


def test_small_plots_of_runs_with_long_names_scroll_rather_than_shrink():
    names = ["int8", "prune(sparsity=0.6, method=magnitude, epochs=4) + cluster(clusters=16) + int8"]
    runs = pd.DataFrame({"id": [1, 2], "recipe": names, "size_bytes": [1000, 2000], "accuracy": [0.9, 0.8]})
    wide = plot_metric_bars(runs, [MEASURES["size_bytes"], MEASURES["accuracy"]], 1)
    short = plot_metric_bars(runs.head(1), [MEASURES["size_bytes"], MEASURES["accuracy"]], 1)
    assert wide.layout.meta["min_width"] > short.layout.meta["min_width"] + 300
    assert wide.layout.meta["min_width"] < 1088, "it fits on a page of 1,280 pixels"
