"""The menu that brings a .tflite from somewhere else into an experiment."""

from typing import Any

from conftest import ROOT
from streamlit.testing.v1 import AppTest
from support.seeding import seed_experiment
from visit import sound, words

import lwdash
from lwdash.ui.new.uploader import Uploaded
from lwdash.ui.shared import page_paths
from storage import experiments
from storage.frames import newest_run
from storage.run_rows import get_run
from storage.store import Store


def port(shape: list[int], dtype: str = "float32") -> dict[str, Any]:
    return {"name": "their_x", "shape": shape, "batch": 1, "dtype": dtype, "scale": None, "zero_point": None}


def opened(home: Store, inputs: list[int], error: str | None = None) -> AppTest:
    """The results page after a file with this input was uploaded."""
    number = seed_experiment(home, "beats", 3)
    sha256 = home.artifacts.put_bytes(b"a file of another tool")
    experiments.add_file(home.database, sha256=sha256, kind="tflite", name="theirs.tflite", size_bytes=22)
    row = experiments.get_file(home.database, sha256, "tflite")
    assert row is not None
    facts = {
        "inputs": [port(inputs)], "outputs": [port([3])], "operators": {"SOFTMAX": 2}, "stored_bytes": {},
        "description": "", "lwdash": lwdash.__version__,
    }  # fmt: skip
    experiments.set_file_facts(home.database, row.id, facts, error)
    app = AppTest.from_file(str(ROOT / "lwdash/ui/shell.py"), default_timeout=120)
    app.run()
    uploaded = Uploaded(sha256, 22, "theirs.tflite")
    app.session_state[f"upload:tflite:{number}:uploaded"] = uploaded
    app.query_params["id"] = str(number)
    app.switch_page(page_paths.EXPERIMENT).run()
    return sound(app)


def test_a_fitting_file_shows_its_facts_and_is_queued(home: Store) -> None:
    app = opened(home, [8])
    assert "theirs.tflite" in words(app)
    assert "2 operators" in words(app)
    assert "their_x" in words(app)
    next(button for button in app.button if button.label == "Measure it").click().run()
    sound(app)
    run = get_run(home.database, newest_run(home.database) or 0)
    assert run is not None
    assert (run.recipe, run.state) == ("file(theirs.tflite)", "queued")
    assert run.tflite_sha256 is not None


def test_a_file_of_another_network_is_refused_with_both_shapes(home: Store) -> None:
    app = opened(home, [9])
    next(button for button in app.button if button.label == "Measure it").click().run()
    assert "has shape (9,), but the experiment's model has x (8,)" in words(sound(app))


def test_a_refused_file_shows_the_reason_and_no_button(home: Store) -> None:
    app = opened(home, [8], "the .tflite is damaged: something")
    assert "the .tflite is damaged" in words(app)
    assert [button for button in app.button if button.label == "Measure it"] == []
