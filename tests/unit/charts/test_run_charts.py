"""The figures of a run's page: what they add up to, and what they say in words."""

import pytest
from support.measured_layers import GRAPH, LAYERS

from lwdash.charts.ledger_treemap import NO_LAYER, describe_ledger, ledger_parts, plot_ledger
from lwdash.charts.map.operator_facts import describe_graph, flow_text, operator_facts
from lwdash.charts.operator_bars import MAX_LAYERS, describe_operator_bars, plot_operator_bars, shortened
from lwdash.charts.weight_histograms import plot_weights, weight_text
from lwdash.metrics.layer_metrics import (
    QUANTITIES,
    SEQUENTIAL,
    by_layer,
    colour_of,
    measured_quantities,
    with_layer_measurements,
)

LEDGER = {"weights": 70, "quantization": 45, "graph": 80, "names": 10, "constants": 0, "metadata": 20, "padding": 5,
          "unreferenced": 0}  # fmt: skip


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("bytes", {"conv": 140, "out": 30}),
        ("sparsity", {"conv": pytest.approx(40.0)}),
        ("output_sqnr_db", {"conv": 12.0}),
        ("time_share", {"conv": pytest.approx(100.0)}),
    ],
)
def test_a_layer_joins_its_operators_as_the_quantity_asks(column, expected):
    """Bytes add up, shares of zeros are averaged by parameters, of SQNRs the least counts."""
    assert by_layer(LAYERS, QUANTITIES[column]).to_dict() == expected


def test_targets_and_the_sensitivity_add_to_the_operators_of_their_layers():
    """A target may split an operator; the first with layers counts."""
    targets = {
        "tflm": {"layers": []},
        "npu": {
            "layers": [
                {"name": "out", "cycles": 5},
                {"name": "out", "cycles": 2},
                {"name": "x", "cycles": None},
            ]
        },
        "other": {"layers": [{"name": "out", "cycles": 900}]},
    }
    found = {"layers": [{"layer": "conv", "alone": {"sqnr_db": 30.0}, "gain_db": 1.5},
                        {"layer": "out", "alone": None, "gain_db": None}]}  # fmt: skip
    rows = with_layer_measurements(LAYERS, targets, found)
    assert by_layer(rows, QUANTITIES["cycles"]).to_dict() == {"out": 7}
    assert by_layer(rows, QUANTITIES["alone_db"]).to_dict() == {"conv": 30.0}
    assert by_layer(rows, QUANTITIES["gain_db"]).to_dict() == {"conv": 1.5}
    assert by_layer(with_layer_measurements(LAYERS, {}, None), QUANTITIES["cycles"]).empty


def test_only_what_was_measured_is_offered():
    assert measured_quantities([{"type": "ADD", "bytes": 9}]) == ["bytes"]
    assert "entropy_bits" not in measured_quantities(LAYERS)
    assert measured_quantities([]) == []


def test_bars_of_many_layers_are_the_largest_in_the_order_of_the_file():
    many = [
        {"type": "CONV_2D", "layer": f"block_{i:03}/a_long_name_of_a_layer", "bytes": i} for i in range(90)
    ]
    values = by_layer(many, QUANTITIES["bytes"])
    figure = plot_operator_bars(values, QUANTITIES["bytes"])
    assert list(figure.data[0].x) == list(range(90 - MAX_LAYERS, 90))
    assert f"the {MAX_LAYERS} largest of 90" in figure.layout.title.text
    assert max(map(len, figure.layout.yaxis.ticktext)) <= 28
    assert "block_089/a_long_name_of_a_layer 89 B" in describe_operator_bars(values, QUANTITIES["bytes"])


def test_bars_of_nothing_are_an_empty_figure():
    values = by_layer([], QUANTITIES["sparsity"])
    plot_operator_bars(values, QUANTITIES["sparsity"])
    assert describe_operator_bars(values, QUANTITIES["sparsity"]) == "Zeros: no layer has it."


def test_long_names_keep_their_end():
    assert shortened("short") == "short"
    assert shortened("mobilenet/block_16_depthwise/depthwise").endswith("depthwise/depthwise")


def test_the_bytes_of_the_ledger_add_up_to_the_file_and_what_no_layer_owns_is_shown():
    parts = ledger_parts(LAYERS, LEDGER, 230)
    assert parts["bytes"].sum() == 230
    rest = parts[parts["layer"] == NO_LAYER].set_index("category")["bytes"].to_dict()
    assert rest == {"quantization": 5, "graph": 30, "metadata": 20, "padding": 5}
    treemap = plot_ledger(parts).data[0]
    assert treemap.values[0] == 230
    inside = dict(zip(treemap.ids, treemap.values, strict=True))
    assert inside["layer:conv"] == 140
    assert inside["weights:conv"] == 70
    for name, value in inside.items():
        children = [v for v, parent in zip(treemap.values, treemap.parents, strict=True) if parent == name]
        assert not children or sum(children) == value, name
    assert "weights 70" in describe_ledger(parts)


def test_a_run_measured_before_there_was_a_ledger_still_adds_up():
    parts = ledger_parts([{"type": "CONV_2D", "layer": "conv", "bytes": 99, "weight_bytes": 27}], {}, 120)
    assert parts["bytes"].sum() == 120
    plot_ledger(parts)


def test_an_operator_in_words():
    facts = operator_facts(GRAPH, GRAPH["nodes"][0], {**LAYERS[0], "ms": 0.002})
    assert facts["Keras layer"] == "conv"
    assert facts["Time alone"] == "2.00 µs"
    assert facts["Zeros"] == "50.0 %"
    assert facts["Output"].endswith("(to 1)")
    assert list(operator_facts(GRAPH, GRAPH["nodes"][0], {})) == ["Number", "Keras layer", "Input", "Output"]


def test_shapes_and_the_graph_in_words():
    assert flow_text({"shape": [], "dtype": "int32"}) == "scalar int32"
    assert describe_graph(GRAPH) == (
        "The file's graph: 3 operators (CONV_2D 1, ADD 1, SOFTMAX 1) and 4 connections."
    )


def test_colours_go_from_dark_to_light_and_text_stays_readable():
    assert colour_of(0, 0, 10) == (SEQUENTIAL[0], "#ffffff")
    assert colour_of(10, 0, 10) == (SEQUENTIAL[-1], "#17212b")
    assert colour_of(5, 5, 5)[0] in SEQUENTIAL
    for step in range(11):
        fill, text = colour_of(step, 0, 10)
        assert contrast(fill, text) > 4.5, (step, fill)


def contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio."""

    def luminance(colour: str) -> float:
        shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in shares]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


KERNEL = {
    "low": -1.0, "high": 1.0, "counts": [1, 0, 2, 3], "zeros": 4, "values": 10, "distinct": 5, "dtype": "int8",
    "baseline": {"counts": [2, 2, 3, 3], "zeros": 0, "values": 10, "distinct": 10},
}  # fmt: skip


def test_weights_are_bars_with_the_baseline_as_a_line():
    bars, line = plot_weights(KERNEL).data
    assert (bars.type, list(bars.y), list(bars.x)) == ("bar", [1, 0, 2, 3], [-0.75, -0.25, 0.25, 0.75])
    assert (line.mode, list(line.y)) == ("lines", [2, 2, 3, 3])
    assert (
        weight_text(KERNEL)
        == "10 weights, int8 · zeros 40.0 % (baseline 0.0 %) · distinct stored 5 (baseline 10)"
    )


def test_weights_without_a_twin_stand_alone():
    alone = {**KERNEL, "baseline": None}
    assert len(plot_weights(alone).data) == 1
    assert weight_text(alone) == "10 weights, int8 · zeros 40.0 % · distinct stored 5"
