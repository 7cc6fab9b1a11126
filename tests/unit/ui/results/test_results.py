"""The results page's arithmetic and words, without a page: filters, recipes, changes, records, annotations, the report."""

import json
import math
from io import StringIO

import pandas as pd
import plotly.graph_objects as go
import pytest
from sqlalchemy import update
from support.seeding import seed_experiment

from lwdash.charts.tradeoff.tradeoff_axes import TradeoffAxes
from lwdash.engine import submit
from lwdash.metrics.run_metrics import ACCURACY, MEASURES, SIZES
from lwdash.report.html_page import Drawing, Paragraph, Section, Table, to_html
from lwdash.targets.boards import load_boards
from lwdash.ui.compare.class_differences import rows_apart
from lwdash.ui.compare.metric_table import change_text
from lwdash.ui.compare.recipe_difference import recipe_difference
from lwdash.ui.results.experiment_report import report_of
from lwdash.ui.results.filters import matching, tags_of
from lwdash.ui.results.plain_records import to_csv, to_json
from lwdash.ui.results.run_frame import forget_notes, results_frame
from lwdash.ui.results.trade_off_chart import default_axes, ratio, ties
from lwdash.ui.shared.run_notes import RunNotes, notes_of_row, tags_in
from storage import annotations, experiments, run_rows, runs
from storage.errors import NotWritten
from storage.result_frames import standing
from storage.tables import Run, State
from storage.target_results import keep_results

ROWS = pd.DataFrame(
    {
        "id": [1, 2, 3, 12],
        "recipe": ["float32", "prune(sparsity=0.5) + int8", "int8", "cluster(clusters=16) + int8"],
        "title": [None, "For the Watch", None, None],
        "note": ["", "", "try 12 again", ""],
        "tags": [[], ["watch"], ["hidden"], ["watch", "fast"]],
        "state": ["succeeded", "succeeded", "failed", "running"],
        "size_bytes": [4000.0, 1000.0, math.nan, math.nan],
    }
)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, [1, 2, 12]),
        ({"text": "WATCH"}, [2, 12]),
        ({"text": "prune watch"}, [2]),
        ({"text": "12", "tags": ["hidden"]}, [3]),
        ({"text": "12"}, [12]),
        ({"text": "(sparsity=0.5)"}, [2]),
        ({"states": ["running", "failed"]}, [12]),
        ({"techniques": ["int8"]}, [2, 12]),
        ({"techniques": ["prune", "int8"]}, [2]),
        ({"tags": ["fast"]}, [12]),
        ({"fits": True}, [2]),
    ],
)
def test_filters_narrow_and_hidden_runs_are_shown_only_when_asked_for(wanted, expected):
    assert matching(ROWS, {"size_bytes": 2000}, **wanted)["id"].tolist() == expected
    assert tags_of(ROWS) == ["fast", "hidden", "watch"]


def test_only_what_differs_between_recipes_is_told():
    table = recipe_difference(
        ["prune(sparsity=0.5) + int8", "prune(sparsity=0.8) + int8", "prune(sparsity=0.5) + int8(io=float32)"]
    )
    assert table is not None
    assert table.to_dict("index") == {
        "Pruning: sparsity": {0: "0.5", 1: "0.8", 2: "0.5"},
        "Full integer: io": {0: "int8", 1: "int8", 2: "float32"},
    }
    missing = recipe_difference(["cluster(clusters=8) + int8", "int8"])
    assert missing is not None
    assert missing.to_dict("index") == {"Clustering": {0: "clusters=8", 1: "–"}}
    both = recipe_difference(["prune(sparsity=0.5) + int8", "prune(sparsity=0.8) + int8", "int8"])
    assert both is not None
    assert both.to_dict("index") == {
        "Pruning": {0: "yes", 1: "yes", 2: "–"},
        "Pruning: sparsity": {0: "0.5", 1: "0.8", 2: "–"},
    }
    same = recipe_difference(["int8", "int8"])
    assert same is not None
    assert same.empty
    assert recipe_difference(["int8", "of_another_version(x=1)"]) is None


def run(**values):
    start = {"is_baseline": False, "verdict": "cannot tell", "host_name": "a", "size_bytes": 100.0, "accuracy": 0.9,
             "latency_ms_p50": 0.02, "speedup_ci": [0.9, 1.1]}  # fmt: skip
    return {**start, **values}


@pytest.mark.parametrize(
    ("column", "ours", "theirs", "expected"),
    [
        ("size_bytes", {"size_bytes": 50.0}, {}, ("−50.0 %", True)),
        ("size_bytes", {"size_bytes": None}, {}, ("", None)),
        ("size_bytes", {}, {}, ("same", None)),
        ("accuracy", {"accuracy": 0.95}, {"is_baseline": True}, ("+5.00 points", None)),
        ("accuracy", {"accuracy": 0.5, "verdict": "worse"}, {"is_baseline": True}, ("−40.00 points", False)),
        ("accuracy", {"accuracy": 0.5, "verdict": "worse"}, {}, ("−40.00 points", None)),
        ("latency_ms_p50", {"latency_ms_p50": 0.01, "speedup_ci": [1.8, 2.1]}, {}, ("", None)),
        ("speedup", {"speedup": 2.0, "speedup_ci": [1.8, 2.1]}, {"speedup": 1.0}, ("+100.0 %", True)),
        ("speedup", {"speedup": 1.05}, {"speedup": 1.0}, ("+5.0 %", None)),
        ("speedup", {"speedup": 2.0, "host_name": "b"}, {"speedup": 1.0}, ("", None)),
        ("sparsity", {"sparsity": 0.8}, {"sparsity": 0.0}, ("+80.00 points", None)),
    ],
)
def test_a_change_is_called_better_or_worse_only_where_that_is_sure(column, ours, theirs, expected):
    assert change_text(run(**ours), run(**theirs), MEASURES[column]) == expected


def test_rows_on_which_runs_differ_are_joined_by_row():
    def flip(row, now):
        return {"row": row, "line": row + 2, "label": 0, "baseline": 0, "run": now}

    classes = ["cat", "dog", "eel"]
    table = rows_apart(
        {
            "1 · float32": {"flips": [], "classes": classes},
            "2 · a": {"flips": [flip(7, 1)], "classes": classes},
            "3 · b": {"flips": [flip(7, 2), flip(3, 1)], "classes": classes},
        },
        "1 · float32",
    )
    assert table is not None
    assert table.columns.tolist() == ["Row", "Line", "Label", "Baseline", "2 · a", "3 · b"]
    assert table.fillna("").to_numpy().tolist() == [
        [3, 5, "cat", "cat", "", "dog"],
        [7, 9, "cat", "cat", "dog", "eel"],
    ]
    assert rows_apart({"1": {"flips": []}}, None) is None


def test_the_frame_has_new_runs_titles_and_derived_figures(sqlite_store):
    experiment = seed_experiment(sqlite_store, "beats", 60)
    frame = results_frame(sqlite_store, experiment)
    assert len(frame) == 60
    assert frame["state"].tolist().count("failed") == 1
    second = frame.iloc[1]
    assert second["smaller"] == pytest.approx(100_000 / second["size_bytes"])
    assert second["accuracy_change"] == pytest.approx(second["accuracy"] - 0.95)
    assert second["run_seconds"] == 9
    assert frame["family"].iloc[0] == "baseline"
    assert results_frame(sqlite_store, experiment) is frame
    forget_notes()  # as happens by itself every few seconds, for what others wrote
    assert results_frame(sqlite_store, experiment) is frame, "what was made of it would be made again"
    annotations.set_title(sqlite_store.database, 2, "mine")
    forget_notes()
    assert results_frame(sqlite_store, experiment)["title"].iloc[1] == "mine"
    runs.add_runs(sqlite_store.database, experiment, [("int8", False, False)], "later")
    runs.retry(sqlite_store.database, 50)
    again = results_frame(sqlite_store, experiment)
    assert again["id"].tolist() == list(range(1, 62))
    assert again.set_index("id")["state"].loc[[50, 61]].tolist() == ["queued", "queued"]


def test_metrics_of_targets_appear_when_they_are_recorded(sqlite_store):
    experiment = seed_experiment(sqlite_store, "beats", 3)
    assert results_frame(sqlite_store, experiment)["arena_total_bytes"].isna().all()
    metrics = {name: {"value": value} for name, value in (("arena_total_bytes", 9000), ("file_bytes", 1000))}
    ran = {"state": "runs", "reason": None, "metrics": metrics, "operators": {"SOFTMAX": 1}}
    with sqlite_store.database.begin() as connection:
        keep_results(sqlite_store.database, connection, 2, {"tflm": ran})
        refused = {**ran, "state": "refused", "reason": "it has GELU", "metrics": {}}
        keep_results(sqlite_store.database, connection, 3, {"tflm": refused})
    frame = results_frame(sqlite_store, experiment).set_index("id")
    assumed = load_boards().assumptions
    code = 1024 * (assumed.runtime_flash_kib + assumed.kernel_kib["SOFTMAX"])
    assert frame["arena_total_bytes"].loc[2] == 9000
    assert frame["micro_flash_bytes"].loc[2] == 1000 + code
    assert frame["arena_total_bytes"].loc[[1, 3]].isna().all()


def test_a_run_that_ends_while_the_frame_is_read_is_in_it_once(sqlite_store, monkeypatch):
    experiment = seed_experiment(sqlite_store, "beats", 3)
    with sqlite_store.database.begin() as connection:
        connection.execute(update(Run).where(Run.id > 1).values(state=State.RUNNING))

    def read_and_end(engine, number, *, has_ended):
        rows = standing(engine, number, has_ended=has_ended)
        if not has_ended:
            with engine.begin() as connection:
                connection.execute(update(Run).where(Run.id == 2).values(state=State.SUCCEEDED))
        return rows

    monkeypatch.setattr("lwdash.ui.results.run_frame.standing", read_and_end)
    frame = results_frame(sqlite_store, experiment)
    assert frame["id"].tolist() == [1, 2, 3]
    assert frame["state"].tolist() == ["succeeded", "succeeded", "running"]


def test_records_hold_every_run_in_stored_units(sqlite_store):
    seed_experiment(sqlite_store, "beats", 50)
    annotations.add_tags(sqlite_store.database, [2], ["a b", "c"])
    frame = results_frame(sqlite_store, 1)
    records = json.loads(to_json(frame))
    assert (records[1]["tags"], records[1]["size_bytes"]) == (["a b", "c"], frame["size_bytes"].iloc[1])
    assert records[49]["size_bytes"] is None
    assert records[49]["error"] == "it failed <b>on purpose</b> *here*"
    read = pd.read_csv(StringIO(to_csv(frame)))
    assert read["accuracy"].iloc[1] == pytest.approx(frame["accuracy"].iloc[1])
    assert read["tags"].iloc[1] == "a b;c"


def test_tags_titles_notes_and_limits_are_kept_and_bounded(store):
    experiment = seed_experiment(store, "beats", 3)
    database = store.database
    annotations.add_tags(database, [1, 2], [" for  review ", "x", "x"])
    annotations.add_tags(database, [2], ["y"])
    annotations.remove_tags(database, [1, 2, 3], ["x"])
    assert [run_rows.get_run(database, i).tags for i in (1, 2, 3)] == [
        ("for review",),
        ("for review", "y"),
        (),
    ]
    annotations.set_title(database, 1, "  mine ")
    annotations.set_note(database, 1, "good\n")
    assert (run_rows.get_run(database, 1).title, run_rows.get_run(database, 1).note) == ("mine", "good")
    annotations.set_title(database, 1, " ")
    assert run_rows.get_run(database, 1).title is None
    submit.set_limits(store, experiment, {"size_bytes": 10, "latency_ms": None})
    assert experiments.get_experiment(database, experiment).limits == {"size_bytes": 10.0}
    for refused in (
        lambda: annotations.add_tags(database, [1, 2, 3], ["t" * 41]),
        lambda: annotations.add_tags(database, [3], ["a, b"]),
        lambda: annotations.add_tags(database, [3], [f"t{i}" for i in range(21)]),
        lambda: annotations.set_title(database, 1, "t" * 201),
        lambda: annotations.set_note(database, 1, "t" * 10_001),
    ):
        with pytest.raises(NotWritten):
            refused()
    assert run_rows.get_run(database, 3).tags == ()


def test_preferences_are_of_a_person_and_the_last_one_counts(store):
    assert annotations.get_preference(store.database, "ann", "columns") is None
    for columns in (["a"], ["b", "c"]):
        annotations.set_preference(store.database, "ann", "columns", {"columns": columns})
    assert annotations.get_preference(store.database, "ann", "columns") == {"columns": ["b", "c"]}
    assert annotations.get_preference(store.database, "", "columns") is None


def test_the_report_is_one_file_without_addresses_of_others(sqlite_store):
    number = seed_experiment(sqlite_store, "beats </script><b>", 50)
    annotations.set_limits(sqlite_store.database, number, {"size_bytes": 60_000})
    experiment = experiments.get_experiment(sqlite_store.database, number)
    frame = results_frame(sqlite_store, number)
    html = report_of(
        sqlite_store, experiment, frame, TradeoffAxes(SIZES[0], ACCURACY, MEASURES["latency_ms_p50"])
    )
    assert html.count("<script") == html.count("</script>") == 4
    light = report_of(
        sqlite_store,
        experiment,
        frame,
        TradeoffAxes(SIZES[0], ACCURACY, MEASURES["latency_ms_p50"]),
        has_figures=False,
    )
    assert len(light) < 300_000 < len(html)
    own = html.replace(
        html[html.index("<script>") : html.index('<script type="application/json" id="drawings">')], ""
    )
    assert not any(word in own for word in ("http://", "https://", "src=", "NaN"))
    assert "beats &lt;/script&gt;&lt;b&gt;" in own
    for words in (
        "Best under your limits: ",
        "it failed &lt;b&gt;on purpose",
        "none, 1 core, 1 thread",
    ):
        assert words in own
    assert own.count('class="drawing"') >= 4


def test_words_and_tables_of_a_report_are_escaped():
    table = Table(pd.DataFrame({"<i>": ["<script>alert(1)</script>"]}), records=[{"a": "</script>"}])
    sections = [Section("S & T", [Paragraph("<img src=x>"), table, Drawing(go.Figure(), 'a "b"', "f")])]
    html = to_html("t", "u", sections, "v")
    body = html[html.index("<body>") : html.index("<script>")]
    assert "<script" not in body
    assert "<img" not in body
    assert 'aria-label="a &quot;b&quot;"' in body
    assert '"a":"\\u003c' in html


def test_a_light_report_has_the_figures_in_words_and_no_library():
    drawing = Drawing(go.Figure(), "Run 3 is the smallest.", "f")
    sections = [Section("S", [drawing, Table(pd.DataFrame({"a": [1]}), records=[{"a": 1}])])]
    light = to_html("t", "u", sections, "v", has_figures=False)
    assert "<p class=small>Run 3 is the smallest.</p>" in light
    assert 'class="drawing"' not in light
    assert len(light) < 30_000
    assert len(to_html("t", "u", sections, "v")) > 1_000_000


def test_tags_are_written_in_one_field_parted_by_commas():
    assert tags_in(" candidate,board  B, ,candidate") == ["candidate", "board B"]
    assert tags_in("") == tags_in(" , ") == []


def test_a_run_without_words_of_its_own_has_none_though_others_have_some():
    frame = pd.DataFrame(
        {
            "id": [7, 8],
            "recipe": "int8",
            "title": ["the start", None],
            "tags": [["watch"], None],
            "note": ["for the watch", None],
        }
    )
    first, second = frame.to_dict("records")
    assert notes_of_row(first) == RunNotes(7, "int8", "the start", ("watch",), "for the watch")
    assert notes_of_row(second) == RunNotes(8, "int8", "", (), "")


def measured_runs(**columns: list) -> pd.DataFrame:
    count = len(columns["size_bytes"])
    fixed = {"state": ["succeeded"] * count, "is_baseline": [True, *[False] * (count - 1)]}
    return pd.DataFrame({**fixed, **columns})


def test_ties_are_counted_among_the_runs_and_the_baseline_is_none():
    runs = measured_runs(size_bytes=[100.0, 25.0, 25.1, 25.2, 40.0])
    assert ties(runs, "size_bytes") == 0.75
    assert ties(measured_runs(size_bytes=[100.0, 25.0, 30.0, 40.0]), "size_bytes") == 0.0
    assert ties(measured_runs(size_bytes=[25.0, 25.0, 25.0]), "size_bytes") == 0.0, "two runs are too few"
    assert ratio(measured_runs(size_bytes=[2.0, 3.0, math.nan]), "size_bytes") == 1.5


def test_axes_follow_the_spread_of_the_runs(home):
    """Sizes that tie give the gzipped size its place, and a speed-up that hardly varies gives colours to techniques."""
    experiment = seed_experiment(home, "beats", 8)
    usual = {"results:x": "size_bytes", "results:y": "accuracy", "results:colour": "speedup"}
    assert default_axes(results_frame(home, experiment)) == usual
    runs = results_frame(home, experiment).copy()
    runs.loc[~runs["is_baseline"].astype(bool), "size_bytes"] = 25_600
    assert default_axes(runs) == {**usual, "results:x": "gzip_bytes"}
    runs["speedup"] = [1.0, 1.02, 0.98, 1.05, 1.01, 1.0, 0.99, 1.03]
    assert default_axes(runs)["results:colour"] == "technique"
