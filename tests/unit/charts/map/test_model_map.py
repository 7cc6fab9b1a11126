"""The map's data: boxes, tiles and table agree on parts, values and colours."""

import json

import pytest
from support.measured_layers import GRAPH, LAYERS

from lwdash.charts.map.graph_folds import LAYERS as BY_LAYER
from lwdash.charts.map.graph_folds import OPERATORS
from lwdash.charts.map.model_map import graph_boxes, layer_table, layer_tiles, parts_of, value_range
from lwdash.charts.map.treemap_tiles import tiles
from lwdash.metrics.layer_metrics import NO_VALUE, QUANTITIES, SEQUENTIAL


def test_a_box_has_its_texts_colour_and_part_and_the_lines_its_neighbours():
    drawn = graph_boxes(GRAPH, LAYERS, QUANTITIES["output_sqnr_db"], OPERATORS)
    boxes = {box["id"]: box for box in drawn["boxes"]}
    assert boxes["0"]["lines"] == ["CONV_2D", "conv", "40.0 dB", "1×8 int8"]
    assert boxes["in:0"]["lines"] == ['an "input"', "?×8 int8"]
    assert [boxes[i]["fill"] for i in "012"] == [SEQUENTIAL[-1], SEQUENTIAL[0], NO_VALUE]
    assert [boxes[i]["parts"] for i in ("0", "1", "2", "in:0")] == [["conv"], ["conv"], ["out"], []]
    ids = [box["id"] for box in drawn["boxes"]]
    ends = [(ids[line["from"]], ids[line["to"]]) for line in drawn["lines"]]
    assert ends == [("in:0", "0"), ("0", "1"), ("1", "2"), ("2", "out:0")]
    assert "conv_2d" in boxes["0"]["search"]
    assert "1×8 int8" in boxes["0"]["search"]
    json.dumps(drawn)


def test_a_folded_box_joins_its_operators_and_its_inner_lines_are_gone():
    drawn = graph_boxes(GRAPH, LAYERS, QUANTITIES["bytes"], BY_LAYER)
    boxes = {box["id"]: box for box in drawn["boxes"]}
    assert boxes["layer:0"]["lines"] == ["2 operators", "conv", "140 B", "scalar int8"]
    assert len(drawn["lines"]) == 3


def test_an_old_run_without_measured_operators_is_drawn_in_grey():
    drawn = graph_boxes(GRAPH, [], QUANTITIES["bytes"], OPERATORS)
    assert [box["fill"] for box in drawn["boxes"] if box["is_operator"]] == [NO_VALUE] * 3
    assert parts_of(GRAPH, []) == ["conv", "SOFTMAX 2"]
    assert value_range([], QUANTITIES["bytes"]) is None


def test_tiles_and_table_have_one_entry_per_layer_with_the_chosen_quantity_first():
    found = {tile["part"]: tile for tile in layer_tiles(LAYERS, QUANTITIES["sparsity"])}
    assert found["conv"]["text"] == "140 B · 40.0 %"
    assert found["out"]["fill"] == NO_VALUE
    table = layer_table(LAYERS, QUANTITIES["sparsity"])
    assert table["columns"][0]["title"] == "Zeros (%)"
    assert [(row["part"], row["types"], row["cells"][0]["text"], row["share"]) for row in table["rows"]] == [
        ("conv", "CONV_2D, ADD", "40.0", 1.0),
        ("out", "SOFTMAX", "–", 0.0),
    ]
    assert {tile["part"] for tile in found.values()} == {row["part"] for row in table["rows"]}
    json.dumps(table)


@pytest.mark.parametrize("values", [[1], [5, 1, 1, 3], [1e-6, 1.0], list(range(1, 40))])
def test_areas_of_tiles_are_proportional_and_fill_the_whole(values):
    placed = tiles(values)
    areas = [width * height / 10_000 for _, _, width, height in placed]
    assert areas == pytest.approx([value / sum(values) for value in values])
    assert max(left + width for left, _, width, _ in placed) == pytest.approx(100)
    assert max(top + height for _, top, _, height in placed) == pytest.approx(100)
    assert tiles([0.0, 0.0]) == [(0, 0, 0, 0)] * 2
