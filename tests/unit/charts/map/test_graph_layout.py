"""The layered drawing: nothing overlaps, lines go down, deep networks stay narrow, and the same input gives the same."""

import time
from itertools import combinations, pairwise

import pytest

from lwdash.charts.map.graph_layout import laid_out

SIZE = (100.0, 40.0)


def drawn(edges):
    sizes = {key: SIZE for edge in edges for key in edge}
    layout = laid_out(sizes, edges)
    for one, other in combinations(layout.boxes.values(), 2):
        assert abs(one[0] - other[0]) >= SIZE[0] or abs(one[1] - other[1]) >= SIZE[1], "boxes overlap"
    for (source, target), line in zip(edges, layout.lines, strict=True):
        left, top = layout.boxes[source]
        assert line[0] == pytest.approx((left + SIZE[0] / 2, top + SIZE[1]))
        left, top = layout.boxes[target]
        assert line[-1] == pytest.approx((left + SIZE[0] / 2, top))
        assert all(a[1] <= b[1] for a, b in pairwise(line))
    assert min(x for x, _ in layout.boxes.values()) >= 0
    assert max(x for x, _ in layout.boxes.values()) + SIZE[0] <= layout.width + 1e-6
    return layout


def test_branches_stand_beside_each_other_and_a_shortcut_passes_the_boxes():
    layout = drawn([("in", "a"), ("in", "b"), ("a", "end"), ("b", "end"), ("in", "end")])
    assert layout.boxes["a"][1] == layout.boxes["b"][1]
    shortcut = layout.lines[-1]
    crossing = [x for x, y in shortcut if y == layout.boxes["a"][1]]
    assert crossing
    assert all(
        not left < x < left + SIZE[0] for x in crossing for left, _ in (layout.boxes["a"], layout.boxes["b"])
    )


def test_a_deep_network_with_shortcuts_is_a_straight_column():
    edges = [(i, i + 1) for i in range(200)] + [(i, i + 4) for i in range(0, 196, 4)]
    layout = drawn(edges)
    assert len({round(x) for x, _ in layout.boxes.values()}) == 1
    assert layout.width < 250


def test_an_input_stands_above_its_consumer_and_not_at_the_top():
    layout = drawn([(i, i + 1) for i in range(6)] + [("late", 5)])
    assert layout.boxes["late"][1] == layout.boxes[4][1]


def test_the_same_graph_gives_the_same_picture_in_time():
    edges = [(i, i + 1) for i in range(1000)] + [(i, i + 7) for i in range(0, 990, 3)]
    began = time.process_time()
    sizes = dict.fromkeys(range(1001), SIZE)
    first = laid_out(sizes, edges)
    assert time.process_time() - began < 3
    assert laid_out(sizes, edges) == first


def test_a_circle_is_refused_and_nothing_is_nothing():
    with pytest.raises(ValueError, match="circle"):
        laid_out({0: SIZE, 1: SIZE}, [(0, 1), (1, 0)])
    assert laid_out({}, []).height == 0
