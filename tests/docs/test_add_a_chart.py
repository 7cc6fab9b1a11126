"""docs/add-a-chart.md, followed to the letter: the chart of the page holds its data and tells it in words."""

from types import ModuleType

import pandas as pd
import pytest
from support.documented import documented, loaded

RUNS = pd.DataFrame(
    {
        "recipe": ["float32", "<b>int8</b>", "failed"],
        "size_bytes": [5000.0, 2000.0, None],
        "weight_bytes": [4000.0, 1000.0, None],
    }
)


CHART, CONTRAST = "lwdash/charts/size_parts.py", "tests/unit/charts/test_contrast.py"


@pytest.fixture
def chart(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return loaded(CHART, documented("add-a-chart.md")[CHART], monkeypatch)


def test_the_figure_holds_the_parts_and_shows_names_letter_by_letter(chart: ModuleType) -> None:
    weights, rest = chart.plot_size_parts(chart.size_parts(RUNS)).data
    assert list(weights.x) == [4.0, 1.0]
    assert list(rest.x) == [1.0, 1.0]
    assert list(weights.y) == ["float32", "&lt;b&gt;int8&lt;/b&gt;"]


def test_it_is_told_in_words(chart: ModuleType) -> None:
    text = chart.describe_size_parts(chart.size_parts(RUNS))
    assert "float32: 4.0 kB of weights, 1.0 kB of graph and names" in text
    assert chart.describe_size_parts(chart.size_parts(RUNS[2:])) == "No run has a size yet."


def test_its_marks_are_checked_with_those_of_the_others(
    chart: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    contrast = loaded(CONTRAST, documented("add-a-chart.md")[CONTRAST], monkeypatch)
    plot, samples = chart.plot_size_parts, contrast.SAMPLES["plot_size_parts"]
    monkeypatch.setattr(contrast, "plots", lambda: {"plot_size_parts": plot})
    contrast.test_marks_stand_out_from_both_pages("plot_size_parts")
    monkeypatch.setattr(chart, "COLOURS", {"weights": "#ffffff", "graph and names": "#ffffff"})
    assert samples(plot)[0].data[0].marker.color == "#ffffff"
    with pytest.raises(AssertionError):
        contrast.test_marks_stand_out_from_both_pages("plot_size_parts")
