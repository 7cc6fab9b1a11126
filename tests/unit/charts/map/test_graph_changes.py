"""Operators that differ between two files."""

from support.measured_layers import GRAPH, LAYERS

from lwdash.charts.map.graph_changes import ADDED, GONE, OTHER_TYPES, SAME, SEVERAL, operator_marks
from lwdash.charts.map.graph_folds import LAYERS as BY_LAYER
from lwdash.charts.map.graph_folds import OPERATORS
from lwdash.charts.map.model_map import graph_boxes
from lwdash.metrics.layer_metrics import QUANTITIES


def test_operators_are_matched_by_layer_and_type() -> None:
    quantize = {"index": 3, "type": "QUANTIZE", "layer": None}
    other = {
        **GRAPH,
        "nodes": [*GRAPH["nodes"], quantize],
        "edges": [{**edge, "dtype": "float32"} if edge["from"] == 1 else edge for edge in GRAPH["edges"]],
    }
    before = operator_marks(GRAPH, LAYERS, other, LAYERS, only=GONE)
    assert before == {0: SAME, 1: OTHER_TYPES, 2: SAME}
    after = operator_marks(other, LAYERS, GRAPH, LAYERS, only=ADDED)
    assert after == {0: SAME, 1: OTHER_TYPES, 2: SAME, 3: ADDED}
    twice = {**GRAPH, "nodes": [*GRAPH["nodes"], {**GRAPH["nodes"][0], "index": 9}]}
    assert operator_marks(twice, [], GRAPH, [], only=GONE)[9] == GONE


def test_boxes_have_the_texts_and_colours_of_marks() -> None:
    marks = {0: SAME, 1: OTHER_TYPES, 2: ADDED}
    boxes = {
        box["id"]: box
        for box in graph_boxes(GRAPH, LAYERS, QUANTITIES["bytes"], OPERATORS, (), marks)["boxes"]
    }
    assert boxes["1"]["fill"] == OTHER_TYPES.fill
    assert OTHER_TYPES.text in boxes["1"]["lines"]
    assert not any("B" in line.split() for line in boxes["1"]["lines"]), "in place of the bytes"
    folded = graph_boxes(GRAPH, LAYERS, QUANTITIES["bytes"], BY_LAYER, (), marks)["boxes"]
    assert SEVERAL.fill in {box["fill"] for box in folded}
