"""Folding of a graph: which operators become one box, and that no circle comes of it."""

import pytest

from lwdash.charts.map.graph_folds import BLOCKS, LAYERS, OPERATORS, default_level, folded, repeated_blocks


def chain(*operators: tuple[str, str | None]) -> dict:
    """A graph of operators (type, layer), each reading the one before."""
    nodes = [{"index": i, "type": kind, "layer": layer} for i, (kind, layer) in enumerate(operators)]
    edges = [{"from": i, "to": i + 1} for i in range(len(nodes) - 1)]
    return {"nodes": nodes, "edges": edges, "ports": []}


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ("", []),
        ("abc", [(0, 1, 1), (1, 1, 1), (2, 1, 1)]),
        ("xabcabcabcy", [(0, 1, 1), (1, 3, 3), (10, 1, 1)]),
        ("ababab", [(0, 2, 3)]),
        ("abab", [(0, 1, 1), (1, 1, 1), (2, 1, 1), (3, 1, 1)]),
        ("abcabc", [(0, 3, 2)]),
        ("aaaa", [(0, 1, 1), (1, 1, 1), (2, 1, 1), (3, 1, 1)]),
        ("abcabcab", [(0, 3, 2), (6, 1, 1), (7, 1, 1)]),
    ],
)
def test_the_repetition_that_covers_most_is_taken(kinds, expected):
    assert repeated_blocks(kinds) == expected


def test_operators_of_one_layer_become_one_box_only_where_they_follow_one_another():
    graph = chain(
        ("MEAN", "norm"),
        ("SUB", "norm"),
        ("CONV_2D", "conv"),
        ("ADD", "norm"),
        ("RELU", None),
        ("RELU", None),
    )
    assert [box.operators for box in folded(graph, LAYERS)] == [(0, 1), (2,), (3,), (4,), (5,)]
    assert [box.operators for box in folded(graph, OPERATORS)] == [(i,) for i in range(6)]


def test_blocks_of_the_same_types_and_wiring_fold_and_open_again():
    block = ("CONV_2D", "DEPTHWISE_CONV_2D", "ADD")
    graph = chain(
        ("RESHAPE", "in"), *((kind, f"{kind}_{i}") for i in range(4) for kind in block), ("SOFTMAX", "out")
    )
    graph["edges"] += [{"from": 3 * i, "to": 3 * i + 3} for i in range(4)]
    boxes = folded(graph, BLOCKS)
    assert [(box.operators[0], len(box.operators), box.repeats) for box in boxes] == [
        (0, 1, 1),
        (1, 12, 4),
        (13, 1, 1),
    ]
    assert len(folded(graph, BLOCKS, opened=[boxes[1].id])) == 14
    graph["edges"].pop()  # the last block has no shortcut: it is another one
    assert [box.repeats for box in folded(graph, BLOCKS)] == [1, 3, 1, 1, 1, 1]


def test_only_large_graphs_are_folded_at_first():
    assert default_level(chain(*[("ADD", None)] * 60)) == OPERATORS
    assert default_level(chain(*[("ADD", None)] * 61)) == BLOCKS
