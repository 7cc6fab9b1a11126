"""The run page in every state of a run and every tab, with runs of earlier versions that lack some of what is shown."""

import re
import time
from functools import partial

import pytest
import streamlit as st
from seeding import seed_experiment
from sqlalchemy import select, update
from visit import shown, words

from lwdash.ui.run import graph_loading
from lwdash.ui.run.layers_tab import FIRST, layer_frame
from lwdash.ui.run.stages_log import fact_words
from lwdash.ui.shared import access, page_paths
from storage import run_rows, runs
from storage.store import Store
from storage.tables import Run, RunDetail, State
from storage.visitors import Visitor

TABS = ("Overview", "Bytes", "Layers", "Weights", "Graph", "Predictions", "Stages and log")

opened = partial(shown, page_paths.RUN)


@pytest.fixture(autouse=True)
def child(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a child process would read in the file; the child itself is tested elsewhere."""
    kernel = {"index": 0, "type": "FULLY_CONNECTED", "layer": "y", "name": "y/MatMul", "dtype": "int8", "low": -1.0,
              "high": 1.0, "counts": [1] * 64, "zeros": 3, "values": 67, "distinct": 9, "baseline": None}  # fmt: skip
    graph = {
        "nodes": [{"index": 0, "type": "FULLY_CONNECTED", "layer": "y"}],
        "ports": [],
        "edges": [],
        "subgraphs": 2,
    }
    st.cache_data.clear()
    answers = {"dissect": {"dissected": {"graph": graph, "weights": [kernel]}}}
    monkeypatch.setattr(graph_loading, "ask_child", lambda settings, step, job: answers[step])


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_shows_an_old_run_with_what_it_has(home, tab):
    """The seeded runs have one layer of a few columns, no ledger, no waterfall, no confusion, no trail."""
    seed_experiment(home, "beats", 6)
    text = words(opened(id="6", tab=tab))
    assert {
        "Overview": "What to try next",
        "Bytes": "The categories add up to the file's",
        "Layers": "All that belongs to a layer",
        "Weights": "67 weights, int8 · zeros 4.5 % · distinct 9",
        "Graph": "1 subgraph of the file (the body of a loop) is not drawn",
        "Predictions": "run 6 of beats",
        "Stages and log": "1 stage, 0 from the cache",
    }[tab] in text


@pytest.mark.parametrize("tab", ["Overview", "Bytes", "Stages and log", "no such tab"])
def test_a_run_without_any_details_shows_its_figures(home, tab):
    seed_experiment(home, "beats", 2)
    with home.database.begin() as connection:
        connection.execute(update(RunDetail).values(measured=None, compressed=None))
    assert "Cannot tell." in words(opened(id="2", tab=tab))


def test_only_the_open_tab_is_computed(home, monkeypatch):
    seed_experiment(home, "beats", 2)
    asked = []
    monkeypatch.setattr(
        graph_loading, "ask_child", lambda *call: asked.append(call) or {"error": "it is damaged"}
    )
    for tab in ("Overview", "Bytes", "Stages and log"):
        opened(id="2", tab=tab)
    assert asked == []
    text = words(opened(id="2", tab="Weights"))
    assert "This file cannot be looked into: it is damaged" in text


def test_one_click_queues_the_suggested_recipe_and_says_so(home):
    seed_experiment(home, "beats", 6)
    app = opened(id="6")
    suggestions = [b for b in app.button if b.label == "Run it"]
    button = suggestions[0]
    recipe = re.sub(r"^Queue ", "", button.help).replace("\\", "")
    button.click()
    app.run()
    assert not app.exception
    assert f"Run 7 is queued: **{recipe}**" in words(app)
    started = run_rows.get_run(home.database, 7)
    assert (started["recipe"], started["state"]) == (recipe, "queued")
    again = opened(id="6")
    assert "Run 7 is queued" not in words(again)
    assert len([b for b in again.button if b.label == "Run it"]) == len(suggestions) - 1


def test_a_queued_run_says_how_many_are_ahead_and_a_cancelled_one_what_stays(home):
    experiment = seed_experiment(home, "beats", 1)
    first, second, third = runs.add_runs(
        home.database,
        experiment,
        [("int8", False, False), ("float16", False, False), ("dynamic", False, False)],
        "s",
    )
    assert "waits for its turn: next" in words(opened(id=str(first)))
    assert "waits for its turn: 1 ahead" in words(opened(id=str(second)))
    waiting = words(opened(id=str(third)))
    assert "waits for its turn: 2 ahead" in waiting
    assert "There is no log" not in waiting, "a run that has not begun has none to look for"
    claim = runs.claim(home.database, first, "compress", 1, "here")
    assert claim
    assert "It is being worked on" in words(opened(id=str(first)))
    runs.cancel(home.database, second)
    assert "What it had finished stays in the cache" in words(opened(id=str(second)))


def test_a_regression_has_its_error_in_the_place_of_the_accuracy(home):
    seed_experiment(home, "beats", 2)
    with home.database.begin() as connection:
        figures = dict(connection.execute(select(Run.figures).where(Run.id == 2)).scalar_one())
        figures |= {"accuracy": None, "agreement": None, "rmse": 0.25, "baseline_rmse": 0.2, "host": None}
        connection.execute(
            update(Run).where(Run.id == 2).values(figures=figures, accuracy=None, agreement=None)
        )
    app = opened(id="2")
    [error] = [m for m in app.metric if m.label == "RMSE"]
    assert (error.value, error.delta) == ("0.25", "+25.0 %")
    assert "the host was not recorded" in words(app)


def test_every_tab_opens_for_a_file_with_many_operators(home):
    """The log has the processor time of each."""
    seed_experiment(home, "beats", 2)
    with home.database.begin() as connection:
        measured = dict(
            connection.execute(select(RunDetail.measured).where(RunDetail.run_id == 2)).scalar_one()
        )
        measured["layers"] = [
            {
                **measured["layers"][0],
                "index": i,
                "layer": f"block_{i}/conv",
                "name": f"block_{i}/conv/Conv2D",
            }
            for i in range(200)
        ]
        connection.execute(update(RunDetail).where(RunDetail.run_id == 2).values(measured=measured))
    app = opened(id="2")
    for tab in TABS:
        app.session_state["tab"] = tab
        began = time.process_time()
        app.run()
        spent = time.process_time() - began
        print(f"{tab}: {spent:.2f} s")
        assert not app.exception


def test_the_layer_table_has_only_the_columns_that_were_measured():
    rows = [
        {
            "index": 0,
            "type": "CONV_2D",
            "layer": "conv",
            "parameters": 9,
            "sparsity": 0.25,
            "output_shape": [1, 3, 8],
        },
        {"index": 1, "type": "RELU", "layer": None, "name": "relu", "parameters": 0, "sparsity": 0.0},
    ]
    table = layer_frame(rows, [{"index": 0, "counts": [1, 2, 3, 4]}])
    assert list(table) == ["type", "layer", "weights", "parameters", "sparsity", "output_shape"]
    assert table["weights"].tolist() == [[3, 7], None]
    assert table["sparsity"].tolist()[0] == 25.0
    assert table["sparsity"].isna().tolist() == [False, True]
    assert table["output_shape"].tolist()[0] == "1×3×8"
    assert table["layer"].tolist() == ["conv", "relu"]
    assert set(FIRST) <= set(
        layer_frame([dict.fromkeys((*FIRST, "index"), 1)], [{"index": 1, "counts": [1, 1]}])
    )


def test_facts_of_a_stage_in_words_without_the_audit():
    facts = {
        "rows": 301,
        "loss": 0.083946,
        "sparsity": {"conv_1/kernel": 0.5},
        "sqnr_db": 51.53,
        "largest_difference": None,
        "batch_norm_settled": False,
        "names": ["a", "b"],
        "audit": [{"kernel": "x"}],
    }
    assert fact_words(facts) == (
        "rows: 301, loss: 0.08395, sparsity: conv_1/kernel 50.0 %, SQNR: 51.5 dB, largest difference: –, "
        "batch norm settled: no, names: a; b"
    )


def test_a_failed_run_shows_no_tabs(home):
    seed_experiment(home, "beats", 50)
    app = opened(id="50", tab="Graph")
    assert not app.tabs
    assert "Try again" in words(app)
    assert run_rows.get_run(home.database, 50)["state"] == State.FAILED


def test_a_run_that_a_person_has_named_keeps_its_recipe_in_sight(home):
    seed_experiment(home, "beats", 2)
    named = {"title": "best *so far*", "tags": ["flash"], "note": "ask for more rows"}
    with home.database.begin() as connection:
        connection.execute(update(Run).where(Run.id == 2).values(**named))
    app = opened(id="2")
    assert app.title[0].value.replace("\\", "") == "best *so far*"
    text = words(app)
    assert "**float16**" in text
    assert " · #flash" in text
    assert "ask for more rows" in text


def test_a_run_is_named_and_noted_and_its_recipe_edited_from_its_own_page(home):
    seed_experiment(home, "beats", 3)
    app = opened(id="2")
    assert {"Run 1", "Run 3", "Beside the baseline"} <= {link.proto.label for link in app.get("page_link")}
    title, note = (app.text_input[0], app.text_area[0])
    assert (title.label, note.label) == ("Title", "Note")
    title.set_value("for the *watch*")
    note.set_value("try it on the board")
    next(b for b in app.button if b.label == "Save").click().run()
    assert not app.exception
    run = run_rows.get_run(home.database, 2)
    assert (run["title"], run["note"]) == ("for the *watch*", "try it on the board")
    assert "try it on the board" in words(app)
    next(b for b in app.button if b.label == "Edit recipe").click().run()
    assert not app.exception
    assert app.session_state["more:1:open"] is True


def test_who_may_not_change_an_experiment_finds_no_button_that_does(home, monkeypatch):
    experiment = seed_experiment(home, "beats", 2)
    [queued] = runs.add_runs(home.database, experiment, [("int8", False, False)], "s")
    monkeypatch.setattr(access, "visitor", lambda: Visitor(shared=experiment))
    for run in (2, queued):
        app = opened(id=str(run))
        assert {b.label for b in app.button} <= {"Measure each layer", "Run it"}, "only what is disabled"
        assert all(b.disabled for b in app.button)


def test_a_damaged_file_is_said_and_can_be_made_again(home: Store) -> None:
    seed_experiment(home, "beats", 3)
    row = run_rows.get_run(home.database, 2)
    assert row is not None
    assert "Make the file again" not in words(shown(page_paths.RUN, run="2"))
    home.artifacts.local_path(row["tflite_sha256"]).write_bytes(b"something else")
    app = shown(page_paths.RUN, run="2")
    assert "The file of run 2 is damaged" in words(app)
    next(button for button in app.button if button.label == "Make the file again").click().run()
    assert not app.exception
    started = run_rows.get_run(home.database, 4)
    assert started is not None
    assert (started["recipe"], started["state"]) == (row["recipe"], "queued")
