"""Experiments without data on the command line: rows are generated, and nothing passes for an accuracy."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from conftest import call_lwdash

import lwdash
from lwdash.errors import UserMistake
from lwdash.examples import find_example

pytestmark = [pytest.mark.processes, pytest.mark.tensorflow]

MODEL = find_example("digits").model_path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("no-data") / "home"


@pytest.fixture(scope="module")
def called(home: Path) -> Any:
    """A home in which int8 and its baseline ran on generated rows, and what was printed."""
    return call_lwdash(
        home,
        "run",
        MODEL,
        "--no-data",
        "--recipe",
        "int8",
        "--max-size",
        "1000",
        "--experiment",
        "none",
        "--json",
    )


def test_an_integer_file_is_made_and_measured_without_an_accuracy(called: Any) -> None:
    assert called.code == 0, called.err
    assert "warning: There is no data: the rows were generated from the model. [generated-rows]" in called.err
    whole = called.json
    [run] = whole["runs"]
    assert run["state"] == "succeeded"
    assert run["size_bytes"] < whole["baseline"]["size_bytes"]
    assert run["speedup"] > 0
    assert run["generated_rows"] == 128
    assert 0.5 < run["agreement_generated"] <= 1
    for key in ("accuracy", "baseline_accuracy", "agreement", "sqnr_db", "verdict", "rows"):
        assert run[key] is None, key
    assert run["verdict_text"].startswith("No verdict: the rows are generated, so the accuracy is unknown.")
    assert (
        "The rows are generated from the model, so no loss can be measured."
        in whole["recommendation"]["reason"]
    )


def test_the_sqnr_of_layers_names_the_rows(home: Path, called: Any) -> None:
    layers = call_lwdash(home, "show", "2", "--layers", "--json").json["layers"]
    assert all(layer["output_sqnr_db"] is None for layer in layers)
    assert any(layer["output_sqnr_generated_db"] for layer in layers)


def test_tables_and_show_name_the_rows(home: Path, called: Any) -> None:
    shown = call_lwdash(home, "show", "2")
    assert "generated_rows: 128" in shown.out
    assert "No verdict" in shown.out
    listed = call_lwdash(home, "runs")
    assert "on generated rows" in listed.out
    checked = call_lwdash(home, "check", MODEL, "--no-data", "--recipe", "int8", "--max-size", "1000")
    assert checked.code == 0, checked.err
    assert "unknown (agrees " in checked.out
    assert "No accuracy was measured: the 128 rows are generated from the model" in checked.out
    linted = call_lwdash(home, "lint", MODEL, "--no-data")
    assert "[generated-rows]" in linted.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "--recipe", "prune(sparsity=0.5) + int8"), "prune needs real rows"),
        (("run", "--recipe", "int8", "--max-drop", "1"), "the drop of accuracy cannot be limited"),
        (("run", "--recipe", "int8", "--label", "y"), "settings for reading data were given, but no data"),
        (("run", "--recipe", "int8", "--input-range", "5", "1"), "from a smaller to a larger number"),
        (("search",), "a search chooses recipes by their loss of accuracy"),
    ],
)
def test_what_needs_real_rows_is_refused_with_the_reason(
    home: Path, called: Any, arguments: tuple[str, ...], message: str
) -> None:
    command, *options = arguments
    refused = call_lwdash(home, command, MODEL, "--no-data", *options, "--json")
    assert refused.code == 2
    assert message in refused.json["error"]


def test_the_sensitivity_is_refused(home: Path, called: Any) -> None:
    refused = call_lwdash(home, "sensitivity", "2", "--json")
    assert refused.code == 2
    assert "the sensitivity of layers needs real rows" in refused.json["error"]


def test_a_capsule_holds_the_rows_and_makes_the_file_again(home: Path, called: Any, tmp_path: Path) -> None:
    path = tmp_path / "capsule.zip"
    assert call_lwdash(home, "capsule", "2", "--out", path).code == 0
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "capsule")
        text = archive.read("README.md").decode()
    assert "**Generated rows.** There was no data" in text
    assert "No accuracy was measured" in text
    assert "python evaluate.py data" in text
    evaluated = subprocess.run(
        [sys.executable, "evaluate.py", "data"],
        cwd=tmp_path / "capsule",
        capture_output=True,
        text=True,
        check=False,
    )
    assert evaluated.returncode == 0, evaluated.stderr + evaluated.stdout
    assert "The rows were generated from the model. Nothing here tells the accuracy." in evaluated.stdout
    assert re.search(r"agreement_generated: (\S+), expected \1: the same", evaluated.stdout)
    assert re.search(r"sqnr_generated_db: (\S+), expected \1: the same", evaluated.stdout)
    verified = call_lwdash(home, "verify", path, "--model", MODEL, "--json")
    assert verified.code == 0, verified.out
    assert "agreement_generated" in verified.out


def test_python_opens_the_same_experiment_without_rows(home: Path, called: Any, tmp_path: Path) -> None:
    own = tmp_path / "home"
    shutil.copytree(home, own, ignore=shutil.ignore_patterns("scratch", "engine.lock"))
    first = lwdash.experiment("none", MODEL, home=own, quiet=True)
    again = lwdash.experiment("none", MODEL, home=own, quiet=True)
    assert first.id == again.id
    [run] = [run for run in first.runs().to_dict("records") if run["recipe"] == "int8"]
    assert 0.5 < run["agreement_generated"] <= 1
    assert "Agreement on generated rows" in repr(first[run["id"]])
    with pytest.raises(UserMistake, match="qat needs real rows"):
        first.run("qat + int8", progress=False)
    with pytest.raises(UserMistake, match="the drop of accuracy cannot be limited"):
        first.set_limits(max_drop=1)
    with pytest.raises(UserMistake, match="labels were given without samples"):
        lwdash.experiment("none", MODEL, y=[1, 2], home=own)
    first._store.database.dispose()
