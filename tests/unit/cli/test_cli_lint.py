"""The linter and the limits on the command line."""

from pathlib import Path

import pandas as pd
import pytest
from conftest import Finished, call_lwdash

from lwdash.cli.main import main
from lwdash.datasets.linter.findings import CODES
from lwdash.engine import submit
from lwdash.errors import UserMistake
from lwdash.examples import find_example
from storage.experiments import get_experiment
from storage.store import Store

pytestmark = pytest.mark.processes


def test_lint_says_what_where_why_and_what_to_do(tmp_path: Path) -> None:
    example = find_example("digits")
    rows = pd.read_csv(example.data_path)
    scaled = pd.concat([rows["label"], rows.drop(columns="label") / 16], axis=1)
    scaled.to_csv(tmp_path / "scaled.csv", index=False)
    called = call_lwdash(
        tmp_path / "home", "lint", example.model_path, "--data", tmp_path / "scaled.csv", "--json"
    )
    assert called.code == 0
    record = called.json
    assert set(record["rows"]) == {"train", "calibration", "evaluation"}
    worst = record["findings"][0]
    assert (worst["code"], worst["severity"], worst["title"]) == ("scaled-twice", "error", "Scaled twice")
    assert worst["fix"] == {"preprocess": "scale(range, from=0, to=1, low=0, high=16)"}
    assert all(finding["code"] in CODES for finding in record["findings"])

    fixed = call_lwdash(
        tmp_path / "home", "lint", example.model_path, "--data", tmp_path / "scaled.csv",
        "--preprocess", worst["fix"]["preprocess"],
    )  # fmt: skip
    assert fixed.code == 0
    assert "[scaled-twice]" not in fixed.out
    assert "why:   An accuracy is known to" in fixed.out


def test_lint_of_data_that_does_not_fit_is_a_wrong_call(tmp_path: Path) -> None:
    (tmp_path / "narrow.csv").write_text("label,a\n" + "1,2\n" * 20)
    called = call_lwdash(
        tmp_path / "home",
        "lint",
        find_example("digits").model_path,
        "--data",
        tmp_path / "narrow.csv",
        "--json",
    )
    assert called.code == 2
    assert "63 too few" in called.json["error"]


def test_how_the_file_is_read_can_be_said(tmp_path: Path) -> None:
    example = find_example("digits")
    rows = pd.read_csv(example.data_path, nrows=120)
    rows["label"] = [f"d{9 - digit}" for digit in rows["label"]]  # in the order of the outputs: d9, d8 … d0
    rows[rows["label"] != "d4"].to_csv(tmp_path / "odd.csv", sep="|", index=False, header=False)
    asked = ["lint", example.model_path, "--data", tmp_path / "odd.csv", "--label", "first", "--json"]
    asked += ["--delimiter", "bar", "--no-header"]
    unknown = call_lwdash(tmp_path / "home", *asked)
    assert unknown.code == 2
    assert "List all classes in the order of the model's outputs" in unknown.json["error"]
    listed = call_lwdash(tmp_path / "home", *asked, "--classes", "d9,d8, d7,d6,d5,d4,d3,d2,d1,d0")
    assert listed.code == 0, listed.err
    assert "No row is of class d4." in [finding["what"] for finding in listed.json["findings"]]


def test_a_run_stops_where_the_model_contradicts_the_order_of_the_labels(tmp_path: Path) -> None:
    example = find_example("digits")
    rows = pd.read_csv(example.data_path, nrows=300)
    rows["label"] = [
        f"d{9 - digit}" for digit in rows["label"]
    ]  # sorted, they are d0 … d9: the reverse of the outputs
    rows.to_csv(tmp_path / "odd.csv", index=False)
    asked = [example.model_path, "--data", tmp_path / "odd.csv", "--label", "label", "--json"]
    stopped = call_lwdash(tmp_path / "home", "run", *asked, "--recipe", "int8")
    assert stopped.code == 2
    assert "No run was started" in stopped.json["error"]
    assert "--classes d9,d8,d7,d6,d5,d4,d3,d2,d1,d0" in stopped.json["error"]
    assert call_lwdash(tmp_path / "home", "runs", "--json").json["runs"] == []
    linted = call_lwdash(tmp_path / "home", "lint", *asked).json["findings"][0]
    assert (linted["code"], linted["severity"], linted["stops"]) == ("labels-contradicted", "error", True)
    insisted = call_lwdash(tmp_path / "home", "lint", *asked, "--trust-labels").json["findings"]
    assert not any(finding["stops"] for finding in insisted)


@pytest.mark.parametrize("sign", ["", "commas", ";;"])
def test_a_delimiter_is_one_sign(capsys: pytest.CaptureFixture[str], sign: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["lint", "model.keras", "--data", "data.csv", f"--delimiter={sign}"])
    assert ended.value.code == 2
    assert "comma, semicolon, tab, bar" in capsys.readouterr().err


def test_run_says_the_findings_on_standard_error(finished: Finished) -> None:
    assert "[few-rows]" in finished.called.err


@pytest.mark.parametrize("limit", ["0", "-3", "nan", "inf", "much"])
def test_a_limit_that_cannot_be_is_refused(capsys: pytest.CaptureFixture[str], limit: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "model.keras", "--data", "data.csv", "--recipe", "int8", f"--max-size={limit}"])
    assert ended.value.code == 2
    assert "--max-size" in capsys.readouterr().err


def test_limits_judge_and_threads_tell_experiments_apart(sqlite_store: Store) -> None:
    example = find_example("digits")
    from lwdash.datasets.data_settings import DataSettings
    from lwdash.engine.input_files.file_inspection import inspect_file
    from lwdash.settings import load_settings

    settings = load_settings()
    rows = {
        kind: inspect_file(settings, sqlite_store, submit.add_local_file(sqlite_store, path, kind), kind)
        for kind, path in (("model", example.model_path), ("data", example.data_path))
    }

    def made(**more: object) -> int:
        return submit.create_experiment(
            sqlite_store, name="digits", model_row=rows["model"], data_row=rows["data"],
            settings=DataSettings(label="label"), **more,
        )  # type: ignore[arg-type]  # fmt: skip

    first = made(limits={"size_bytes": 60_000.0})
    assert made() == first
    assert get_experiment(sqlite_store.database, first).limits == {"size_bytes": 60_000}
    assert made(limits={"latency_ms": 2.0}) == first
    assert get_experiment(sqlite_store.database, first).limits == {"latency_ms": 2.0}
    assert made(threads=4) != first
    for wrong in ({"threads": 0}, {"limits": {"size": 1.0}}, {"limits": {"size_bytes": -1.0}}):
        with pytest.raises(UserMistake):
            made(**wrong)
