"""Names that people chose are shown letter by letter in figures."""

import re

import numpy as np
import plotly.graph_objects as go
import pytest

import lwdash.charts
from lwdash.charts.literal_text import literal, names_as_text

HOSTILE = "<a href='javascript:x'>n</a> & %{y}"
SAFE = "&lt;a href='javascript:x'&gt;n&lt;/a&gt; &amp; %&#123;y}"


def test_every_tag_entity_and_template_is_taken_apart() -> None:
    assert literal(HOSTILE) == SAFE
    assert literal("int8, 3 % of 100") == "int8, 3 % of 100"


def test_the_data_the_axes_and_the_annotations_are_literal_and_our_own_texts_are_not() -> None:
    @names_as_text
    def plot() -> go.Figure:
        figure = go.Figure()
        figure.add_bar(
            x=[HOSTILE, "b"], y=np.array([1.0, 2.0]), name=HOSTILE, customdata=[[HOSTILE, 3], ["x", 4]],
            text=["<b>ours</b>", ""], hovertemplate="<b>%{x}</b><br>%{y}<extra></extra>",
        )  # fmt: skip
        figure.add_treemap(labels=[HOSTILE], parents=[""], values=[1])
        figure.update_xaxes(categoryarray=[HOSTILE, "b"], ticktext=[HOSTILE], tickvals=[0])
        figure.add_annotation(text=HOSTILE, x=0, y=0)
        return figure

    figure = plot()
    bar, tree = figure.data
    assert list(bar.x) == [SAFE, "b"]
    assert list(bar.y) == [1.0, 2.0]
    assert bar.name == SAFE
    assert bar.customdata[0][0] == SAFE
    assert bar.customdata[0][1] == 3
    assert bar.hovertemplate == "<b>%{x}</b><br>%{y}<extra></extra>"
    assert list(bar.text) == ["<b>ours</b>", ""]
    assert list(tree.labels) == [SAFE]
    assert list(figure.layout.xaxis.categoryarray) == [SAFE, "b"]
    assert list(figure.layout.xaxis.ticktext) == [SAFE]
    assert list(figure.layout.xaxis.tickvals) == [0]
    assert figure.layout.annotations[0].text == SAFE


def test_every_function_that_draws_says_so() -> None:
    from pathlib import Path

    for path in Path(lwdash.charts.__path__[0]).glob("*.py"):
        for before in re.findall(r"(.*)\ndef plot_\w+\(", path.read_text(encoding="utf-8")):
            assert before == "@names_as_text", f"{path.name}: a function that draws is not @names_as_text"


@pytest.mark.parametrize("words", ["", "conv2d", "größe 1×2"])
def test_ordinary_names_are_as_they_were(words: str) -> None:
    assert literal(words) == words
