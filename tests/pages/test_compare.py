"""The page that compares chosen runs: its address is all that it needs."""

import re

import pytest
from sqlalchemy import update
from support.seeding import seed_experiment
from visit import shown, sound, words

from lwdash.ui.shared import page_paths
from storage.tables import RunDetail


def test_the_selected_runs_lead_to_their_comparison(home):
    seed_experiment(home, "beats", 4)
    app = shown(page_paths.EXPERIMENT, id="1", runs="3,1,99")
    assert "2 selected" in words(app)
    app = shown(page_paths.COMPARE, experiment="1", runs="1,3,99")
    figures, recipes = (element.value for element in app.table)
    assert [heading.partition("]")[0] for heading in figures.columns] == ["[1", "[3"]
    own, other = figures.loc["Size of the .tflite"]
    assert own.replace("\\", "") == "**100.0\u00a0kB**"
    assert re.search(r":green\[−\d+\.\d\u00a0%, better\]", other.replace("\\", ""))
    assert figures.loc["Verdict"].tolist() == ["baseline", "**not significant**"]
    assert recipes.loc["Dynamic range"].tolist() == ["–", "yes"]
    app.selectbox(key="compare:layer").set_value("sparsity").run()
    assert sound(app).query_params["layer"] in ("sparsity", ["sparsity"])


def test_any_run_can_be_the_one_that_others_are_compared_with(home):
    seed_experiment(home, "beats", 4)
    app = shown(page_paths.COMPARE, experiment="1", runs="1,3", **{"with": "3"})
    assert "Differences are to run 3, dynamic." in words(app)
    own, other = app.table[0].value.loc["Size of the .tflite"]
    assert re.search(r":red\[\+\d+\.\d\u00a0%, worse\]", own.replace("\\", ""))
    assert "better" not in other
    assert "worse" not in other
    app.selectbox(key="compare:reference").set_value(1).run()
    assert sound(app).query_params["with"] in ("1", ["1"])
    assert "Differences are to run 1, the baseline." in words(app)


def test_metrics_that_are_equal_are_named_in_one_line_and_shown_on_request(home):
    seed_experiment(home, "beats", 4)
    app = shown(page_paths.COMPARE, experiment="1", runs="1,3")
    assert "Equal in all runs: " in words(app)
    assert "Sparsity" not in app.table[0].value.index
    app.toggle(key="compare:whole").set_value(True).run()
    assert "Sparsity" in sound(app).table[0].value.index


def test_matrices_rows_and_operators_are_drawn_when_they_are_opened(home):
    seed_experiment(home, "beats", 4)
    layer = {"layer": "y", "type": "FULLY_CONNECTED", "parameters": 9, "bytes": 99, "output_dtype": "float32"}
    flip = {"row": 7, "label": 1, "baseline": 1, "run": 0, "input": None}
    for run in (1, 3):
        measured = {
            "layers": [{**layer, "output_dtype": "int8" if run == 3 else "float32"}], "classes": ["a", "b"],
            "confusion": [[9, run], [0, 8]], "flips": [flip] if run == 3 else [],
        }  # fmt: skip
        with home.database.begin() as connection:
            connection.execute(update(RunDetail).where(RunDetail.run_id == run).values(measured=measured))
    app = shown(page_paths.COMPARE, experiment="1", runs="1,3")
    labels = {expander.label for expander in app.expander}
    assert labels == {"Confusion matrix", "Rows on which they differ: 1", "Layers whose operators differ: 1"}
    assert len(app.dataframe) == 0
    figures = len(app.get("bidi_component"))
    for key in ("matrices", "rows", "graph"):
        app.session_state[f"compare:{key}"] = True
    sound(app.run())
    assert [list(table.value.columns)[:1] for table in app.dataframe] == [["Layer"], ["Row"]]
    assert len(app.get("bidi_component")) == figures + 2, "one matrix for each run"


@pytest.mark.parametrize("runs", ["", "1", "99", "abc", "1," * 300, "9" * 40])
def test_too_few_runs_are_asked_for(home, runs):
    seed_experiment(home, "beats", 4)
    assert "Choose two to six measured runs" in words(shown(page_paths.COMPARE, experiment="1", runs=runs))


def test_an_empty_database_has_nothing_to_compare(home):
    assert "There are no experiments yet." in words(shown(page_paths.COMPARE))
