"""The card atop the results page: the run to take, and the search for a smaller one by one click."""

from support.seeding import seed_experiment
from visit import shown, sound, words

from lwdash.cli.recommendation_records import recommendation_lines, recommendation_record
from lwdash.engine.searching import advance_searches
from lwdash.ui.shared import page_paths
from storage import run_rows, searches
from storage.annotations import set_limits


def test_the_card_the_overview_and_the_command_name_the_same_run(home):
    experiment = seed_experiment(home, "beats", 40)
    best = recommendation_record(home.database, experiment)
    assert best is not None
    run = run_rows.get_run(home.database, best["run"])
    assert run is not None
    size = f"{run.size_bytes / 1000:.1f} kB"
    page = words(shown(page_paths.EXPERIMENT, id=str(experiment)))
    assert "Smallest file without measurable loss: " in page
    assert f"Size: {size}" in page
    assert best["reason"] in page
    overview = words(shown(page_paths.OVERVIEW))
    assert f"Smallest without loss: {size}" in overview
    assert recommendation_lines(best) == [f"{best['headline']}: run {run.id}. {best['reason']}"]


def test_an_experiment_with_a_baseline_alone_has_no_card(home):
    experiment = seed_experiment(home, "beats", 1)
    assert recommendation_record(home.database, experiment) is None
    assert "without measurable loss" not in words(shown(page_paths.EXPERIMENT, id=str(experiment)))


def test_try_smaller_starts_a_search_that_loses_at_most_a_point(home):
    experiment = seed_experiment(home, "beats", 12)
    app = shown(page_paths.EXPERIMENT, id=str(experiment))
    app.button(key="recommendation:smaller").click()
    sound(app.run())
    [search] = searches.get_searches(home.database, experiment)
    assert (search.goal, search.state) == ("size_bytes", "running")
    assert search.settings["limits"] == {"accuracy_drop": 0.01}
    advance_searches(home)
    text = words(shown(page_paths.EXPERIMENT, id=str(experiment)))
    assert "the search's limits (drop of accuracy ≤ 1 point)" in text
    assert "Try smaller" not in text, "one search at a time"


def test_limits_of_the_experiment_go_before_those_of_the_search(home):
    experiment = seed_experiment(home, "beats", 12)
    set_limits(home.database, experiment, {"size_bytes": 1.0})
    app = shown(page_paths.EXPERIMENT, id=str(experiment))
    assert "No run meets all of your limits" in words(app)
    app.button(key="recommendation:smaller").click()
    sound(app.run())
    [search] = searches.get_searches(home.database, experiment)
    assert search.settings["limits"] == {}
