"""The run page in every state of a run and every tab, with runs of earlier versions that lack some of what is shown."""

import re
import time
from functools import partial

import pytest
import streamlit as st
from sqlalchemy import select, update
from support.seeding import seed_experiment
from visit import shown, words

from lwdash.engine.input_files.file_inspection import Unreadable
from lwdash.ui.run.map import graph_loading
from lwdash.ui.run.map.layers_tab import FIRST, layer_frame
from lwdash.ui.run.stages_log import fact_lines
from lwdash.ui.run.where_it_runs_panel import result_lines
from lwdash.ui.shared import access, page_paths
from storage import run_rows, runs
from storage.store import Store
from storage.tables import Run, RunDetail, State
from storage.visitors import Visitor

TABS = ("Overview", "Map", "Predictions", "Stages and log")
SECTIONS = ("Bytes", "Layers", "Weights", "Sensitivity")

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
    dissected = {"graph": graph, "weights": [kernel]}
    monkeypatch.setattr(graph_loading, "dissect_file", lambda *call: dissected)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ({"tab": "Overview"}, "What to try next"),
        ({"tab": "Map"}, "1 subgraph of the file (the body of a loop) is not drawn"),
        ({"tab": "Map", "section": "Bytes"}, "The categories sum to the file's"),
        ({"tab": "Map", "section": "Layers"}, "SQNR is the ratio of the signal to the error"),
        ({"tab": "Map", "section": "Weights"}, "67 weights, int8 · zeros 4.5 % · distinct stored 9"),
        ({"tab": "Map", "section": "Sensitivity"}, "Each layer of the float file is quantized alone"),
        ({"tab": "Predictions"}, "run 6 of beats"),
        ({"tab": "Stages and log"}, "1 stage, 0 from the cache"),
    ],
)
def test_every_tab_shows_an_old_run_with_what_it_has(home, address, expected):
    """The seeded runs have one layer of a few columns, no ledger, no waterfall, no confusion, no trail."""
    seed_experiment(home, "beats", 6)
    assert expected in words(opened(id="6", **address))


@pytest.mark.parametrize("tab", ["Overview", "Map", "Stages and log", "no such tab"])
def test_a_run_without_any_details_shows_its_figures(home, tab):
    seed_experiment(home, "beats", 2)
    with home.database.begin() as connection:
        connection.execute(update(RunDetail).values(measured=None, compressed=None))
    app = opened(id="2", tab=tab)
    assert "smaller" in app.header[0].value
    assert ("Cannot tell." in words(app)) == (tab in ("Overview", "no such tab"))


def test_only_the_open_tab_is_computed(home, monkeypatch):
    seed_experiment(home, "beats", 2)
    asked = []

    def refuse(*call):
        asked.append(call)
        raise Unreadable("it is damaged")

    monkeypatch.setattr(graph_loading, "dissect_file", refuse)
    for tab in ("Overview", "Stages and log"):
        opened(id="2", tab=tab)
    assert asked == []
    text = words(opened(id="2", tab="Map", section="Weights"))
    assert "This file cannot be read: it is damaged" in text


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
    assert (started.recipe, started.state) == (recipe, "queued")
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
    assert "The run is in progress" in words(opened(id=str(first)))
    runs.cancel(home.database, second)
    assert "Its finished stages stay in the cache" in words(opened(id=str(second)))


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
    for tab, section in [*((tab, "Bytes") for tab in TABS), *(("Map", section) for section in SECTIONS)]:
        app.session_state["tab"], app.session_state["section"] = tab, section
        began = time.process_time()
        app.run()
        spent = time.process_time() - began
        print(f"{tab}, {section}: {spent:.2f} s")
        assert not app.exception


def test_the_selected_layer_has_its_values_before_and_after_and_recipes_of_one_click(home):
    seed_experiment(home, "beats", 6)
    app = opened(id="6", tab="Map", layer="y")
    assert app.session_state["layer"] == "y"
    text = words(app)
    assert "**y**" in text
    assert "67 weights, int8 · zeros 4.5 %" in text
    [values] = [table for table in app.table if "Baseline" in table.value]
    assert [*values.value.iloc[0]] == ["Bytes in the file", "99 B", "99 B"]
    button = next(b for b in app.button if b.label == "Prune only this")
    button.click().run()
    assert not app.exception
    started = run_rows.get_run(home.database, 7)
    assert started.recipe == "prune(sparsity=0.8, only=[y]) + int8"
    assert "layer" not in opened(id="6", tab="Map", layer="another").query_params


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
    assert fact_lines(facts) == [
        "rows: 301",
        "loss: 0.08395",
        "sparsity: conv_1/kernel 50.0 %",
        "SQNR: 51.5 dB",
        "largest difference: –",
        "batch norm settled: no",
        "names: a; b",
    ]


def test_a_failed_run_shows_no_tabs(home):
    seed_experiment(home, "beats", 50)
    app = opened(id="50", tab="Graph")
    assert not app.tabs
    assert "Try again" in words(app)
    assert run_rows.get_run(home.database, 50).state == State.FAILED


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
    assert (run.title, run.note) == ("for the *watch*", "try it on the board")
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
    home.artifacts.local_path(row.tflite_sha256).write_bytes(b"something else")
    app = shown(page_paths.RUN, run="2")
    assert "The file of run 2 is damaged" in words(app)
    next(button for button in app.button if button.label == "Make the file again").click().run()
    assert not app.exception
    started = run_rows.get_run(home.database, 4)
    assert started is not None
    assert (started.recipe, started.state) == (row.recipe, "queued")


def with_targets(store: Store, run: int, result: dict) -> None:
    """As the details of a run store them."""
    with store.database.begin() as connection:
        measured = connection.execute(select(RunDetail.measured).where(RunDetail.run_id == run)).scalar_one()
        changed = {**measured, "targets": {"tflm": result}}
        connection.execute(update(RunDetail).where(RunDetail.run_id == run).values(measured=changed))


def test_where_it_runs_shows_each_state_in_words(home):
    """Runs, refused, and a run that an earlier version measured, with the boards of each."""
    seed_experiment(home, "beats", 6)
    values = {"arena_total_bytes": 9232, "arena_head_bytes": 4480, "arena_tail_bytes": 4752, "planned_head_bytes": 4400,
              "compared_rows": 16, "rows_differing": 3, "largest_difference": 0.0195,
              "largest_difference_steps": 1}  # fmt: skip
    runs = {"state": "runs", "reason": None, "remedy": None, "message": None, "operators": {"CONV_2D": 3}, "version": "1",
            "metrics": {name: {"label": name, "unit": "", "value": value} for name, value in values.items()}}  # fmt: skip
    with_targets(home, 2, runs)
    refused = {
        "state": "refused",
        "metrics": {},
        "reason": "it has no kernel for GELU",
        "remedy": "replace the layer",
    }
    with_targets(home, 3, {**runs, **refused})
    text = words(opened(id="2"))
    assert "check_circle: runs" in text
    assert "Arena **9.2 kB**: 4.5 kB for activations (planned: 4.4 kB), 4.8 kB for its own tables." in text
    assert "differ from LiteRT's on **3 of 16** rows, by at most 0.0195, 1 step of the output" in text
    assert "1 types of operators" not in text
    assert "1 type of operator for the resolver: CONV_2D" in text
    assert "✓ fits: " in text
    text = words(opened(id="3"))
    assert "block: refused" in text
    assert "It has no kernel for GELU.\n\n**What to do:** replace the layer." in text
    assert "⊘ refused: " in text
    text = words(opened(id="4"))
    assert "pending: not measured" in text
    assert "An earlier version measured this run. Start the run again to measure it." in text
    assert "… not measured: " in text


def test_an_npu_shows_its_estimate_and_what_stays_on_the_cpu():
    values = {"npu_cycles": 21788, "clock_mhz": 500, "inferences_per_second": 22948.4, "sram_bytes": 6768,
              "flash_bytes": 9008, "npu_operators": 40, "cpu_operators": 2}  # fmt: skip
    metrics = {name: {"label": name, "unit": "", "value": value} for name, value in values.items()}
    assert result_lines({"metrics": metrics}) == [
        "An estimated **21,788 cycles**, 22,948 inferences a second at 500 MHz.",
        "SRAM 6.8 kB, flash 9.0 kB with encoded weights.",
        "**2** operators stay on the CPU, 40 run on the NPU.",
    ]
    metrics["cpu_operators"]["value"] = 0
    assert result_lines({"metrics": metrics})[-1] == "All 40 operators run on the NPU."


def test_a_file_of_boards_that_cannot_be_read_is_named_on_the_page(home, monkeypatch, tmp_path):
    seed_experiment(home, "beats", 6)
    monkeypatch.setenv("LWDASH_BOARDS", str(tmp_path / "none.yaml"))
    assert "none.yaml cannot be read" in words(opened(id="2"))


def test_strengths_that_were_chosen_by_layer_are_a_step_to_copy(home):
    seed_experiment(home, "beats", 6)
    found = {
        "recipe": "prune(sparsity=0.9, layers=[first=0.3])",
        "changed_rows": 0.01,
        "attempts": [
            {
                "recipe": "prune(sparsity=0.9, layers=[first=0.3])",
                "cost": 0.2,
                "sqnr_db": 20.5,
                "changed": 0.01,
            },
            {"recipe": "prune(sparsity=0.8)", "cost": 0.2, "sqnr_db": None, "changed": 0.0},
        ],
    }
    stage = {"name": "prune", "seconds": 2.0, "cached": False, "facts": {"by_layer": found}}
    with home.database.begin() as connection:
        connection.execute(update(RunDetail).values(compressed={"stages": [stage], "skipped": []}))
    app = opened(id="6", tab="Overview")
    assert "Sparsity by layer" in [header.value for header in app.header]
    assert found["recipe"] in [code.value for code in app.code]
    table = next(frame.value for frame in app.dataframe if "Weights left (%)" in frame.value)
    assert list(table["Chosen"]) == [True, False]
    assert list(table["Weights left (%)"]) == [20, 20]
    assert "by_layer" not in words(opened(id="6", tab="Stages and log"))
