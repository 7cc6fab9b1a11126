"""The Python interface: the same experiments and runs as the command line, as objects."""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
import pytest
from conftest import Finished, Sample

import lwdash
from lwdash.api import ExperimentHandle
from lwdash.cli.run_records import METRICS
from lwdash.errors import NotFound, RecipeError, UserMistake

pytestmark = [pytest.mark.processes, pytest.mark.tensorflow, pytest.mark.usefixtures("warm_children")]

FAILED = "prune(sparsity=0.5, skip=[nowhere])"


@pytest.fixture(scope="module")
def home(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("api") / "home"
    shutil.copytree(finished.home, place, ignore=shutil.ignore_patterns("scratch", "engine.lock"))
    return place


@pytest.fixture
def waves(home: Path) -> Iterator[ExperimentHandle]:
    """What the command line has run, opened by its name."""
    opened = lwdash.experiment("waves", home=home)
    yield opened
    opened._store.database.dispose()


def test_runs_are_a_frame_with_the_keys_and_values_of_json(
    waves: ExperimentHandle, finished: Finished
) -> None:
    frame = waves.runs()
    assert list(frame["recipe"]) == [record["recipe"] for record in finished.called.json["runs"]]
    for record, (_, row) in zip(finished.called.json["runs"], frame.iterrows(), strict=True):
        for key in ("id", "state", "error"):
            assert row[key] == record[key] or (record[key] is None and pd.isna(row[key])), key
        if record["state"] == "succeeded":
            assert {key: row[key] for key in ("size_bytes", "accuracy", "verdict", "latency_ms_p50")} == {
                key: record[key] for key in ("size_bytes", "accuracy", "verdict", "latency_ms_p50")
            }
    assert set(METRICS) <= set(frame.columns)
    assert list(frame["is_baseline"]) == [True, False, False, False]


def test_a_run_has_its_file_metrics_and_layers(
    waves: ExperimentHandle, finished: Finished, tmp_path: Path
) -> None:
    record = next(r for r in finished.called.json["runs"] if r["recipe"] == "int8")
    run = waves[record["id"]]
    assert hashlib.sha256(run.tflite).hexdigest() == record["artifact"]
    assert run.save(tmp_path / "chosen.tflite").read_bytes() == run.tflite
    assert run.metrics == {key: record[key] for key in METRICS}
    assert run.layers["bytes"].sum() + run.record["size_bytes"] - record["size_bytes"] < record["size_bytes"]
    assert {"layer", "bytes", "macs", "weight_dtype"} <= set(run.layers.columns)
    assert "int8" in repr(run)
    assert "kB" in repr(run)


def test_figures_hold_the_runs(waves: ExperimentHandle) -> None:
    figure = waves.plot(x="gzip_bytes")
    assert isinstance(figure, go.Figure)
    drawn = {int(point[0] if hasattr(point, "__len__") else point) for trace in figure.data
             if trace.customdata is not None for point in trace.customdata}  # fmt: skip
    assert drawn == set(waves.runs().query("state == 'succeeded'")["id"])
    layers = waves[2].plot("bytes")
    assert sum(layers.data[0].x) == waves[2].layers["bytes"].sum()


def test_what_cannot_be_given_is_refused_in_words(waves: ExperimentHandle, home: Path) -> None:
    failed = int(waves.runs().query("recipe == @FAILED")["id"].iloc[0])
    for ask in (lambda: waves[failed].tflite, lambda: waves[failed].metrics, lambda: waves[failed].layers):
        with pytest.raises(UserMistake, match="no layer is named 'nowhere'"):
            ask()
    with pytest.raises(NotFound, match="no run 999"):
        waves[999]
    with pytest.raises(UserMistake, match="no run has the metric 'colour'"):
        waves.plot(y="colour")
    with pytest.raises(UserMistake, match="has no 'colour' of layers"):
        waves[2].plot("colour")
    with pytest.raises(UserMistake, match="received 'beauty'"):
        waves.search(goal="beauty")
    with pytest.raises(RecipeError):
        waves.run("int9")
    with pytest.raises(NotFound, match="'birds'"):
        lwdash.experiment("birds", home=home)
    with pytest.raises(NotFound, match="no experiment 77"):
        lwdash.experiment(77, home=home)


def test_limits_are_in_the_units_of_the_command_line(waves: ExperimentHandle) -> None:
    assert waves.best() is None
    waves.set_limits(max_size=1000, max_drop=20)
    assert waves.limits == {"size_bytes": 1_000_000, "accuracy_drop": pytest.approx(0.2)}
    chosen = waves.best()
    assert chosen is not None
    assert chosen.recipe != "float32"
    waves.set_limits()
    assert waves.limits == {}
    with pytest.raises(UserMistake, match="a number from 0 on"):
        waves.set_limits(max_size=-1)


def test_the_same_model_and_data_are_the_same_experiment(
    waves: ExperimentHandle, sample: Sample, home: Path
) -> None:
    again = lwdash.experiment("waves", sample.model, sample.data, label="label", home=home, quiet=True)
    assert again.id == waves.id
    [run] = again.run("int8", progress=False)
    assert run.id == 2, "the recipe has a result already"
    assert list(lwdash.experiments(home)["name"]) == ["waves"]
    again._store.database.dispose()


SCRIPT = """
import asyncio, sys
import lwdash

async def main():
    experiment = lwdash.experiment("waves")
    before = len(experiment)
    runs = experiment.run(["float16", "prune(skip=[nowhere])"], again=True)
    print([run.state for run in runs], len(experiment) - before, runs[0].metrics["size_bytes"])
    print("tensorflow" in sys.modules)

asyncio.run(main())
"""


def test_recipes_run_in_a_script_without_a_main_guard_and_inside_an_event_loop(
    home: Path, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    root = Path(lwdash.__file__).parents[1]
    ended = subprocess.run(
        [sys.executable, script],
        env={
            "PYTHONPATH": str(root),
            "LWDASH_HOME": str(home),
            "PATH": "/usr/bin:/bin",
            "TMPDIR": tempfile.gettempdir(),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    states, holds_tensorflow = ended.stdout.splitlines() or [ended.stderr, ""]
    assert states.startswith("['succeeded', 'failed'] 2 "), ended.stdout + ended.stderr
    assert holds_tensorflow == "False"
    assert "100%" in ended.stderr
    assert "no layer is named 'nowhere'" in ended.stderr


def test_importing_lwdash_is_cheap() -> None:
    program = (
        "import sys, lwdash; print(sorted({'numpy', 'pandas', 'plotly', 'sqlalchemy'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
    assert {"experiment", "experiments"} <= set(dir(lwdash))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        lwdash.nothing  # noqa: B018
