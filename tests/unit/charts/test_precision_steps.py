"""The files that `auto` tried, as points: sorted by size, the front and the chosen one marked."""

from lwdash.charts.precision_steps import describe_precision_steps, plot_precision_steps, precision_steps

FOUND = {
    "recipe": "mixed(default=int8)",
    "attempts": [
        {"recipe": "mixed(default=int8)", "size_bytes": 20_000, "sqnr_db": 40.0, "changed": 0.0},
        {"recipe": "mixed(default=int8x4)", "size_bytes": 12_000, "sqnr_db": 26.0, "changed": 0.02},
        {"recipe": "mixed(default=int8x4, a=int8)", "size_bytes": 15_000, "sqnr_db": 25.0, "changed": 0.03},
        {"recipe": "mixed(default=float32)", "size_bytes": 70_000, "sqnr_db": None, "changed": 0.0},
    ],
}


def test_the_front_has_no_smaller_file_that_is_as_exact() -> None:
    steps = precision_steps(FOUND)
    assert list(steps["kb"]) == [12.0, 15.0, 20.0, 70.0]
    assert list(steps["is_front"]) == [True, False, True, True]
    assert list(steps["is_chosen"]) == [False, False, True, False]


def test_the_figure_and_its_text_have_the_chosen_file() -> None:
    chosen = next(trace for trace in plot_precision_steps(FOUND).data if trace.name == "chosen")
    assert (list(chosen.x), list(chosen.y)) == ([20.0], [40.0])
    text = describe_precision_steps(FOUND)
    assert "4 files of 12.0 to 70.0 kB" in text
    assert "20.0 kB and 40.0 dB" in text
