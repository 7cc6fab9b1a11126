"""Every page in every state of the database, run by Streamlit's own test runner: the right words and no exception."""

import dataclasses
import re
import time
from collections.abc import Callable

import pytest
from sqlalchemy import select, update
from streamlit.testing.v1 import AppTest
from support.seeding import seed_experiment, seed_search
from visit import shown, sound, words

from lwdash.engine.searching import advance_searches
from lwdash.recipe import parse_recipe
from lwdash.techniques import TECHNIQUES
from lwdash.ui.results.run_frame import forget_notes
from lwdash.ui.results.saved_views import saved_views
from lwdash.ui.shared import page_paths
from storage import annotations, run_rows, runs, searches
from storage.annotations import get_preference, set_limits
from storage.tables import Run, RunDetail, State


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (page_paths.OVERVIEW, "Try handwritten digits"),
        (page_paths.NEW, "1 · Model"),
        (page_paths.EXPERIMENT, "There are no experiments yet. Start one"),
        (page_paths.RUN, "There are no runs yet"),
    ],
)
def test_an_empty_database_says_what_to_do(home, page, expected):
    assert expected in words(shown(page))


@pytest.mark.parametrize("page", [page_paths.EXPERIMENT, page_paths.RUN])
@pytest.mark.parametrize("wrong", ["99", "-1", "abc", "1 OR 1=1", "", "9" * 40, "²"])
def test_a_nonsense_address_is_answered_in_words(home, page, wrong):
    seed_experiment(home, "beats", 2)
    assert re.search(
        rf"There is no (experiment|run) {re.escape(wrong)}", words(shown(page, id=wrong)).replace("\\", "")
    )


def test_one_experiment_is_shown_on_every_page(home):
    experiment = seed_experiment(home, "my_beats", 3)
    overview = words(shown(page_paths.OVERVIEW))
    assert all(word in overview for word in ("my_beats", "100.0 kB", "accuracy 95.0 %", "all done"))

    results = shown(page_paths.EXPERIMENT, id=str(experiment))
    assert results.title[0].value.replace("\\", "") == "my_beats"
    table = results.dataframe[0].value
    assert list(table["recipe"]) == ["★ dynamic", "float32  (baseline)", "float16"]
    assert table["size_bytes"].iloc[1] == pytest.approx(100.0)
    assert "to compare, tag or repeat them" in words(results)
    assert "failed" not in words(results)

    run = words(shown(page_paths.RUN, id="2"))
    assert "smaller" in run
    assert all(word in run for word in ("Cannot tell.", "Gzip", "Capsule", "C array"))
    made = words(shown(page_paths.RUN, id="2", tab="Stages and log"))
    assert all(word in made for word in ("1 stage,", "Skipped: 1", "There is no log of this run here"))


def test_without_an_id_the_newest_is_shown(home):
    seed_experiment(home, "old", 2)
    seed_experiment(home, "new", 2)
    results = shown(page_paths.EXPERIMENT)
    assert results.title[0].value == "new"
    assert results.query_params["experiment"] == "2"
    assert "run 4 of new" in words(shown(page_paths.RUN))


def test_a_failed_run_says_why_and_can_be_tried_again(home):
    seed_experiment(home, "beats", 50)
    assert "1 failed" in words(shown(page_paths.OVERVIEW))
    results = shown(page_paths.EXPERIMENT, id="1")
    assert "failed: it failed <b>on purpose</b> *here*" in words(results).replace("**", "")

    run = shown(page_paths.RUN, id="50")
    assert "It failed <b>on purpose</b> *here*" in words(run)
    [again] = [button for button in run.button if button.label == "Try again"]
    again.click()
    sound(run.run())
    assert run_rows.get_run(home.database, 50).state == "queued"


def test_the_same_failure_of_many_runs_is_said_once(home):
    seed_experiment(home, "beats", 150)
    [error] = shown(page_paths.EXPERIMENT, id="1").error
    assert error.value.startswith("**Runs 50, 100, 150 failed:**")


def test_an_experiment_in_which_everything_failed_has_no_empty_figures(home):
    seed_experiment(home, "beats", 2)
    gone = {"state": State.FAILED, "error": "broken", "figures": None, "size_bytes": None, "accuracy": None}
    with home.database.begin() as connection:
        connection.execute(update(Run).values({**gone, "latency_ms_p50": None, "speedup": None}))
    app = shown(page_paths.EXPERIMENT, id="1")
    assert "Runs 1, 2 failed: broken" in words(app).replace("**", "")
    assert list(app.dataframe[0].value.columns) == ["run", "recipe", "state"]
    assert "The chart appears" not in words(app)


def test_a_view_is_saved_by_name_and_shown_again(home):
    seed_experiment(home, "beats", 6)
    app = shown(page_paths.EXPERIMENT, id="1", q="int8", x="gzip_bytes", runs="2,3")
    app.text_input(key="results:view_name").set_value("small ones")
    app.button(key="results:save_view").click()
    sound(app.run())
    view = saved_views(home, "", 1)["small ones"]
    assert view.pop("columns").startswith("size_bytes,smaller,")
    assert view == {"q": "int8", "x": "gzip_bytes", "limits": "none"}
    again = shown(page_paths.EXPERIMENT, id="1")
    [link] = [link for link in again.get("page_link") if link.proto.label == "small ones"]
    assert "q=int8" in link.proto.query_string
    again.button(key="results:forget_view:small ones").click()
    sound(again.run())
    assert saved_views(home, "", 1) == {}


def test_parameters_of_recipes_are_parallel_axes_and_have_effects(home):
    seed_experiment(home, "beats", 14)
    with home.database.begin() as connection:
        for run in range(2, 14):
            recipe = f"prune(sparsity={0.05 * run:g}) + int8" if run != 5 else "int8"
            connection.execute(update(Run).where(Run.id == run).values(recipe=recipe))
    app = shown(page_paths.EXPERIMENT, id="1", view="parallel", parameters="recipe:prune.sparsity,nonsense")
    assert app.multiselect(key="results:parameter_axes").value == ["recipe:prune.sparsity"]
    assert app.query_params["parameters"] == "recipe:prune.sparsity"
    assert "2 runs without all of these parameters and metrics not drawn." in words(app)
    app.session_state["results:effects"] = True
    table = sound(app.run()).table[0].value
    assert table.loc["Pruning: sparsity", "Runs"] == "12"
    assert "to" in table.loc["Pruning: sparsity"].iloc[1]
    plain_view = shown(page_paths.EXPERIMENT, id="1")
    assert not [field for field in plain_view.multiselect if field.key == "results:parameter_axes"]


def test_runs_are_coloured_and_grouped_by_parameters_tags_and_targets(home):
    seed_experiment(home, "beats", 12)
    with home.database.begin() as connection:
        for run in range(2, 9):
            recipe = f"prune(sparsity={0.5 + 0.2 * (run % 2):g}) + int8"
            connection.execute(update(Run).where(Run.id == run).values(recipe=recipe))
    annotations.add_tags(home.database, [2, 3], ["fast", "board B"])
    app = shown(page_paths.EXPERIMENT, id="1", colour="tags", group="tags", open="board B%2C fast")
    assert app.selectbox(key="results:colour").value == "tags"
    groups, runs = app.dataframe[0].value, app.dataframe[1].value
    assert groups[["group", "runs"]].to_numpy().tolist() == [["board B, fast", 2], ["no tag", 10]]
    assert list(runs["group"]) == ["board B, fast"] * 2, "only the runs of the open group"
    app.selectbox(key="results:group").set_value("recipe:prune.sparsity")
    app.selectbox(key="results:colour").set_value("recipe:prune.sparsity")
    app.segmented_control(key="results:group_values").set_value("best")
    sound(app.run())
    address = {name: str(value).strip("[]'") for name, value in app.query_params.items()}
    assert (address["colour"], address["group"], address["values"]) == (
        "recipe:prune.sparsity",
        "recipe:prune.sparsity",
        "best",
    )
    assert "open" not in address
    assert list(app.dataframe[0].value["group"]) == ["0.5", "0.7", "not used"]
    listed = list(app.dataframe[1].value["group"])[2:]  # the recommended run and the baseline are above
    assert listed == sorted(listed)
    parallel = shown(page_paths.EXPERIMENT, id="1", view="parallel", parameters="tags", colour="tags")
    assert parallel.multiselect(key="results:parameter_axes").value == ["tags"]
    shown(page_paths.EXPERIMENT, id="1", colour="on:nowhere", group="nonsense", open="x,%", values="worst")


def test_runs_that_another_beats_can_be_hidden(home):
    seed_experiment(home, "beats", 12)
    app = shown(page_paths.EXPERIMENT, id="1", front="1", x="size_bytes", y="accuracy")
    runs = app.dataframe[0].value
    shown_runs = {int(run.rpartition("=")[2]) for run in runs["run"]}
    front = runs[runs["run"].map(lambda run: not run.endswith("=1"))].sort_values("size_bytes")
    assert 1 in shown_runs, "the baseline stays"
    assert len(front) < 11
    assert front["accuracy"].is_monotonic_increasing
    assert f"{len(runs)} of 12 runs match the filters" in words(app)
    app.toggle(key="results:front").set_value(False)
    assert len(sound(app.run()).dataframe[0].value) == 12
    assert "front" not in app.query_params


def test_columns_of_a_view_are_changed_without_the_users_own(home):
    seed_experiment(home, "beats", 6)
    app = shown(page_paths.EXPERIMENT, id="1")
    app.multiselect(key="results:chosen_columns").set_value(["size_bytes"])
    sound(app.run())
    assert get_preference(home.database, "", "results:columns") == {"columns": ["size_bytes"]}
    assert "columns" not in app.query_params, "the user's own"

    view = shown(page_paths.EXPERIMENT, id="1", columns="gzip_bytes,speedup")
    view.multiselect(key="results:chosen_columns").set_value(["gzip_bytes"])
    sound(view.run())
    assert list(view.dataframe[0].value.columns) == ["run", "recipe", "gzip_bytes"]
    assert view.query_params["columns"] == "gzip_bytes"
    assert get_preference(home.database, "", "results:columns") == {"columns": ["size_bytes"]}
    view.button(key="results:my_columns").click()
    sound(view.run())
    assert list(view.dataframe[0].value.columns) == ["run", "recipe", "size_bytes"]
    assert "columns" not in view.query_params

    other = shown(page_paths.EXPERIMENT, id="1", columns="speedup")
    other.button(key="results:keep_columns").click()
    sound(other.run())
    assert get_preference(home.database, "", "results:columns") == {"columns": ["speedup"]}


def test_a_view_holds_columns_order_and_limits_whatever_changes_later(home):
    experiment = seed_experiment(home, "beats", 6)
    annotations.set_limits(home.database, experiment, {"size_bytes": 60_000})
    address = {
        "columns": "gzip_bytes,size_bytes",
        "sort": "size_bytes",
        "descending": "1",
        "limits": "size_bytes:40000",
    }
    app = shown(page_paths.EXPERIMENT, id="1", **address)
    assert "This view has limits of its own: size ≤ 40 kB" in words(app)
    app.text_input(key="results:view_name").set_value("board B")
    app.button(key="results:save_view").click()
    sound(app.run())
    assert saved_views(home, "", 1) == {"board B": address}

    annotations.set_limits(home.database, experiment, {"size_bytes": 10_000})
    again = shown(page_paths.EXPERIMENT, id="1", **address)
    table = again.dataframe[0].value
    assert list(table.columns) == ["run", "recipe", "gzip_bytes", "size_bytes"]
    sizes = list(table["size_bytes"])[1:]  # the recommended run is above
    assert sizes == sorted(sizes, reverse=True)
    again.button(key="results:own_limits").click()
    sound(again.run())
    assert "limits of its own" not in words(again)
    assert "limits" not in again.query_params

    for wrong in ("size_bytes", "beauty:3", "size_bytes:many", "size_bytes:-1", ""):
        assert "limits of its own" not in words(
            shown(page_paths.EXPERIMENT, id="1", limits=wrong, sort="beauty")
        )


def test_the_recommended_run_is_the_first_row_unless_work_is_running(home):
    experiment = seed_experiment(home, "beats", 6)
    annotations.set_limits(home.database, experiment, {"size_bytes": 60_000})

    def shown_rows() -> tuple[list[int], list[bool]]:
        table = shown(page_paths.EXPERIMENT, id="1").dataframe[0].value
        ids = [int(re.search(r"run=(\d+)", address)[1]) for address in table["run"]]
        return ids, [name.startswith("★") for name in table["recipe"]]

    ids, stars = shown_rows()
    assert stars == [True, *[False] * 5]
    assert ids[0] != 1
    assert ids[1:] == sorted(set(range(1, 7)) - {ids[0]})
    annotations.add_tags(home.database, [6], ["pinned"])
    forget_notes()
    best = ids[0]
    pinned = [best, *(run for run in (1, 6) if run != best)]
    assert shown_rows()[0][: len(pinned)] == pinned
    runs.add_runs(home.database, experiment, [("int8", False, False)], "later")
    assert shown_rows()[0] == [1, 6, 2, 3, 4, 5, 7], "another run may become the best"


def test_the_overview_shows_an_experiment_before_its_first_run_has_ended(home):
    experiment = seed_experiment(home, "beats", 1)
    with home.database.begin() as connection:
        nothing = dict.fromkeys(("figures", "size_bytes", "accuracy", "latency_ms_p50", "speedup"))
        connection.execute(update(Run).values(state=State.QUEUED, **nothing))
    assert "not measured yet" in words(shown(page_paths.OVERVIEW))
    runs.add_runs(home.database, experiment, [("int8", False, False)], "later")
    assert "not measured yet" in words(shown(page_paths.OVERVIEW))


def test_waiting_runs_are_shown_and_cancelled(home):
    experiment = seed_experiment(home, "beats", 1)
    ids = runs.add_runs(
        home.database, experiment, [("int8", False, False), ("float16", False, False)], "later"
    )
    app = shown(page_paths.EXPERIMENT, id=str(experiment))
    assert "0 running, 2 waiting" in words(app).replace("**", "")
    assert "waits for its turn" in words(app)
    assert "1 of 3 ended" in words(app)
    assert "0 running, 2 waiting" in words(shown(page_paths.OVERVIEW))
    assert "waits for its turn" in words(shown(page_paths.RUN, id=str(ids[0])))

    app.button(key="cancel-all").click()
    sound(app.run())
    assert {run_rows.get_run(home.database, i).state for i in ids} == {"cancelled"}
    assert "This run was cancelled" in words(shown(page_paths.RUN, id=str(ids[0])))


def test_a_stopped_run_says_why_and_is_started_again(home):
    experiment = seed_experiment(home, "beats", 1)
    (run,) = runs.add_runs(home.database, experiment, [("channels + int8", False, True)], "search")
    claim = runs.claim(home.database, run, "compress", 1, "here")
    runs.stop(home.database, claim, "stopped after channels: it lost 21 points", drop=0.21, compressed={})
    assert "1 stopped" in words(shown(page_paths.OVERVIEW))
    table = shown(page_paths.EXPERIMENT, id=str(experiment)).dataframe[0].value
    assert "stopped after channels: it lost 21 points" in table.to_csv()
    app = shown(page_paths.RUN, id=str(run))
    assert "Stopped after channels: it lost 21 points." in words(app)
    next(button for button in app.button if button.label == "Try again").click()
    sound(app.run())
    assert run_rows.get_run(home.database, run).state == "queued"


@pytest.mark.long
def test_ten_thousand_runs_are_all_on_the_page(home):
    seed_experiment(home, "big", 10_000)
    began = time.monotonic()
    app = shown(page_paths.EXPERIMENT, id="1")
    print(f"10,000 runs: results in {time.monotonic() - began:.2f} s")
    assert len(app.dataframe[0].value) == 10_000
    began = time.monotonic()
    app.text_input(key="results:search").set_value("cluster 105").run()
    print(f"10,000 runs: searched in {time.monotonic() - began:.2f} s")
    assert [int(url.rpartition("=")[2]) for url in sound(app).dataframe[0].value["run"]] == [105]
    assert "10,000" in words(shown(page_paths.OVERVIEW))
    assert "run 10000 of big" in words(shown(page_paths.RUN))


def test_axes_that_nobody_chose_follow_what_is_measured(home):
    """Without labels a baseline has no quality: what is drawn then must not stay when runs with one have ended."""
    experiment = seed_experiment(home, "unlabelled", 3)
    without = {"accuracy": None, "accuracy_ci": None, "baseline_accuracy": None, "agreement": None}
    with home.database.begin() as connection:
        figures = dict(connection.execute(select(Run.id, Run.figures)).tuples().all())
        connection.execute(
            update(Run).where(Run.is_baseline).values(figures={**figures[1], **without}, accuracy=None)
        )
        connection.execute(update(Run).where(Run.id > 1).values(state=State.RUNNING, figures=None))
    results = shown(page_paths.EXPERIMENT, id=str(experiment))
    assert results.session_state["results:y"] == "latency_ms_p50"
    with home.database.begin() as connection:
        ended = {"state": State.SUCCEEDED, "figures": {**figures[2], **without, "agreement": 0.97}}
        connection.execute(update(Run).where(Run.id > 1).values(ended))
    assert sound(results.run()).session_state["results:y"] == "agreement"
    assert "y" not in results.query_params
    results.selectbox(key="results:y").set_value("gzip_bytes").run()
    assert sound(results.run()).session_state["results:y"] == "gzip_bytes"
    assert results.query_params["y"] == "gzip_bytes"


def test_many_experiments_come_in_pages(home):
    for i in range(23):
        seed_experiment(home, f"experiment {i:02}", 1)
    app = shown(page_paths.OVERVIEW)
    assert [f"experiment {i:02}" in words(app) for i in (22, 11, 10)] == [True, True, False]
    app.number_input[0].set_value(2)
    app.run()
    assert [f"experiment {i:02}" in words(sound(app)) for i in (22, 11, 10)] == [False, False, True]


EDITOR = """
import streamlit as st
from lwdash.ui.shared.recipe_editor import recipe_editor
recipes = recipe_editor({start}, key="r")
st.text("nothing" if recipes is None else " | ".join(map(str, recipes)))
"""


@pytest.fixture
def editor() -> Callable[..., AppTest]:
    """editor("int8", …): the recipe editor alone, begun with these recipes."""
    return lambda *start: sound(
        AppTest.from_string(EDITOR.format(start=list(start)), default_timeout=60).run()
    )


def test_the_recipes_are_read_once_each_in_canonical_form(editor):
    assert editor("int8", "  int8 ", "prune(sparsity=0.50)+int8").text[0].value == (
        "int8 | prune(sparsity=0.5) + int8"
    )


def test_a_recipe_with_a_mistake_stops_the_list_and_says_so(editor):
    app = editor("int8", "prun(sparsity=0.5)")
    assert app.text[0].value == "nothing"
    assert "prune" in app.error[0].value


@pytest.mark.parametrize("name", TECHNIQUES)
def test_the_form_has_a_field_for_each_parameter_of_each_technique(editor, name):
    technique = TECHNIQUES[name]
    app = editor()
    if technique.STAGE == "keras":
        app.button_group(key="r:keras").set_value([name])
    elif technique.STAGE == "storage":
        app.button_group(key="r:storage").set_value(name)
    else:
        app.button_group(key="r:format").set_value(name)
    sound(app.run())
    text = words(app)
    assert technique.SUMMARY in text
    assert technique.TRAP in text
    kinds = ("selectbox", "text_input", "number_input", "checkbox", "toggle")
    inputs = [widget for kind in kinds for widget in getattr(app, kind)]
    labels = {w.key: w.label for w in inputs}
    for field in dataclasses.fields(technique.Params):
        assert labels[f"r:{name}:{field.name}"] == field.metadata["parameter"].label
    assert name in [step.name for step in parse_recipe(app.code[0].value).steps]


def test_a_built_recipe_joins_the_list(editor):
    app = editor("float16")
    app.button_group(key="r:keras").set_value(["prune"])
    sound(app.run())
    app.number_input(key="r:prune:sparsity").set_value(0.75)
    sound(app.run())
    assert app.number_input(key="r:prune:epochs").value is None, "the technique decides"
    assert "Advanced: 17 more parameters" in words(app)
    app.button(key="r:add").click()
    sound(app.run())
    assert app.text[0].value == "float16 | prune(sparsity=0.75) + int8"
    app.number_input(key="r:prune:epochs").set_value(5)
    sound(app.run())
    app.button(key="r:add").click()
    assert "prune(sparsity=0.75, epochs=5) + int8" in sound(app.run()).text[0].value


def test_a_mistake_in_a_field_is_said_below_it(editor):
    app = editor("float16")
    app.button_group(key="r:keras").set_value(["prune"])
    sound(app.run())
    app.text_input(key="r:prune:skip").set_value("dense, a b")
    assert "a b" in sound(app.run()).error[0].value
    assert app.button(key="r:add").disabled


def test_a_search_is_started_followed_stopped_and_told(home):
    experiment = seed_experiment(home, "beats", 4)
    app = shown(page_paths.EXPERIMENT, id=str(experiment))
    assert "Search" not in [header.value for header in app.header]
    app.session_state[f"search:{experiment}:open"] = True
    sound(app.run())
    assert "There are no limits, so the whole trade-off is explored" in words(app)
    assert "Clustering is not used" in words(app)
    app.selectbox(key=f"search:{experiment}:goal").set_value("gzip_bytes").run()
    assert "Clustering is not used" not in words(sound(app))
    app.selectbox(key=f"search:{experiment}:sampler").set_value("nsga2").run()
    app.toggle(key=f"search:{experiment}:integer").set_value(True).run()
    app.number_input(key=f"search:{experiment}:runs").set_value(9).run()
    app.multiselect(key=f"search:{experiment}:left_out").set_value(["int8", "int16x8"]).run()
    assert "Every number format is left out" in words(sound(app))
    assert app.button(key=f"search:{experiment}:start").disabled
    app.multiselect(key=f"search:{experiment}:left_out").set_value(["int16x8", "prune"]).run()
    app.button(key=f"search:{experiment}:start").click()
    sound(app.run())

    [search] = searches.get_searches(home.database, experiment)
    assert (search.goal, search.budget, search.state) == ("gzip_bytes", 9, "running")
    assert search.settings["sampler"] == "nsga2"
    assert search.settings["space"] == {
        "formats": ["int8"],
        "techniques": ["channels", "low_rank", "cluster", "lowbit", "qat"],
        "storage": None,
        "is_always_stored": False,
    }
    advance_searches(home)
    app = shown(page_paths.EXPERIMENT, id=str(experiment))
    assert "Searching for the smallest gzipped file" in words(app).replace("**", "")
    assert "4 of at most 9 runs started" in words(app)
    assert f"search:{experiment}:start" not in [button.key for button in app.button], "one at a time"

    app.button(key="cancel-all").click()
    sound(app.run())
    [search] = searches.get_searches(home.database, experiment)
    assert search.state == "stopped", "or it would go on"
    assert not run_rows.get_progress(home.database, searches.search_runs(home.database, search))[0].doing
    text = words(shown(page_paths.EXPERIMENT, id=str(experiment))).replace("**", "")
    assert "For the smallest gzipped file, 4 runs in" in text
    assert "stopped by the user" in text
    assert "Without limits the search maps the whole trade-off" in text


def test_a_search_names_what_is_best_and_warns_of_the_best_of_many(home):
    experiment = seed_experiment(home, "beats", 40)
    set_limits(home.database, experiment, {"accuracy_drop": 0.02})
    seed_search(home, experiment, 20)
    text = words(shown(page_paths.EXPERIMENT, id=str(experiment))).replace("**", "")
    rows = [run for run in frames_of(home) if run.accuracy >= 0.93 and not run.is_baseline]
    smallest = min(rows, key=lambda run: run.size_bytes)
    assert f"Best under your limits: {smallest.recipe}" in text
    assert f"{smallest.size_bytes / 1000:,.1f} kB" in text
    assert "Chosen among 39 runs on the same 200 rows, where it lost" in text
    assert "a run chosen this way loses" in text
    with home.database.begin() as connection:
        connection.execute(update(RunDetail).values(measured={"layers": []}))  # as older versions measured
    text = words(shown(page_paths.EXPERIMENT, id=str(experiment))).replace("**", "")
    assert "It is the best of 39 on the same 200 rows" in text
    assert "check it on rows that no run was measured on" in text


def frames_of(home):
    found = [run_rows.get_run(home.database, i) for i in range(1, 41)]
    return [run for run in found if run and run.metrics]
