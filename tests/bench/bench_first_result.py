"""Seconds from the click on the digits example to its first measured run, its post-training runs and its whole sweep.

The engine and the store of a server, without the browser; a warm parent is there, as it is while a page is open.
"""

import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import poll

from lwdash.engine.scheduler import Engine
from lwdash.engine.submit import expect_runs
from lwdash.engine.warm_child import KEEPER
from lwdash.examples import find_example
from lwdash.recipe import parse_recipe
from lwdash.search.sweeps import STANDARD_SWEEP
from lwdash.settings import load_settings
from lwdash.ui.overview.cards import start_example
from storage import run_rows
from storage.frames import active_runs, newest_runs
from storage.store import open_store

TARGETS = {"first measured run": 3.0, "post-training recipes": 6.0, "whole sweep": 25.0}
"""Seconds on a quiet machine with two cores."""
POST_TRAINING = {str(recipe) for recipe in map(parse_recipe, STANDARD_SWEEP) if not recipe.keras_steps}


def test_the_digits_example_from_click_to_chart(tmp_path: Path) -> None:
    settings = replace(load_settings(tmp_path / "home"), scheduler=None)
    settings.home.mkdir()
    store = open_store(settings.database_url, settings.artifacts, settings.home / "cache")
    engine = Engine(settings, store).start()
    try:
        poll("the engine", lambda: engine.state == "embedded", 60)
        expect_runs(settings)
        poll("the warm parent", lambda: KEEPER.parent(tensorflow=True), 60)
        clicked = time.monotonic()
        experiment = start_example(settings, store, find_example("digits"))
        taken = {"experiment entered": time.monotonic() - clicked}
        ids = newest_runs(store.database, [experiment], 100)

        def measured() -> set[str]:
            return {
                row.recipe for row in run_rows.get_progress(store.database, ids) if row.state == "succeeded"
            }

        poll("the first", measured, 120)
        taken["first measured run"] = time.monotonic() - clicked
        poll("the post-training recipes", lambda: measured() >= POST_TRAINING, 120)
        taken["post-training recipes"] = time.monotonic() - clicked
        poll("all", lambda: not active_runs(store.database, experiment, 1), 300)
        taken["whole sweep"] = time.monotonic() - clicked
        poll("all details", lambda: not run_rows.pending_details(store.database, ids), 120)
        taken["all details"] = time.monotonic() - clicked
        assert len(measured()) == len(ids)
    finally:
        engine.stop()
        shutil.copytree(settings.logs, tmp_path / "logs")
        store.database.dispose()
    print(
        f"\n{len(POST_TRAINING)} post-training recipes of {len(ids)}: "
        + ", ".join(f"{what} {seconds:.1f} s" for what, seconds in taken.items())
    )
    missed = [
        f"{what} {taken[what]:.1f} s, not {most:g} s" for what, most in TARGETS.items() if taken[what] > most
    ]
    if missed:
        pytest.xfail(f"slower than the targets: {'; '.join(missed)}")
